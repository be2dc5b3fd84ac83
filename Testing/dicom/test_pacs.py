"""Series and segmentation into a real archive and out again, by DIMSE and by DICOMweb."""

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import Segment
from HiDiffRefineLib.dicom.series import read_series
from Testing.dicom.made_up import series_and_segments
from Testing.dicom.orthanc import empty, running_orthanc


@pytest.fixture(scope="module")
def pacs(tmp_path_factory, record_tool):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as (url, port, version):
        record_tool("orthanc", version)
        yield url, port


@pytest.fixture(scope="module", params=["real CT", "oblique"])
def sent(request, tmp_path_factory):
    """A folder with a series and its segmentations in all encodings, and all their files."""
    folder = tmp_path_factory.mktemp("sent")
    (folder / "series").mkdir()
    series, segments = series_and_segments(request, folder / "series", slices=6)
    for encoding in ENCODINGS:
        given = segments
        if encoding == "FRACTIONAL":
            given = [Segment(s.label, s.box, s.values * np.float32(0.25)) for s in segments]
        export_seg(folder / f"{encoding}.dcm", series, given, encoding)
    return folder, sorted(folder.rglob("*.dcm"))


def content(dataset: pydicom.Dataset) -> bytes:
    """The data set, to the last bit, without what a file has before it."""
    buffer = DicomBytesIO()
    syntax = dataset.file_meta.TransferSyntaxUID
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def assert_same(found: list[pydicom.Dataset], files) -> None:
    wanted = {one.SOPInstanceUID: content(one) for one in map(pydicom.dcmread, files)}
    assert {one.SOPInstanceUID for one in found} == set(wanted)
    for one in found:
        assert content(one) == wanted[one.SOPInstanceUID], one.Modality


def assert_imports(found: list[pydicom.Dataset], folder, tmp_path) -> None:
    """What came back is read as what was sent."""
    series = read_series(folder / "series")
    for one in found:
        if one.Modality == "SEG":
            one.save_as(tmp_path / "back.dcm", enforce_file_format=True)
            back = read_seg(tmp_path / "back.dcm", series)
            for segment, meant in zip(
                back, read_seg(folder / f"{one.SegmentationType}.dcm", series), strict=True
            ):
                assert segment.label == meant.label and segment.box == meant.box
                np.testing.assert_array_equal(segment.values, meant.values)


def test_dimse(pacs, sent, tmp_path):
    """C-STORE, C-FIND, C-GET."""
    empty(pacs[0])
    folder, files = sent
    datasets = [pydicom.dcmread(file) for file in files]
    kinds = {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in datasets}
    entity = AE("TEST")
    for kind, syntax in kinds:
        entity.add_requested_context(kind, syntax)
    association = entity.associate("127.0.0.1", pacs[1], ae_title="ORTHANC")
    assert association.is_established
    for one in datasets:
        assert association.send_c_store(one).Status == 0
    association.release()

    found = []

    def receive(event):
        one = event.dataset
        one.file_meta = event.file_meta
        found.append(one)
        return 0

    entity = AE("TEST")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    roles = []
    for kind, syntax in kinds:
        entity.add_requested_context(kind, syntax)
        roles.append(build_role(kind, scp_role=True))
    association = entity.associate(
        "127.0.0.1", pacs[1], ae_title="ORTHANC", ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, receive)]
    )
    query = pydicom.Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "SERIES", datasets[0].StudyInstanceUID
    query.SeriesInstanceUID = query.Modality = ""
    answers = association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
    told = [identifier.Modality for status, identifier in answers if identifier is not None]
    assert sorted(told) == ["CT", "SEG", "SEG", "SEG"]
    # This Orthanc keeps label map segmentations, but can't call them by their name: WADO gives them.
    files = [file for file in files if file.stem != "LABELMAP"]
    for uid in {pydicom.dcmread(file).SeriesInstanceUID for file in files}:
        query.SeriesInstanceUID = uid
        for status, _ in association.send_c_get(query, StudyRootQueryRetrieveInformationModelGet):
            assert status.Status in (0, 0xFF00)
    association.release()
    assert_same(found, files)
    assert_imports(found, folder, tmp_path)


def test_dicomweb(pacs, sent, tmp_path):
    """STOW-RS, QIDO-RS, WADO-RS."""
    empty(pacs[0])
    folder, files = sent
    datasets = [pydicom.dcmread(file) for file in files]
    study = datasets[0].StudyInstanceUID
    client = DICOMwebClient(f"{pacs[0]}/dicom-web")
    answer = client.store_instances(datasets)
    assert len(answer.ReferencedSOPSequence) == len(files) and not answer.get("FailedSOPSequence")
    told = client.search_for_series(study)
    assert sorted(one["00080060"]["Value"][0] for one in told) == ["CT", "SEG", "SEG", "SEG"]
    found = client.retrieve_study(study, media_types=(("application/dicom", "*"),))
    assert_same(found, files)
    assert_imports(found, folder, tmp_path)
