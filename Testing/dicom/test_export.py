"""The check list, what stands in the header, and the two commands."""

import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.dicom import export
from HiDiffRefineLib.dicom.checks import FIXES, check_list, fixed
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.masks import read_maps
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import NOWHERE, Segment, segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.volumes.labels import TISSUE, nameless_label
from HiDiffRefineLib.volumes.provenance import NAME, TYPE, made_here, tagged, tags_in
from HiDiffRefineLib.volumes.read import read_segmentation
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.dicom.made_up import STORED, enhanced, write_series, write_volume
from Testing.volumes.samples import LEFT_KIDNEY, SPLEEN

LABELS = [SPLEEN, LEFT_KIDNEY]


def labelmap():
    array = np.zeros(STORED.shape, np.uint8)
    array[1:3, 1:3, 2:4], array[4, 0, 0] = SPLEEN.value, LEFT_KIDNEY.value
    return array


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    return read_series(write_series(folder))


@pytest.fixture
def segments():
    return segments_of(labelmap(), LABELS)


def bad_lines(series, segments, encoding="BINARY"):
    return [check for check in check_list(series, segments, encoding) if not check.good]


def test_a_good_list_has_no_remedies(series, segments):
    checks = check_list(series, segments, "LABELMAP")
    assert len(checks) == 8 and all(check.good and not check.remedy for check in checks)


def test_each_bad_line_has_a_remedy_and_most_a_fix(series, segments):
    nameless, empty = nameless_label(7), Segment(replace(SPLEEN, value=8), NOWHERE, np.zeros((0, 0, 0), bool))
    long = replace(segments[0], label=replace(SPLEEN, name="x" * 65))
    wrong = [segments[0], Segment(nameless, segments[0].box, segments[0].values), empty, long]
    found = {check.text.partition(":")[0]: check for check in bad_lines(series, wrong, "LABELMAP")}
    assert all(check.remedy for check in found.values())
    fixes = {text: check.fix for text, check in found.items()}
    assert fixes == {
        "A segment has no usable name (segment 1)": "name",
        "No code says what this is": "code",
        "Empty": "leave-out-empty",
        "Segments overlap": "",
    }
    assert [check.fix for check in bad_lines(series, fixed(wrong, FIXES), "LABELMAP")] == [""]
    assert not bad_lines(series, fixed(wrong, FIXES))
    assert [s.label.type for s in fixed(wrong, FIXES)] == [SPLEEN.type, TISSUE, SPLEEN.type]
    assert bad_lines(series, [])[0].text == "There is no segment."
    assert bad_lines(series, [empty])[0].fix == ""  # nothing would be left


def test_a_series_that_viewers_could_not_place(tmp_path, segments):
    bare = read_series(write_series(tmp_path, FrameOfReferenceUID=None))
    assert "frame of reference" in bad_lines(bare, segments)[0].text
    with pytest.raises(DicomError, match="frame of reference"):
        export_seg(tmp_path / "out.dcm", bare, segments)


def test_what_is_no_probability(series, segments):
    for values in (
        segments[0].values,
        segments[0].values * np.float32(2),
        segments[0].values * np.float32(np.nan),
    ):
        assert (
            "no probabilities"
            in bad_lines(series, [replace(segments[0], values=values)], "FRACTIONAL")[-1].text
        )


@pytest.mark.parametrize("encoding", ["BINARY", "LABELMAP"])
def test_header(tmp_path, series, segments, encoding):
    made = made_here(bundle="abdomen-ct", seed=3, steps=4, hints=2)
    segments[0] = replace(segments[0], label=tagged(SPLEEN, made))
    segments[1] = replace(segments[1], label=tagged(LEFT_KIDNEY, {TYPE: "MANUAL"}))
    export_seg(tmp_path / "out.dcm", series, segments, encoding)
    header = pydicom.dcmread(tmp_path / "out.dcm")
    spleen, kidney = header.SegmentSequence[-2:]
    assert (spleen.SegmentAlgorithmType, kidney.SegmentAlgorithmType) == ("SEMIAUTOMATIC", "MANUAL")
    algorithm = spleen.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "HiDiffRefine" and algorithm.AlgorithmVersion
    for part in ("bundle=abdomen-ct", "seed=3", "steps=4", "hints=2"):
        assert part in algorithm.AlgorithmParameters
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    referenced = header.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == series.header.SeriesInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence} == {
        one.header.SOPInstanceUID for one in series.slices
    }
    assert header.StudyInstanceUID == series.header.StudyInstanceUID
    assert header.PatientName == "Miller^Anna" and header.SeriesDescription and header.SeriesNumber
    frames = 6 if encoding == "LABELMAP" else 12
    assert header.NumberOfFrames == frames  # none left out


def test_tracking_is_stable_and_instances_are_new(tmp_path, series, segments):
    headers = []
    for name in ("a.dcm", "b.dcm"):
        export_seg(tmp_path / name, series, segments)
        headers.append(pydicom.dcmread(tmp_path / name))
    first, second = headers
    tracked = [[item.TrackingUID for item in header.SegmentSequence] for header in headers]
    assert tracked[0] == tracked[1] and len(set(tracked[0])) == 2
    assert (
        first.SOPInstanceUID != second.SOPInstanceUID and first.SeriesInstanceUID != second.SeriesInstanceUID
    )


def test_nothing_added_names_a_person_or_a_path(tmp_path, series, segments):
    export_seg(tmp_path / "Miller Anna.dcm", series, segments)
    source = {str(element.value) for element in series.header if element.VR == "PN"}
    header = pydicom.dcmread(tmp_path / "Miller Anna.dcm")
    names = {str(element.value) for element in header.iterall() if element.VR == "PN"}
    assert names <= source | {"HiDiffRefine^Software", ""}
    content = (tmp_path / "Miller Anna.dcm").read_bytes()
    for word in (
        str(tmp_path),
        os.path.expanduser("~"),
        "Hospital",
        "STATION",
        "Miller Anna",
        os.uname().nodename,
    ):
        assert word.encode() not in content, word


def test_a_source_without_patient_and_with_odd_letters(tmp_path, segments):
    bare = {name: None for name in ("PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate")}
    folder = write_series(
        tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg", SliceThickness=None, **bare
    )
    series = read_series(folder)
    segments[0] = replace(segments[0], label=replace(SPLEEN, name="Milz ≥ 1 脾臓"))
    export_seg(tmp_path / "out.dcm", series, segments)
    header = pydicom.dcmread(tmp_path / "out.dcm")
    assert header.PatientName == "Müller^Jörg" and header.SegmentSequence[0].SegmentLabel == "Milz ≥ 1 脾臓"


@pytest.mark.parametrize("encoding", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_on_a_multi_frame_series(tmp_path, segments, encoding):
    (tmp_path / "single").mkdir()
    enhanced(write_series(tmp_path / "single")).save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    series = read_series(tmp_path / "enhanced.dcm")
    if encoding == "FRACTIONAL":
        segments = [replace(segment, values=segment.values * np.float32(0.4)) for segment in segments]
    export_seg(tmp_path / "out.dcm", series, segments, encoding)
    for meant, found in zip(segments, read_seg(tmp_path / "out.dcm", series), strict=True):
        assert found.box == meant.box
        np.testing.assert_allclose(found.values, meant.values)


def test_a_file_that_differs_is_not_kept(tmp_path, series, segments, monkeypatch):
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "out.dcm"
    target.write_bytes(b"old")
    make = export.make_seg

    def with_a_voxel_lost(*arguments):
        made = make(*arguments)
        made.PixelData = bytes(len(made.PixelData))
        return made

    monkeypatch.setattr(export, "make_seg", with_a_voxel_lost)
    with pytest.raises(DicomError, match="not the same"):
        export_seg(target, series, segments)
    assert target.read_bytes() == b"old" and len(os.listdir(target.parent)) == 1


def test_stopped_while_it_writes(tmp_path, series, segments):
    def stop(share, what):
        if what == "reading it back":
            raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        export_seg(tmp_path / "out" / "out.dcm", series, segments, progress=stop)
    assert not os.listdir(tmp_path / "out")


def test_a_slice_of_the_series_is_not_overwritten(tmp_path, series, segments):
    file = series.slices[0].file.rename(tmp_path / "series" / "a.dcm")
    series = read_series(tmp_path / "series")
    with pytest.raises(DicomError, match="slice of the series"):
        export_seg(file, series, segments)
    assert read_series(tmp_path / "series").shape_kji == STORED.shape


def command(tmp_path, name, *arguments):
    return main([name, *map(str, arguments), "--source", str(tmp_path / "series")])


def test_commands(tmp_path, series, capsys):
    mask, out, back = tmp_path / "m.seg.nrrd", tmp_path / "m.dcm", tmp_path / "b.seg.nrrd"
    write_segmentation(mask, labelmap(), series.ijk_to_ras, LABELS)
    for encoding in ("binary", "labelmap"):
        assert command(tmp_path, "export-dicom", mask, "--output", out, "--encoding", encoding) == 0
        told = capsys.readouterr().out
        assert "ok  No segment is empty." in told and "same in every voxel" in told
        assert command(tmp_path, "import-dicom", out, "--output", back) == 0
        volume, labels = read_segmentation(back)
        np.testing.assert_array_equal(volume.array > 0, labelmap() > 0)
        np.testing.assert_allclose(volume.ijk_to_ras, series.ijk_to_ras, atol=1e-4)
        assert [label.type for label in labels] == [SPLEEN.type, LEFT_KIDNEY.type]
        assert tags_in(labels[0].tags)[TYPE] == "SEMIAUTOMATIC" and NAME in labels[0].tags


@pytest.mark.parametrize("creator", ["Doe\\Jane", "x" * 65])
def test_a_creator_that_dicom_cannot_hold(tmp_path, series, capsys, creator):
    mask, out = tmp_path / "m.seg.nrrd", tmp_path / "m.dcm"
    write_segmentation(mask, labelmap(), series.ijk_to_ras, LABELS)
    assert command(tmp_path, "export-dicom", mask, "--output", out, "--creator", creator) == 1
    assert "DICOM can't hold that --creator" in capsys.readouterr().err and not out.exists()


def test_a_series_of_one_slice_goes_out_and_comes_back(tmp_path):
    (tmp_path / "series").mkdir()
    series = read_series(write_series(tmp_path / "series", [0]))
    mask, out, back = tmp_path / "m.seg.nrrd", tmp_path / "m.dcm", tmp_path / "b.nii.gz"
    write_segmentation(mask, labelmap()[1:2], series.ijk_to_ras, [SPLEEN])
    assert command(tmp_path, "export-dicom", mask, "--output", out) == 0
    assert command(tmp_path, "import-dicom", out, "--output", back) == 0
    np.testing.assert_array_equal(read_segmentation(back)[0].array, labelmap()[1:2] > 0)


def test_a_mask_without_names_gets_them_from_a_bundle_or_is_fixed(tmp_path, series, capsys):
    mask, out = tmp_path / "m.nii.gz", tmp_path / "m.dcm"
    write_segmentation(mask, labelmap(), series.ijk_to_ras, LABELS)
    assert command(tmp_path, "export-dicom", mask, "--output", out) == 1
    told = capsys.readouterr()
    assert "NO  No code says what this is: label 1, label 3." in told.out and not out.exists()
    assert "nothing was written" in told.err
    assert command(tmp_path, "export-dicom", mask, "--output", out, "--bundle", "abdomen-ct") == 0
    assert [s.label.name for s in read_seg(out, series)] == ["spleen", "left kidney"]
    assert command(tmp_path, "export-dicom", mask, "--output", out, "--fix") == 0
    assert [s.label.type for s in read_seg(out, series)] == [TISSUE, TISSUE]


@pytest.mark.parametrize("kind", ["AUTOMATIC", "MANUAL", None])
def test_how_a_mask_was_made_is_said_by_itself_or_by_its_user(tmp_path, series, kind):
    mask, out = tmp_path / "m.seg.nrrd", tmp_path / "m.dcm"
    labels = [tagged(SPLEEN, made_here(automatic=True)), LEFT_KIDNEY]
    write_segmentation(mask, labelmap(), series.ijk_to_ras, labels)
    made = ["--made", kind.lower()] if kind else []
    assert command(tmp_path, "export-dicom", mask, "--output", out, *made) == 0
    kinds = [item.SegmentAlgorithmType for item in pydicom.dcmread(out).SegmentSequence]
    assert kinds == ["AUTOMATIC", kind or "SEMIAUTOMATIC"]


def test_the_likelier_of_two_segments_has_the_voxel(tmp_path, series):
    out, back = tmp_path / "m.dcm", tmp_path / "b.nii.gz"
    first, second = np.zeros(STORED.shape, np.float32), np.zeros(STORED.shape, np.float32)
    first[1], second[1, 1:] = 0.5, 0.5
    second[1, 2], first[2], second[2] = 0.9, 0.6, 0.4
    whole = tuple(slice(0, n) for n in STORED.shape)
    segments = [Segment(SPLEEN, whole, first), Segment(LEFT_KIDNEY, whole, second)]
    export_seg(out, series, segments, "FRACTIONAL")
    assert command(tmp_path, "import-dicom", out, "--output", back) == 0
    found = read_segmentation(back)[0].array
    expected = np.where(first >= 0.5, 1, 0)
    expected[second > np.maximum(first, 0.49)] = 2  # the file numbers its segments
    np.testing.assert_array_equal(found, expected)
    assert command(tmp_path, "import-dicom", out, "--segment", LEFT_KIDNEY.name, "--output", back) == 0
    np.testing.assert_array_equal(read_segmentation(back)[0].array > 0, second >= 0.5)


def test_overlapping_files_and_probabilities(tmp_path, series, capsys):
    one, two, out = tmp_path / "1.seg.nrrd", tmp_path / "2.seg.nrrd", tmp_path / "m.dcm"
    write_segmentation(one, labelmap(), series.ijk_to_ras, LABELS)
    maps = np.zeros((2, *STORED.shape), np.float32)
    maps[0, 1:4, 1:3, 1:3], maps[1, 2, 2, 2] = 0.7, 0.9
    probabilities = tmp_path / "p.nii.gz"
    write_segmentation(two, labelmap(), series.ijk_to_ras, LABELS, probabilities, maps)
    assert command(tmp_path, "export-dicom", one, two, "--output", out) == 0
    assert command(tmp_path, "import-dicom", out, "--output", tmp_path / "b.nii.gz") == 1
    assert "overlap" in capsys.readouterr().err
    assert command(tmp_path, "import-dicom", out, "--segment", "3", "--output", tmp_path / "b.nii.gz") == 0
    fractional = ["--output", out, "--encoding", "fractional"]
    assert command(tmp_path, "export-dicom", probabilities, *fractional, "--bundle", "hippocampus-mr") == 0
    np.testing.assert_allclose(read_seg(out, series)[0].values, 0.7, atol=0.002)
    assert command(tmp_path, "export-dicom", probabilities, *fractional, "--bundle", "abdomen-ct") == 1
    assert "2 maps, but the model has 13 labels" in capsys.readouterr().err


def test_maps_are_read_one_at_a_time(tmp_path):
    """Thirteen of a CT would take 2 GB, and as much again on every further way."""
    shape, count = (24, 96, 96), 16
    folder = tmp_path / "series"
    folder.mkdir()
    series = read_series(write_volume(folder, np.zeros(shape, int), np.eye(4)))
    maps = np.full((count, *shape), np.float32(1e-4))
    maps[:, 5:9, 20:50, 30:60] = 0.75
    file = tmp_path / "p.nii"
    write_segmentation(tmp_path / "m.nii", np.zeros(shape, np.uint8), series.ijk_to_ras, [], file, maps)
    tracemalloc.start()
    segments, placed = read_maps(file, series)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert placed.good and len(segments) == count and peak < 4 * maps[0].nbytes
    for segment in segments:
        assert segment.box == (slice(5, 9), slice(20, 50), slice(30, 60))
        np.testing.assert_allclose(segment.values / 255, 0.75, atol=0.002)


def test_a_mask_of_another_geometry(tmp_path, series, capsys):
    mask = tmp_path / "m.seg.nrrd"
    write_segmentation(mask, labelmap(), np.diag([1.0, 1, 1, 1]), LABELS)
    assert command(tmp_path, "export-dicom", mask, "--output", tmp_path / "m.dcm") == 1
    assert "NO  m.seg.nrrd has another geometry" in capsys.readouterr().out


@pytest.mark.parametrize("flips", [(-1, 1, 1), (1, 1, -1), (-1, -1, -1)])
def test_a_mask_with_other_axes_than_the_series(tmp_path, series, flips):
    mask, out = tmp_path / "m.seg.nrrd", tmp_path / "m.dcm"
    flip = np.diag([*flips, 1.0])
    flip[:3, 3] = [n - 1 if sign < 0 else 0 for n, sign in zip(STORED.shape[::-1], flips, strict=True)]
    turned = labelmap()[tuple(slice(None, None, sign) for sign in flips[::-1])]
    write_segmentation(mask, turned, series.ijk_to_ras @ flip, LABELS)
    assert command(tmp_path, "export-dicom", mask, "--output", out) == 0
    for segment, label in zip(read_seg(out, series), LABELS, strict=True):
        whole = np.zeros(STORED.shape, bool)
        whole[segment.box] = segment.values
        np.testing.assert_array_equal(whole, labelmap() == label.value)
