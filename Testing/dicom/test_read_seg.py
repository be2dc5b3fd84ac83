"""Segmentations of other writers, and objects that are none."""

from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation
from pydicom.data import get_testdata_file
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless, generate_uid

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import DicomError, VolumeError
from Testing.dicom.made_up import STORED, Stack, write_series, write_volume
from Testing.volumes.samples import LEFT_KIDNEY, SPLEEN

# Written by pydicom-seg 0.4.1, which needs pydicom 2, on the series of `write_series`: frames
# are cut to the segments and left out where empty, and the frame of reference is one of its own.
BY_PYDICOM_SEG = Path(__file__).parent / "files" / "pydicom_seg.dcm"


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    return read_series(write_series(folder))


def filled(segment) -> np.ndarray:
    whole = np.zeros(STORED.shape, segment.values.dtype)
    whole[segment.box] = segment.values
    return whole


def expected() -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(STORED.shape, bool), np.zeros(STORED.shape, bool)
    first[1:3, 1:3, 2:4], second[4, 0, 0] = True, True
    return first, second


def by_highdicom(series, array, order=slice(None), **more):
    """A file as others write it with highdicom: empty frames left out, slices in any order."""
    algorithm = highdicom.AlgorithmIdentificationSequence("other", codes.DCM.ArtificialIntelligence, "1")
    described = highdicom.seg.SegmentDescription(
        1, "liver", codes.SCT.Organ, codes.SCT.Liver, "AUTOMATIC", algorithm
    )
    sources = [one.header for one in series.slices][order]
    settings = {"omit_empty_frames": True, "segmentation_type": "BINARY", **more}
    uids = generate_uid(), 7, generate_uid(), 1
    kind = settings.pop("segmentation_type")
    return Segmentation(sources, array[order], kind, [described], *uids, "a", "b", "c", "d", **settings)


def test_pydicom_seg(series):
    found = read_seg(BY_PYDICOM_SEG, series)
    for segment, mask, name in zip(found, expected(), ("Spleen", "Kidney"), strict=True):
        np.testing.assert_array_equal(filled(segment), mask)
        assert segment.label.name == name
    assert "AUTOMATIC" in found[0].label.tags and found[0].label.color == (157, 108, 162)


@pytest.mark.parametrize("order", [slice(None, None, -1), slice(1, 4), [4, 1, 2]])
def test_highdicom_with_frames_out_of_order_or_left_out(tmp_path, series, order):
    mask = expected()[0]
    if isinstance(order, list):
        made = by_highdicom(read_series(series.slices[0].file.parent), mask)
        frames = list(made.PerFrameFunctionalGroupsSequence)
        made.PerFrameFunctionalGroupsSequence = frames[::-1]
        mask = mask[[0, 2, 1, 3, 4, 5]]  # the frames keep their pixels, but change places
    else:
        made = by_highdicom(series, mask, order)
    made.save_as(tmp_path / "seg.dcm")
    (found,) = read_seg(tmp_path / "seg.dcm", series)
    np.testing.assert_array_equal(filled(found), mask)
    assert found.label.type.meaning == "Liver"


def test_fractions_of_another_maximum_and_deflated(tmp_path, series):
    fractions = expected()[0] * np.float32(0.37)
    made = by_highdicom(series, fractions, segmentation_type="FRACTIONAL", max_fractional_value=100)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.save_as(tmp_path / "seg.dcm")
    (found,) = read_seg(tmp_path / "seg.dcm", series)
    np.testing.assert_allclose(filled(found), fractions, atol=1e-6)


def counted_from_0(made):
    """As programs write that number their segments like arrays."""
    for item in made.SegmentSequence:
        item.SegmentNumber -= 1
    for frame in made.PerFrameFunctionalGroupsSequence:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber -= 1
    return made


@pytest.mark.parametrize("encoding", ["BINARY", "FRACTIONAL"])
def test_segments_numbered_from_0_are_all_there(tmp_path, series, encoding):
    labelmap = np.where(expected()[0], SPLEEN.value, expected()[1] * LEFT_KIDNEY.value).astype(np.uint8)
    given = segments_of(labelmap, [SPLEEN, LEFT_KIDNEY])
    if encoding == "FRACTIONAL":
        given = [replace(segment, values=segment.values.astype(np.float32)) for segment in given]
    export_seg(tmp_path / "seg.dcm", series, given, encoding)
    counted_from_0(pydicom.dcmread(tmp_path / "seg.dcm")).save_as(tmp_path / "seg.dcm")
    found = read_seg(tmp_path / "seg.dcm", series)
    for segment, mask, label, value in zip(found, expected(), (SPLEEN, LEFT_KIDNEY), (1, 2), strict=True):
        assert (segment.label.name, segment.label.value) == (label.name, value)
        np.testing.assert_array_equal(filled(segment) > 0, mask)


@pytest.mark.parametrize("padding", [0, 9, None])
def test_what_pads_a_labelmap_is_no_segment(tmp_path, series, padding):
    """Whatever its number; the segment that has 0 then is one."""
    labelmap = np.where(expected()[0], SPLEEN.value, expected()[1] * LEFT_KIDNEY.value).astype(np.uint8)
    export_seg(tmp_path / "seg.dcm", series, segments_of(labelmap, [SPLEEN, LEFT_KIDNEY]), "LABELMAP")
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    made.decompress()
    if padding:
        stored = made.pixel_array.copy()
        stored[stored == 0], stored[stored == SPLEEN.value] = padding, 0
        made.PixelData = stored.tobytes()
        numbers = {0: padding, SPLEEN.value: 0}
        for item in made.SegmentSequence:
            item.SegmentNumber = numbers.get(item.SegmentNumber, item.SegmentNumber)
        made.PixelPaddingValue = padding
    elif padding is None:
        del made.PixelPaddingValue
    made.save_as(tmp_path / "seg.dcm")
    found = {segment.label.name: segment for segment in read_seg(tmp_path / "seg.dcm", series)}
    assert found.keys() == {SPLEEN.name, LEFT_KIDNEY.name}
    for label, mask in zip((SPLEEN, LEFT_KIDNEY), expected(), strict=True):
        assert found[label.name].label.value > 0
        np.testing.assert_array_equal(filled(found[label.name]), mask)


@pytest.mark.parametrize("encoding", ["FRACTIONAL", "LABELMAP"])
def test_a_packed_segmentation(tmp_path, encoding):
    (tmp_path / "series").mkdir()
    series = read_series(write_volume(tmp_path / "series", np.zeros((3, 32, 32), int), np.eye(4)))
    labelmap = np.random.default_rng(0).integers(0, 2, series.shape_kji).astype(np.uint8)
    given = segments_of(labelmap, [SPLEEN])
    if encoding == "FRACTIONAL":
        given = [replace(segment, values=segment.values * np.float32(0.6)) for segment in given]
    export_seg(tmp_path / "seg.dcm", series, given, encoding)
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    made.decompress()
    made.compress(JPEGLSLossless)
    made.save_as(tmp_path / "seg.dcm")
    (found,) = read_seg(tmp_path / "seg.dcm", series)
    np.testing.assert_array_equal(found.values > 0, labelmap[found.box] > 0)
    content = (tmp_path / "seg.dcm").read_bytes()
    (tmp_path / "seg.dcm").write_bytes(content.replace(b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.92"))
    with pytest.raises(VolumeError, match="JPEG 2000 Part 2.*TransferSyntaxUID .0002,0010"):
        read_seg(tmp_path / "seg.dcm", series)


def test_two_segments_of_one_number_are_refused(tmp_path, series):
    export_seg(tmp_path / "seg.dcm", series, segments_of(np.ones(STORED.shape, np.uint8), [SPLEEN]))
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    made.SegmentSequence.append(made.SegmentSequence[0])
    made.save_as(tmp_path / "seg.dcm")
    with pytest.raises(DicomError, match="SegmentNumber .0062,0004"):
        read_seg(tmp_path / "seg.dcm", series)


def test_voxels_of_no_segment_are_not_dropped(tmp_path, series):
    made = by_highdicom(series, expected()[0])
    made.SegmentSequence[0].SegmentNumber = 2
    made.save_as(tmp_path / "seg.dcm")
    with pytest.raises(VolumeError, match="damaged"):
        read_seg(tmp_path / "seg.dcm", series)


def test_positions_rounded_by_the_scanner(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    write_series(folder, places=np.round(np.arange(6) * 2.5 + [0, 0.2, -0.2, 0.2, 0, 0], 1) / 2.5)
    series = read_series(folder)
    mask = np.random.default_rng(0).random(STORED.shape) > 0.5
    export_seg(tmp_path / "seg.dcm", series, segments_of(mask.astype(np.uint8), [SPLEEN]))
    (found,) = read_seg(tmp_path / "seg.dcm", series)
    np.testing.assert_array_equal(filled(found), mask)


def other_series(tmp_path, **settings):
    folder = tmp_path / "other"
    folder.mkdir()
    return read_series(write_series(folder, **settings))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"FrameOfReferenceUID": "1.2.10", "series": "1.2.4"}, "another scan"),
        ({"PixelSpacing": [0.5, 0.5]}, "another grid"),
        ({"stack": Stack(origin=(-9.7, -20, 30))}, "another grid"),
        ({"stack": Stack(origin=(-10, -20, 50))}, "reaches beyond"),
        ({"stack": Stack((0.8, 0.6, 0, -0.6, 0.8, 0))}, "another grid"),
    ],
)
def test_refuses_another_series(tmp_path, series, settings, words):
    labelmap = np.zeros(STORED.shape, np.uint8)
    labelmap[1:5, 1:3, 1:4] = LEFT_KIDNEY.value
    export_seg(tmp_path / "seg.dcm", series, segments_of(labelmap, [LEFT_KIDNEY]))
    with pytest.raises(DicomError, match=words) as refused:
        read_seg(tmp_path / "seg.dcm", other_series(tmp_path, **settings))
    assert refused.value.remedy


def test_refuses_what_is_no_segmentation(tmp_path, series):
    for file in ("CT_small.dcm", "rtplan.dcm", "reportsi.dcm"):
        with pytest.raises(DicomError, match="no DICOM segmentation"):
            read_seg(Path(get_testdata_file(file)), series)
    (tmp_path / "notes.txt").write_text("nothing")
    for path in (tmp_path / "notes.txt", tmp_path / "not-there.dcm"):
        with pytest.raises(VolumeError) as refused:
            read_seg(path, series)
        assert refused.value.remedy


def test_a_real_segmentation_of_another_patient(series):
    """Of the liver, cut by pydicom's people to one frame but with the headers of three."""
    with pytest.raises((DicomError, VolumeError)) as refused:
        read_seg(Path(get_testdata_file("liver_1frame.dcm")), series)
    assert refused.value.remedy
    assert pydicom.dcmread(get_testdata_file("liver_1frame.dcm")).Modality == "SEG"
