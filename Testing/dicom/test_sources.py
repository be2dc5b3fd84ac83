"""Series whose headers say odd things, as sources of a segmentation: true geometry, true names."""

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread

from HiDiffRefineLib.dicom import export
from HiDiffRefineLib.dicom.checks import check_list
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.images import read_image
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import Segment, segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import DicomError
from Testing.dicom.made_up import SPACING_KJI, STORED, Stack, enhanced, write_series, write_slice
from Testing.volumes.samples import LEFT_KIDNEY, SPLEEN


def given(encoding="BINARY"):
    labelmap = np.zeros(STORED.shape, np.uint8)
    labelmap[1:3, 1:3, 2:4], labelmap[4, 0, 0] = SPLEEN.value, LEFT_KIDNEY.value
    segments = segments_of(labelmap, [SPLEEN, LEFT_KIDNEY])
    if encoding == "FRACTIONAL":
        return [Segment(s.label, s.box, s.values * np.float32(0.6)) for s in segments]
    return segments


def exported(series, file, encoding="BINARY") -> pydicom.Dataset:
    """The header of an export that came back as it went."""
    export_seg(file, series, given(encoding), encoding)
    for meant, found in zip(given(encoding), read_seg(file, series), strict=True):
        assert found.box == meant.box
        np.testing.assert_allclose(found.values, meant.values, atol=0.002)
    return pydicom.dcmread(file)


def new(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("told", [5, -2.5, 0.1, 1e9])
def test_the_distance_between_slices_is_the_true_one(tmp_path, encoding, told):
    series = read_series(write_series(new(tmp_path / "series"), SpacingBetweenSlices=told))
    header = exported(series, tmp_path / "seg.dcm", encoding)
    measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SpacingBetweenSlices == SPACING_KJI[0]
    geometry = segread(tmp_path / "seg.dcm").get_volume_geometry()
    assert geometry.spacing == pytest.approx(SPACING_KJI)


def of_another_distance(made):
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 5


def turned(made):
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]


def moved(made):
    frame = made.PerFrameFunctionalGroupsSequence[0]
    frame.PlanePositionSequence[0].ImagePositionPatient[0] += 0.01


def of_another_patient(made):
    made.PatientName = "Someone^Else"


def with_a_frame_twice(made):
    frames = made.PerFrameFunctionalGroupsSequence
    made.PerFrameFunctionalGroupsSequence = [frames[1], *frames[1:]]


@pytest.mark.parametrize(
    "change", [of_another_distance, turned, moved, of_another_patient, with_a_frame_twice]
)
def test_a_file_that_says_something_else_is_not_kept(tmp_path, monkeypatch, change):
    make = export.make_seg

    def changed(*arguments):
        made = make(*arguments)
        change(made)
        return made

    monkeypatch.setattr(export, "make_seg", changed)
    series = read_series(write_series(new(tmp_path / "series")))
    with pytest.raises(DicomError, match="not the same"):
        export_seg(tmp_path / "seg.dcm", series, given())
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_frame_lies_on_its_slice(tmp_path, encoding):
    series = read_series(write_series(new(tmp_path / "series")))
    header = exported(series, tmp_path / "seg.dcm", encoding)
    positions = {one.header.SOPInstanceUID: list(one.position) for one in series.slices}
    for frame in header.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert source.SpatialLocationsPreserved == "YES"
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert positions[source.ReferencedSOPInstanceUID] == pytest.approx(list(place))
    slices = [one.header.SOPInstanceUID for one in series.slices]
    found = segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(
        slices, segment_numbers=[SPLEEN.value], rescale_fractional=False
    )
    expected = np.zeros(STORED.shape, bool)
    expected[given()[0].box] = given()[0].values
    np.testing.assert_array_equal(found[..., 0] > 0, expected)


@pytest.mark.parametrize("told, written", [("3", 3), ("-3", 3), ("0", 2.5), ("3 mm", 2.5), ("1e9", 2.5)])
def test_a_thickness_that_cannot_be_is_no_hindrance(tmp_path, told, written):
    header = exported(source_with(tmp_path, "SliceThickness", told), tmp_path / "seg.dcm")
    measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == written


def test_a_single_slice_is_as_thick_as_it_says_not_as_far_from_the_next(tmp_path):
    tags = {"SliceThickness": 4, "SpacingBetweenSlices": 650}
    series = read_series(write_series(new(tmp_path / "series"), [0], **tags))
    assert np.linalg.norm(series.ijk_to_ras[:3, 2]) == 4


def test_orientations_that_differ_in_the_last_decimal(tmp_path):
    folder = new(tmp_path / "series")
    for k in range(6):
        write_slice(folder / f"{k}", STORED[k], Stack().position(k), (1, 0, k * 1e-7, 0, 1, 0))
    exported(read_series(folder), tmp_path / "seg.dcm")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_multi_frame_with_geometry_in_every_frame(tmp_path, encoding):
    made = enhanced(write_series(new(tmp_path / "single")))
    shared = made.SharedFunctionalGroupsSequence[0]
    for n, frame in enumerate(made.PerFrameFunctionalGroupsSequence):
        for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
            frame[name] = pydicom.DataElement(name, "SQ", [pydicom.Dataset(shared[name][0])])
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, n * 1e-7, 0, 1, 0]
        frame.PixelMeasuresSequence[0].SpacingBetweenSlices = -9
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    made.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    header = exported(read_series(tmp_path / "enhanced.dcm"), tmp_path / "seg.dcm", encoding)
    for frame in header.PerFrameFunctionalGroupsSequence:
        number = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        of_source = made.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        assert of_source.ImagePositionPatient == frame.PlanePositionSequence[0].ImagePositionPatient


def test_multi_frame_in_several_files(tmp_path):
    folder = new(tmp_path / "series")
    for n in range(2):
        made = enhanced(write_series(new(tmp_path / f"{n}"), places=range(n, 6, 2)))
        made.SeriesInstanceUID = "1.2.7"
        made.save_as(folder / f"{n}", enforce_file_format=True)
    series = read_series(folder)
    header = exported(series, tmp_path / "seg.dcm")
    assert len(header.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 2
    np.testing.assert_array_equal(read_image(folder).array, STORED[[0, 0, 1, 1, 2, 2]] - 1024)
    frames = {(one.header.SOPInstanceUID, one.frame) for one in series.slices}
    assert len(frames) == 6


@pytest.mark.parametrize("kind", ["1.2.3", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.7"])
def test_a_wrong_kind_of_object(tmp_path, kind):
    series = read_series(write_series(new(tmp_path / "series"), SOPClassUID=kind))
    header = exported(series, tmp_path / "seg.dcm")
    referenced = header.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {one.ReferencedSOPClassUID for one in referenced} == {kind}


NAMES = [
    ("ISO_IR 100", "Müller^Jörg"),
    ("ISO 2022 IR 100", "Müller^Jörg"),
    (["", "ISO 2022 IR 100"], "Müller^Jörg"),
    ("ISO_IR 101", "Wałęsa^Łucja"),
    ("ISO_IR 109", "Ċetta^Ġorġ"),
    ("ISO_IR 110", "Bērziņš^Ģirts"),
    ("ISO_IR 126", "Διονυσιος"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("ISO_IR 138", "שרון^דבורה"),
    ("ISO_IR 144", "Люксембург"),
    ("ISO_IR 148", "Çavuşoğlu"),
    ("ISO_IR 166", "นามสกุล"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("ISO_IR 192", "Иванов^山田"),
    ("GB18030", "王^小东"),
    ("GBK", "王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 159"], "Test^Name=丂侄"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    (["ISO 2022 IR 6", "ISO 2022 IR 144"], "Ivanov=Иванов"),
    ("ISO_IR 6", "Miller^Anna"),
    ("", "Miller^Anna"),
    (None, "Miller^Anna"),
]


@pytest.mark.parametrize("declared, name", NAMES, ids=[str(declared) for declared, _ in NAMES])
def test_names_in_every_character_set(tmp_path, declared, name):
    folder = write_series(new(tmp_path / "series"), SpecificCharacterSet=declared, PatientName=name)
    series = read_series(folder)
    assert str(pydicom.dcmread(series.slices[0].file).PatientName) == name  # the test's own
    assert all(check.good and not check.remedy for check in check_list(series, given(), "BINARY"))
    header = exported(series, tmp_path / "seg.dcm")
    assert (header.PatientName, header.SpecificCharacterSet) == (name, "ISO_IR 192")


# As in the standard's own example (PS3.5, K.2).
CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
LATIN_1, UTF_8 = "Müller^Jörg".encode("latin-1"), "Müller^Jörg".encode()


@pytest.mark.parametrize(
    "declared, content, name, sure",
    [
        ("ISO_IR 203", "Œuvre^€".encode("iso8859-15"), "Œuvre^€", True),
        ("\\ISO 2022 IR 58", CHINESE, "Zhang^XiaoDong=张^小东", True),
        (None, LATIN_1, "Müller^Jörg", False),
        ("ISO_IR 6", UTF_8, "Müller^Jörg", False),
        ("ISO_IR 192", LATIN_1, "Müller^Jörg", False),
        ("ISO_IR 999", LATIN_1, "Müller^Jörg", False),
        ("ISO_IR 100", b"M\x81ller", "M\x81ller", False),
    ],
)
def test_bytes_of_another_character_set_are_told(tmp_path, declared, content, name, sure):
    """And keep nobody out."""
    placeholder = "#" * len(content)
    folder = write_series(
        new(tmp_path / "series"), SpecificCharacterSet="ISO 2022 IR 149", PatientName=placeholder
    )
    for file in folder.iterdir():
        written = file.read_bytes().replace(placeholder.encode(), content)
        file.write_bytes(written.replace(b"ISO 2022 IR 149 ", (declared or "").ljust(16).encode()))
    series = read_series(folder)
    for _ in range(2):  # what was looked at is told again
        told = [check for check in check_list(series, given(), "BINARY") if check.remedy]
        assert all(check.good for check in told) and bool(told) is not sure
        if told:
            assert "PatientName (0010,0010)" in told[0].text and f"read as '{name}'" in told[0].text
    assert exported(series, tmp_path / "seg.dcm").PatientName == name


def test_the_letters_of_nested_items(tmp_path):
    nested = pydicom.Dataset()
    nested.PatientID, nested.IssuerOfPatientID = "7", "Universität"
    folder = write_series(
        new(tmp_path / "series"), SpecificCharacterSet="ISO_IR 100", OtherPatientIDsSequence=[nested]
    )
    header = exported(read_series(folder), tmp_path / "seg.dcm")
    assert header.OtherPatientIDsSequence[0].IssuerOfPatientID == "Universität"


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("StudyDate", "20261301"),
        ("StudyDate", "yesterday"),
        ("StudyTime", "256000"),
        ("PatientBirthDate", "00000000"),
        ("PatientSex", "W"),
        ("PatientAge", "forty"),
        ("PatientWeight", "70,5"),
    ],
)
def test_what_dicom_forbids_is_left_out_and_told(tmp_path, keyword, value):
    series = source_with(tmp_path, keyword, value)
    (told,) = (check for check in check_list(series, given(), "BINARY") if check.remedy)
    assert told.good and told.text.startswith(f"{keyword} (") and f"'{value}'" in told.text
    assert not exported(series, tmp_path / "seg.dcm").get(keyword)


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("PatientID", "x" * 65),
        ("StudyDescription", "x" * 65),
        ("StudyInstanceUID", "1.2.03"),
        ("FrameOfReferenceUID", "1.2.a"),
        ("SOPInstanceUID", "1.02.3"),
        ("SeriesInstanceUID", "1.02.3"),
    ],
)
def test_names_and_identifiers_go_word_for_word(tmp_path, keyword, value):
    """DICOM does not allow them, but the archive has them so."""
    series = source_with(tmp_path, keyword, value, 1 if keyword == "SOPInstanceUID" else 6)
    header = exported(series, tmp_path / "seg.dcm")
    referenced = header.ReferencedSeriesSequence[0]
    slices = [one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence]
    assert value in (header.get(keyword), referenced.SeriesInstanceUID, *slices)


def test_without_a_study_no_archive_could_file_the_segmentation(tmp_path):
    series = read_series(write_series(new(tmp_path / "series"), StudyInstanceUID=None))
    (told,) = (check for check in check_list(series, given(), "BINARY") if not check.good)
    assert "StudyInstanceUID (0020,000D)" in told.text and told.remedy
    with pytest.raises(DicomError, match="StudyInstanceUID"):
        export_seg(tmp_path / "seg.dcm", series, given())


def source_with(tmp_path, keyword, value, slices=6):
    """A series of which some slices have a value that pydicom would not write."""
    tag, vr = pydicom.tag.Tag(keyword), pydicom.datadict.dictionary_VR(keyword)
    content = value.encode().ljust(len(value) + len(value) % 2)
    folder = write_series(new(tmp_path / "series"))
    for file in sorted(folder.iterdir())[:slices]:
        whole = pydicom.dcmread(file)
        whole._dict[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(content), content, 0, False, True)
        whole.save_as(file)
    return read_series(folder)
