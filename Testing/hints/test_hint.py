"""Hints refuse what is no place in space, and keep what they were given."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble, place_ras

NOT_A_PLACE = [np.nan, np.inf, -np.inf, 1e300, -2e6]


@pytest.mark.parametrize("wrong", NOT_A_PLACE)
def test_click_or_scribble_nowhere_is_refused(wrong):
    for make in (lambda: Click((1, wrong, 2), True), lambda: Scribble([(1, 2, 3), (wrong, 2, 3)], True, 2)):
        with pytest.raises(HintError, match="not a number, or farther than 1 km") as error:
            make()
        assert error.value.remedy


@pytest.mark.parametrize("width", [0, -1, np.nan, np.inf, 51])
def test_impossible_width_is_refused(width):
    with pytest.raises(HintError, match=f"cannot be {width:g} mm wide. Choose a width of more than 0"):
        Scribble([(1, 2, 3)], True, width)


@pytest.mark.parametrize("nothing", [[], np.empty((0, 3))])
def test_scribble_without_points_is_refused(nothing):
    with pytest.raises(HintError, match="no points"):
        Scribble(nothing, True, 2)


def test_empty_paint_is_refused():
    with pytest.raises(HintError, match="Nothing is painted"):
        Painted(np.zeros((3, 4, 5), bool), np.eye(4), True)


@pytest.mark.parametrize("diagonal", [(1, 1, 0, 1), (1, np.nan, 1, 1), (1, np.inf, 1, 1)])
def test_paint_without_a_place_is_refused(diagonal):
    with pytest.raises(HintError, match="no place in space"):
        Painted(np.ones((3, 4, 5), bool), np.diag(diagonal), True)


def test_points_that_are_not_three_numbers_each_are_refused():
    for points in ((1, 2), "here", [(1, 2, 3), (4, 5, 6)]):
        with pytest.raises(HintError):
            Click(points, True)
    with pytest.raises(HintError, match="not R, A, S in mm"):
        Scribble([(1, 2), (3, 4)], True, 2)


def test_paint_is_cropped_and_stays_in_its_place():
    ijk_to_ras = np.array([[0, -2, 0, 10], [3, 0, 0, 20], [0, 0, 5, -30], [0, 0, 0, 1.0]])
    mask = np.zeros((8, 9, 10), np.uint8)
    mask[2, 3:6, 4] = mask[4, 5, 7] = 2
    painted = Painted(mask, ijk_to_ras, True)
    assert painted.mask.shape == painted.grid.shape_kji == (3, 3, 4)
    assert painted.mask.dtype == bool

    def places(mask, affine):
        return (np.argwhere(mask)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]).tolist()

    assert places(painted.mask, painted.ijk_to_ras) == places(mask, ijk_to_ras)


def test_hints_do_not_change_with_the_arrays_they_were_made_of():
    points, mask, ijk_to_ras = np.ones((1, 3)), np.ones((2, 2, 2), bool), np.eye(4)
    click, scribble, painted = (
        Click(points[0], True),
        Scribble(points, True, 2),
        Painted(mask, ijk_to_ras, True),
    )
    points[:], mask[:], ijk_to_ras[:] = 7, False, 7
    kept = (click.point_ras, scribble.points_ras, painted.mask, painted.ijk_to_ras)
    assert all((array <= 1).all() for array in kept) and painted.mask.all()
    for array in kept:
        with pytest.raises(ValueError):
            array[0] = 0


def test_place_of_a_hint_lies_on_it():
    np.testing.assert_array_equal(place_ras(Click([1, 2, 3], True)), [1, 2, 3])
    around = np.array([[0, 0, 0], [9, 0, 0], [9, 9, 0], [5, 9, 0]])
    np.testing.assert_array_equal(place_ras(Scribble(around, True, 1)), [5, 9, 0])
    ring = np.ones((1, 5, 5), bool)
    ring[0, 1:4, 1:4] = False
    ijk_to_ras = np.array([[2.0, 0, 0, 10], [0, 0, 3, 20], [0, -1, 0, 30], [0, 0, 0, 1]])
    np.testing.assert_array_equal(place_ras(Painted(ring, ijk_to_ras, True)), [14, 20, 30])
