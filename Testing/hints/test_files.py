"""Hint files of any kind, and which of their hints are positive."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.files import read_hints
from HiDiffRefineLib.hints.naming import list_name, point_description
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.hints.signs import Signs
from HiDiffRefineLib.volumes.itk import LPS_TO_RAS
from HiDiffRefineLib.volumes.labels import TISSUE, Label
from HiDiffRefineLib.volumes.write import write_segmentation

GRID = Grid((6, 8, 10), LPS_TO_RAS)


@pytest.mark.parametrize(
    "file, list_name, labels, signs",
    [
        ("hints +", "", ["F-1", "F-2"], [True, True]),
        ("hints", "HiDiffRefine −", ["HiDiffRefine −-1"], [False]),
        ("negative", "", ["F-1", ""], [False, False]),
        ("negative", "positive", ["F-1"], [True]),
        ("negative", "", ["pos-1", "F-2"], [True, False]),
    ],
)
def test_the_nearest_name_decides(tmp_path, file, list_name, labels, signs):
    points = [{"label": label, "position": [1, 2, 3]} for label in labels]
    node = {"type": "Fiducial", "name": list_name, "controlPoints": points}
    path = tmp_path / f"{file}.mrk.json"
    path.write_text(json.dumps({"markups": [node]}))
    assert [hint.positive for hint in read_hints(path, GRID, Signs())] == signs


def module_list(path, positive, *owners):
    """A point list of the module in 3D Slicer: (2, 3, 1), (3, 3, 1), …, for these segments, or new."""
    name = list_name(positive)
    points = [
        {
            "label": f"{name}-{n}",
            "description": point_description(n, owner) if owner else "",
            "position": [2 + n, 3, 1],
        }
        for n, owner in enumerate(owners)
    ]
    path.write_text(
        json.dumps({"markups": [{"type": "Fiducial", "name": name, "controlPoints": points}]}),
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("positive", [True, False])
def test_of_the_modules_lists_the_points_for_the_segment_count(tmp_path, positive):
    path = module_list(
        tmp_path / "HiDiffRefine.mrk.json", positive, "Segment_1", "Segment_2", "", "Segment_1"
    )
    hints = read_hints(path, GRID, Signs(), "Segment_1")
    assert [int(-hint.point_ras[0]) for hint in hints] == [2, 4, 5]
    assert all(hint.positive is positive for hint in hints)
    with pytest.raises(HintError, match=r"several segments \(Segment_1, Segment_2\)"):
        read_hints(path, GRID, Signs())
    with pytest.raises(HintError, match="no hints for the chosen segment"):
        read_hints(module_list(path, positive, "Segment_1"), GRID, Signs(), "Segment_2")
    assert len(read_hints(path, GRID, Signs())) == 1


def test_other_lists_may_describe_their_points_as_they_like(tmp_path):
    path = tmp_path / "a.mrk.json"
    point = {"label": "positive-1", "position": [1, 2, 3], "description": "12 mm"}
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": [point]}]}))
    assert len(read_hints(path, GRID, Signs(), "Segment_1")) == 1


def test_of_the_modules_strokes_those_for_the_segment_count(tmp_path):
    array = np.zeros(GRID.shape_kji, np.uint8)
    array[2, 3, 2:6] = [1, 2, 3, 4]
    labels = [
        Label(value, f"{sign} stroke", (1, 2, 3), TISSUE, TISSUE, id=f"{sign} {owner}")
        for value, sign, owner in ((1, "+", "A"), (2, "−", "A"), (3, "+", "B"), (4, "−", "B"))
    ]
    path = tmp_path / "HiDiffRefine strokes.seg.nrrd"
    write_segmentation(path, array, GRID.ijk_to_ras, labels)
    for owner, expected in (("A", [1, -1, 0, 0]), ("B", [0, 0, 1, -1])):
        hints = read_hints(path, GRID, Signs(), owner)
        assert hint_labels(hints, GRID)[2, 3, 2:6].tolist() == expected
    with pytest.raises(HintError, match=r"several segments \(A, B\)"):
        read_hints(path, GRID, Signs())
    with pytest.raises(HintError, match="no hints for the chosen segment"):
        read_hints(path, GRID, Signs(), "C")


def save(path, values, names=None):
    array = np.zeros(GRID.shape_kji, np.uint8)
    for n, value in enumerate(values):
        array[2, 3, 2 + n] = value
    if names:
        labels = [Label(v, name, (1, 2, 3), TISSUE, TISSUE) for v, name in names.items()]
        write_segmentation(path, array, GRID.ijk_to_ras, labels)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def test_one_is_positive_and_two_negative(tmp_path):
    hints = read_hints(save(tmp_path / "paint.nii.gz", [2, 2, 1]), GRID, Signs())
    assert [hint.positive for hint in hints] == [True, False]
    assert hint_labels(hints, GRID)[2, 3, 2:6].tolist() == [-1, -1, 1, 0]


def test_named_segments_decide_over_their_values(tmp_path):
    path = save(tmp_path / "paint.seg.nrrd", [1, 7], {1: "Negative", 7: "Positive"})
    assert hint_labels(read_hints(path, GRID, Signs()), GRID)[2, 3, 2:4].tolist() == [-1, 1]
    path = save(tmp_path / "paint.seg.nrrd", [1, 2], {1: "Segment_1", 2: "Segment_2"})
    assert hint_labels(read_hints(path, GRID, Signs()), GRID)[2, 3, 2:4].tolist() == [1, -1]


def test_a_segment_that_says_negative_is_negative_whatever_the_others_say(tmp_path):
    path = save(tmp_path / "paint.seg.nrrd", [1, 2], {1: "negative", 2: "Segment_2"})
    assert [hint.positive for hint in read_hints(path, GRID, Signs())] == [False, False]


@pytest.mark.parametrize("file, sign", [("negative.nii.gz", -1), ("positive.nii.gz", 1), ("a.nii.gz", 1)])
def test_the_file_says_what_a_single_paint_means(tmp_path, file, sign):
    assert hint_labels(read_hints(save(tmp_path / file, [1]), GRID, Signs()), GRID)[2, 3, 2] == sign
    both = read_hints(save(tmp_path / file, [1, 2]), GRID, Signs())
    assert hint_labels(both, GRID)[2, 3, 2:4].tolist() == [1, -1]


def test_other_values_are_refused(tmp_path):
    with pytest.raises(HintError, match="'label 3' says neither positive nor negative"):
        read_hints(save(tmp_path / "paint.nrrd", [1, 3]), GRID, Signs())


def test_files_of_another_kind_are_told_what_holds_hints(tmp_path):
    with pytest.raises(HintError, match="points.fcsv: This kind of file holds no hints") as caught:
        read_hints(tmp_path / "points.fcsv", GRID, Signs())
    assert ".mrk.json" in caught.value.remedy


def test_a_scribble_cropped_to_its_slice(tmp_path):
    thin = sitk.GetImageFromArray(np.ones((1, 1, 3), np.uint8))
    thin.SetOrigin((2, 3, 4))
    sitk.WriteImage(thin, str(tmp_path / "paint.nrrd"))
    (paint,) = read_hints(tmp_path / "paint.nrrd", GRID, Signs())
    assert hint_labels([paint], GRID)[4, 3].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
