"""refine: a mask from elsewhere and hints from files, as a user calls it."""

import errno
import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.cli.refine import unlike_names
from HiDiffRefineLib.volumes.labels import Code, Label, nameless_label
from HiDiffRefineLib.volumes.read import read_segmentation, read_volume
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.volumes.full_disk import full_after

STRUCTURE, BRAIN = Code("SCT", "123037004", "Anatomical Structure"), Code("SCT", "12738006", "Brain")
TAGS = (
    "Segmentation.Status:completed|TerminologyEntry:List~SCT^123037004^Anatomical Structure"
    "~SCT^12738006^Brain~^^~Regions~SCT^69536005^Head~^^|"
)
LEFT = Label(3, "left half", (10, 200, 30), STRUCTURE, BRAIN, tags=TAGS)
RIGHT = Label(5, "right half", (200, 10, 30), STRUCTURE, BRAIN)


@pytest.fixture
def halves(image, tmp_path):
    """A .seg.nrrd of two halves, each of which lacks the ball's upper slices."""
    volume = read_volume(image)
    ball = volume.array > 250
    ball[12:] = False
    labelmap = np.where(ball, LEFT.value, 0)
    labelmap[..., 15:][ball[..., 15:]] = RIGHT.value
    path = tmp_path / "halves.seg.nrrd"
    write_segmentation(path, labelmap, volume.ijk_to_ras, [LEFT, RIGHT])
    return path


@pytest.fixture
def markups(tmp_path):
    """(name, voxels ijk) → a point list at these voxels; the image's LPS mm are its voxels' numbers."""

    def save(name, *voxels, system="LPS", label="F"):
        points = [
            {"label": f"{label}-{n}", "position": list(voxel), "positionStatus": "defined"}
            for n, voxel in enumerate(voxels, 1)
        ]
        node = {"type": "Fiducial", "coordinateSystem": system, "controlPoints": points}
        path = tmp_path / f"{name}.mrk.json"
        path.write_text(json.dumps({"markups": [node]}))
        return path

    return save


@pytest.fixture
def refine(small_models, image, halves, tmp_path):
    """(hint files, further arguments) → exit status, and where the result goes."""

    def run(*hints, mask=halves, output=tmp_path / "out.seg.nrrd", more=("--segment", "left half")):
        command = ["refine", str(image), str(mask), "--hints", *map(str, hints), "--output", str(output)]
        return main([*command, "--device", "cpu", *more]), output

    return run


def test_hints_hold_others_stay_and_names_are_kept(refine, halves, markups, capsys):
    positive, negative = markups("positive", (10, 15, 13), (11, 16, 14)), markups("negative", (12, 15, 10))
    status, output = refine(positive, negative)
    assert status == 0
    before, _ = read_segmentation(halves)
    after, labels = read_segmentation(output)
    assert after.array[13, 15, 10] == after.array[14, 16, 11] == LEFT.value
    assert before.array[10, 15, 12] == LEFT.value and after.array[10, 15, 12] == 0
    np.testing.assert_array_equal(after.array == RIGHT.value, before.array == RIGHT.value)
    assert [(one.value, one.name, one.color) for one in labels] == [
        (one.value, one.name, one.color) for one in (LEFT, RIGHT)
    ]
    assert labels[0].tags.startswith(TAGS) and "steps=" in labels[0].tags and "hints=3" in labels[0].tags
    assert labels[0].type == labels[1].type == BRAIN
    told = capsys.readouterr().out
    count = np.count_nonzero(after.array == LEFT.value)
    assert f"-> {count / 1000:.1f} ml ({count} voxels)" in told
    assert "hint 3, negative click at R -12.0, A -15.0, S 10.0 mm: met" in told
    assert "3 of 3 hints met" in told and "research use only" in told


def test_volumes_of_all_segments_go_into_a_table(refine, halves, markups, tmp_path, capsys):
    table = tmp_path / "volumes.csv"
    more = ("--segment", "left half", "--volumes", str(table))
    status, output = refine(markups("positive", (10, 15, 13)), more=more)
    assert status == 0
    after, _ = read_segmentation(output)
    count = {value: np.count_nonzero(after.array == value) for value in (LEFT.value, RIGHT.value)}
    rows = [f"{one.value},{one.name},{count[one.value]}," for one in (LEFT, RIGHT)]
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "value,segment,voxels,ml,cut"
    assert all(line.startswith(row) for line, row in zip(lines[1:], rows, strict=True))
    assert f"Wrote {output} and {table} in" in capsys.readouterr().out


def test_the_same_question_has_the_same_answer(refine, markups, tmp_path):
    hints = markups("positive", (10, 15, 13))
    first, second = (refine(hints, output=tmp_path / f"{name}.nii.gz")[1] for name in "ab")
    assert first.read_bytes() and np.array_equal(*(read_volume_labels(path) for path in (first, second)))


def read_volume_labels(path):
    return read_segmentation(path)[0].array


def test_ras_and_lps_files_mean_the_same_place(refine, markups, tmp_path):
    lps = refine(markups("lps +", (10, 15, 13)), output=tmp_path / "a.nii.gz")[1]
    ras = refine(markups("ras +", (-10, -15, 13), system="RAS"), output=tmp_path / "b.nii.gz")[1]
    np.testing.assert_array_equal(read_volume_labels(lps), read_volume_labels(ras))


def test_the_later_hint_wins_and_the_earlier_is_said_to_be_overruled(refine, markups, capsys):
    yes, no = markups("yes +", (10, 15, 13)), markups("negative", (10, 15, 13))
    for files, expected in (((yes, no), 0), ((no, yes), LEFT.value)):
        status, output = refine(*files)
        assert status == 0 and read_volume_labels(output)[13, 15, 10] == expected
        assert "1 of 2 hints met" in (told := capsys.readouterr().out) and "overruled" in told


def test_an_empty_mask_starts_a_structure(refine, markups, image, tmp_path):
    empty = tmp_path / "empty.nii.gz"
    source = sitk.ReadImage(str(image))
    sitk.WriteImage(sitk.Cast(source < -1e9, sitk.sitkUInt8), str(empty))
    status, output = refine(markups("positive", (15, 15, 10)), mask=empty, more=("--segment", "ball"))
    labelmap, labels = read_segmentation(output)
    assert status == 0 and labelmap.array[10, 15, 15] == 1
    assert [label.name for label in labels] == ["ball"]


def test_names_that_a_log_file_has_no_letters_for(refine, markups, image, tmp_path, monkeypatch):
    empty = tmp_path / "empty.nii.gz"
    volume = read_volume(image)
    write_segmentation(empty, np.zeros_like(volume.array, np.uint8), volume.ijk_to_ras, [])
    log = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", log)
    status, _ = refine(markups("a +", (10, 15, 13)), mask=empty, more=("--segment", "Wątroba"))
    assert status == 0 and b"W\\u0105troba: 0.0 ml" in log.buffer.getvalue()


def test_an_image_given_as_a_mask_does_not_flood_the_screen(refine, markups, image, tmp_path, capsys):
    grey = tmp_path / "grey.nii.gz"
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(image)), sitk.sitkUInt16), str(grey))
    assert refine(markups("positive", (15, 15, 10)), mask=grey)[0] == 1
    error = capsys.readouterr().err
    assert "is it a mask and no image?" in error and len(error) < 700


def test_each_hint_changes_as_much_as_is_said(refine, halves, markups, tmp_path):
    hints = markups("negative", (12, 15, 10), (8, 12, 9))
    before = read_volume_labels(halves)

    def changed(*levels):
        more = ("--segment", "left half", *(("--extent", *levels) if levels else ()))
        status, output = refine(hints, output=tmp_path / "out.nii.gz", more=more)
        assert status == 0
        return read_volume_labels(output) != before

    answer = changed()
    assert np.array_equal(changed("5"), answer) and np.array_equal(changed("5", "5"), answer)
    assert changed("1").sum() == 2 < changed("1", "9").sum()
    assert changed("9").sum() > answer.sum()


def test_scribbles_on_a_labelmap(refine, image, tmp_path):
    paint = np.zeros((20, 30, 30), np.uint8)
    paint[13, 15, 8:12], paint[10, 15, 12:14] = 1, 2
    scribbles = tmp_path / "scribbles.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(paint), str(scribbles))
    status, output = refine(scribbles, more=("--segment", "3", "--bundle", "hippocampus-mr", "--steps", "1"))
    labelmap = read_volume_labels(output)
    assert status == 0
    assert (labelmap[13, 15, 8:12] == LEFT.value).all() and (labelmap[10, 15, 12:14] == 0).all()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ((), "halves.seg.nrrd has several segments. Choose one with --segment: 3 left half, 5 right half."),
        (("--segment", "liver"), "halves.seg.nrrd has no segment 'liver'."),
        (("--segment", "3", "--extent", "1", "2", "3"), "--extent has 3 levels for 1 hints."),
        (("--segment", "3", "--steps", "0"), "0 reverse steps are not possible"),
        (("--segment", "3", "--bundle", "nonsense"), "no model bundle 'nonsense'"),
    ],
)
def test_bad_wishes(refine, markups, capsys, more, sentence):
    status, output = refine(markups("positive", (10, 15, 13)), more=more)
    assert status == 1 and not output.exists()
    assert sentence in capsys.readouterr().err


def test_bad_hints_are_refused_before_any_edit(refine, markups, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("HiDiffRefineLib.session.session.RefinementSession.refine", None)
    broken, nothing = tmp_path / "broken.mrk.json", tmp_path / "nothing.nii.gz"
    broken.write_text("{")
    sitk.WriteImage(sitk.Image(30, 30, 20, sitk.sitkUInt8), str(nothing))
    for file, sentence in (
        (markups("far +", (10, 15, 13), (10, 15, 99)), "far +.mrk.json: Hint 2 (positive click at"),
        (markups("none +"), "none +.mrk.json: It holds no points."),
        (broken, "broken.mrk.json: The file is damaged"),
        (tmp_path / "missing.mrk.json", "missing.mrk.json: The file cannot be read"),
        (nothing, "nothing.nii.gz: Nothing is painted on it."),
        (
            markups("taken +", (10, 15, 13), (18, 15, 10)),
            "Hint 2 (positive click at R -18.0, A -15.0, S 10.0 mm): The hint for 'left half' lies in the"
            " segment 'right half'.",
        ),
    ):
        status, output = refine(file)
        error = capsys.readouterr().err
        assert status == 1 and not output.exists()
        assert sentence in error and "Traceback" not in error


def test_bad_masks_images_and_outputs(refine, markups, halves, image, tmp_path, capsys):
    hints = markups("positive", (10, 15, 13))
    other = tmp_path / "other.nii.gz"
    sitk.WriteImage(sitk.Image(30, 30, 21, sitk.sitkUInt8) + 1, str(other))
    for changes, sentence in (
        ({"mask": other}, "other.nii.gz: The mask has another geometry than the image ball."),
        ({"mask": image}, "The file is no labelmap"),
        ({"output": tmp_path / "no" / "out.nii.gz"}, "its folder does not exist"),
        ({"output": tmp_path / "out.png"}, "no extension that can be written"),
        ({"output": halves}, "would overwrite another file"),
    ):
        assert refine(hints, **changes)[0] == 1
        assert sentence in capsys.readouterr().err
    source = sitk.GetArrayFromImage(sitk.ReadImage(str(image)))
    source[0, 0, 0] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(source), str(image))
    assert refine(hints)[0] == 1
    assert "not numbers (NaN or infinity)" in capsys.readouterr().err


def test_a_full_disk_changes_no_file_and_says_so(refine, markups, tmp_path, capsys):
    hints, output, table = markups("positive", (10, 15, 13)), tmp_path / "out.nii", tmp_path / "volumes.csv"
    for path in (output, table):
        path.write_bytes(b"old")
    more = ("--segment", "left half", "--volumes", str(table))
    with full_after(1000):
        status, _ = refine(hints, output=output, more=more)
    told = capsys.readouterr()
    assert status == 1 and "Wrote" not in told.out
    assert "'out.nii' could not be written" in told.err and "space left" in told.err
    assert output.read_bytes() == table.read_bytes() == b"old"


def test_a_table_that_has_no_room_takes_the_mask_along(refine, markups, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("HiDiffRefineLib.cli.refine.write_volume_table", full)
    more = ("--segment", "left half", "--volumes", str(tmp_path / "v.csv"))
    status, output = refine(markups("positive", (10, 15, 13)), more=more)
    assert status == 1 and not output.exists()
    assert "'out.seg.nrrd' and 'v.csv' could not be written" in capsys.readouterr().err


def test_the_user_tells_what_no_name_says(refine, markups, capsys):
    hints, more = markups("clicks", (10, 15, 13)), ("--segment", "left half")
    status, output = refine(hints, more=more)
    error = capsys.readouterr().err
    assert status == 1 and "clicks.mrk.json: 'F-1' says neither positive nor negative" in error
    assert "--positive NAME" in error
    for sign, expected in (("positive", LEFT.value), ("negative", 0)):
        status, output = refine(hints, more=(*more, f"--{sign}", "clicks"))
        assert status == 0 and read_volume_labels(output)[13, 15, 10] == expected
    assert refine(hints, more=(*more, "--positive", "clicks", "--negative", "click"))[0] == 1
    assert "is called 'click'" in capsys.readouterr().err


def test_a_new_segment_takes_no_hints_of_another(refine, tmp_path, capsys):
    """The module's lists hold those of all segments."""
    points = [
        {"label": f"F-{n}", "position": [x, 15, 17], "description": description}
        for n, (x, description) in enumerate([(15, "0 Segment_1"), (14, "")])
    ]
    markup = {"type": "Fiducial", "name": "HiDiffRefine +", "coordinateSystem": "LPS"}
    path = tmp_path / "points.mrk.json"
    for kept, expected in ((points, 0), (points[:1], 1)):
        path.write_text(json.dumps({"markups": [markup | {"controlPoints": kept}]}))
        status, _ = refine(path, more=("--segment", "cyst", "--new-segment"))
        told = capsys.readouterr()
        assert status == expected, told.err
        assert ("1 of 1 hints met" in told.out) if status == 0 else "no hints for the chosen" in told.err


def test_a_further_segment_beside_others(refine, halves, markups, capsys):
    hints = markups("positive", (3, 3, 3))
    status, output = refine(hints, more=("--segment", "cyst", "--new-segment"))
    assert status == 0
    before, _ = read_segmentation(halves)
    after, labels = read_segmentation(output)
    assert [(label.value, label.name) for label in labels][2] == (6, "cyst") and after.array[3, 3, 3] == 6
    for label in (LEFT, RIGHT):
        np.testing.assert_array_equal(after.array == label.value, before.array == label.value)
    for more in (("--segment", "left half", "--new-segment"), ("--new-segment",)):
        assert refine(hints, more=more)[0] == 1
        assert "needs a name that no other has" in capsys.readouterr().err


def test_equal_names_are_told_and_never_collide(capsys):
    labels = [replace(nameless_label(n), name=name) for n, name in enumerate(("a", "a", "a (1)", "b"), 1)]
    assert [label.name for label in unlike_names(labels)] == ["a (1)'", "a (2)", "a (1)", "b"]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and told[0].endswith("The one of value 1 is 'a (1)'' now.")


def test_maps_of_probabilities_are_no_mask(refine, markups, image, tmp_path, capsys):
    source = sitk.ReadImage(str(image))
    maps = sitk.Cast(sitk.RescaleIntensity(source, 0, 1), sitk.sitkFloat32)
    for one, sentence in (
        (maps, "no map of probabilities"),
        (sitk.JoinSeries([maps, maps]), "of maps of prob"),
    ):
        sitk.WriteImage(one, str(tmp_path / "p.nii.gz"))
        assert refine(markups("positive", (10, 15, 13)), mask=tmp_path / "p.nii.gz")[0] == 1
        assert sentence in capsys.readouterr().err
