"""Point lists, lines and curves of 3D Slicer become hints."""

import json

import numpy as np
import pytest

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.hints.hint import Click, Scribble
from HiDiffRefineLib.hints.markups import read_markups
from HiDiffRefineLib.hints.signs import Signs

SQUARE = [(0, 0, 0), (10, 0, 0), (10, 10, 0), (0, 10, 0)]


@pytest.fixture
def saved(tmp_path):
    """(markups) → path of a file that holds them."""

    def save(*markups):
        path = tmp_path / "hints.mrk.json"
        path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": markups}))
        return path

    return save


def markup(kind, positions, **more) -> dict:
    points = [
        {"id": str(n), "position": list(p), "positionStatus": "defined"} for n, p in enumerate(positions)
    ]
    return {"type": kind, "coordinateSystem": "RAS", "controlPoints": points} | more


def read(path, positive, width_mm) -> list:
    return read_markups(path, Signs(**{"positive" if positive else "negative": [path.name]}), width_mm)


def refusal(path) -> str:
    with pytest.raises(HintError) as error:
        read(path, True, 2)
    assert error.value.message.startswith(f"{path.name}: ") and error.value.remedy
    return error.value.message


@pytest.mark.parametrize(
    "system, expected",
    [
        ({"coordinateSystem": "LPS"}, (-1, -2, 3)),
        ({"coordinateSystem": "1"}, (-1, -2, 3)),
        ({"coordinateSystem": "RAS"}, (1, 2, 3)),
        ({"coordinateSystem": "0"}, (1, 2, 3)),
        ({}, (-1, -2, 3)),  # the schema's default
    ],
)
def test_coordinate_systems(saved, system, expected):
    node = markup("Fiducial", [(1, 2, 3)])
    del node["coordinateSystem"]
    (click,) = read(saved(node | system), True, 2)
    assert click.point_ras.tolist() == list(expected)


@pytest.mark.parametrize("positive", [True, False])
def test_point_list_gives_clicks_in_order(saved, positive):
    clicks = read(saved(markup("Fiducial", SQUARE)), positive, 2)
    assert [type(click) for click in clicks] == [Click] * 4
    assert [tuple(click.point_ras) for click in clicks] == SQUARE
    assert all(click.positive is positive for click in clicks)


def test_points_without_a_position_are_left_out(saved):
    node = markup("Fiducial", [*SQUARE, (5, 5, 5)])
    undefined, preview, missing, empty, silent = node["controlPoints"]
    undefined |= {"positionStatus": "undefined", "position": ""}
    preview["positionStatus"] = "preview"
    missing["positionStatus"] = "missing"
    empty["position"] = ""
    del silent["positionStatus"]  # means defined
    assert [tuple(click.point_ras) for click in read(saved(node), True, 2)] == [(5, 5, 5)]


def test_line_gives_a_straight_scribble(saved):
    (line,) = read(saved(markup("Line", SQUARE[:2])), False, 3)
    assert isinstance(line, Scribble) and not line.positive and line.width_mm == 3
    assert line.points_ras.tolist() == [list(p) for p in SQUARE[:2]]


@pytest.mark.parametrize("kind, last", [("Curve", SQUARE[-1]), ("ClosedCurve", SQUARE[0])])
def test_curves_pass_smoothly_through_their_points(saved, kind, last):
    (curve,) = read(saved(markup(kind, SQUARE)), True, 2)
    assert curve.points_ras[:31:10] == pytest.approx(np.array(SQUARE), abs=1e-12)
    assert curve.points_ras[-1] == pytest.approx(last, abs=1e-12)
    # The side of the square from (10, 0) to (10, 10) bulges outwards.
    assert 10.5 < curve.points_ras[15, 0] < 13
    turns = np.diff(curve.points_ras, axis=0)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    assert ((turns[1:] * turns[:-1]).sum(1) > 0.9).all()


@pytest.mark.parametrize("kind", ["Curve", "ClosedCurve", "Line"])
def test_curve_of_one_point_is_a_dot_and_of_none_nothing(saved, kind):
    hints = read(saved(markup(kind, []), markup(kind, [(1, 2, 3)])), True, 2)
    assert len(hints) == 1
    assert hints[0].points_ras == pytest.approx(np.tile((1, 2, 3), (len(hints[0].points_ras), 1)))


def test_several_lists_in_one_file_come_in_order(saved):
    hints = read(saved(markup("Curve", SQUARE), markup("Fiducial", SQUARE[:2])), True, 2)
    assert [type(hint) for hint in hints] == [Scribble, Click, Click]


def test_units_may_be_a_code(saved):
    node = markup("Fiducial", SQUARE, coordinateUnits=["mm", "UCUM", "millimeter"])
    assert len(read(saved(node), True, 2)) == 4


@pytest.mark.parametrize(
    "node, sentence",
    [
        (markup("Fiducial", []), "It holds no points."),
        (markup("ROI", SQUARE), "Markups of the type 'ROI' cannot serve as hints."),
        ({"controlPoints": []}, "Markups of the type 'None' cannot serve as hints."),
        (markup("Fiducial", SQUARE, coordinateSystem="IJK"), "The coordinate system 'IJK' is not known."),
        (markup("Fiducial", SQUARE, coordinateSystem=[]), "The coordinate system '[]' is not known."),
        (markup("Fiducial", SQUARE, coordinateUnits="um"), "The coordinates are in 'um'."),
        (markup("Fiducial", [(1, 2)]), "The position of a control point is not three numbers."),
        (markup("Fiducial", [(1, 2, 3, 4, 5, 6)]), "The position of a control point is not three numbers."),
        (markup("Fiducial", [(1, 2, 3), (1, 2)]), "The position of a control point is not three numbers."),
        (markup("Fiducial", ["abc"]), "The position of a control point is not three numbers."),
        (markup("Fiducial", [(1, 2, 10**400)]), "The position of a control point is not three numbers."),
        (
            markup("Fiducial", [(1, 2, None)]),
            "The click has a coordinate that is not a number, or farther than",
        ),
        (markup("Line", SQUARE) | {"controlPoints": 7}, "The position of a control point is not three"),
        (markup("Line", SQUARE) | {"controlPoints": [7]}, "The position of a control point is not three"),
    ],
)
def test_unusable_markups_are_refused(saved, node, sentence):
    assert sentence in refusal(saved(node))


def test_width_is_checked_for_curves_only(saved):
    with pytest.raises(HintError, match="cannot be 0 mm wide"):
        read(saved(markup("Curve", SQUARE)), True, 0)
    assert read(saved(markup("Fiducial", SQUARE)), True, 0)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b'{"markups": [', "damaged: it is not valid JSON"),
        (b"\xff\xfe\x00\xd8", "damaged: it is not valid JSON"),
        (b"", "damaged: it is not valid JSON"),
        (b"[" * 100_000, "damaged: it is not valid JSON"),
        (b"[1, 2]", "holds no markups"),
        (b'{"name": "abdomen-ct"}', "holds no markups"),
        (b'{"markups": [1]}', "holds no markups"),
        (b'{"markups": []}', "It holds no points."),
    ],
)
def test_other_content_is_refused(tmp_path, content, sentence):
    path = tmp_path / "hints.mrk.json"
    path.write_bytes(content)
    assert sentence in refusal(path)


def test_other_files_are_refused(tmp_path):
    assert "no markups file" in refusal(tmp_path / "points.fcsv")
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "absent.mrk.json")
    folder = tmp_path / "folder.json"
    folder.mkdir()
    assert "cannot be read" in refusal(folder)
