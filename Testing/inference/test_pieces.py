"""The piece of a mask that a hint points at."""

import numpy as np
import pytest

from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.pieces import FAR, piece_near

# Slices of 3 mm.
GRID = Grid((60, 200, 400), np.array([[0.7, 0, 0, -50], [0, 0.7, 0, 20], [0, 0, 3, 9], [0, 0, 0, 1.0]]))
SMALL = slice(20, 23), slice(50, 55), slice(60, 66)
OTHER = slice(24, 26), slice(50, 54), slice(70, 75)


def click(*voxel_kji):
    return Click(GRID.ijk_to_ras[:3, :3] @ voxel_kji[::-1] + GRID.ijk_to_ras[:3, 3], True)


def masked(*boxes):
    mask = np.zeros(GRID.shape_kji, bool)
    for box in boxes:
        mask[box] = True
    return mask


@pytest.mark.parametrize(
    ("at", "box"),
    [((21, 52, 62), SMALL), ((21, 52, 66), SMALL), ((25, 51, 69), OTHER), ((22, 50, 170), OTHER)],
)
def test_the_nearest_piece_is_found_in_millimetres_however_far(at, box):
    found = piece_near(masked(SMALL, OTHER), click(*at), GRID)
    assert found == pytest.approx(part_of(GRID, box).bounds_ras())


def test_nothing_is_found_where_there_is_nothing_or_too_far_away():
    assert piece_near(masked(), click(20, 50, 60), GRID) is None
    assert piece_near(masked(SMALL), click(20, 50, 66 + FAR), GRID) is None


def test_an_organ_is_no_piece_and_a_speck_beside_it_says_nothing_of_its_size():
    organ = slice(10, 40), slice(80, 180), slice(40, 120)
    assert piece_near(masked(organ), click(20, 100, 60), GRID) is None
    assert piece_near(masked(organ), click(20, 70, 60), GRID) is None
    assert piece_near(masked(organ, SMALL), click(20, 52, 60), GRID) is None
    assert piece_near(masked(SMALL, (20, 100, 60)), click(21, 52, 62), GRID) is not None
