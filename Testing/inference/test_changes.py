"""Of a refiner's changes, those are made that a hint asks for."""

import numpy as np
import pytest

from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.hints.hint import Click, Scribble
from HiDiffRefineLib.hints.rasterize import hint_values
from HiDiffRefineLib.inference.changes import SURE, SURER, SUREST, answering, linked, one_way, within_border

# Slices of 2 mm.
GRID = Grid((6, 30, 80), np.diag([1.0, 1.0, 2.0, 1.0]))
BEFORE = np.zeros(GRID.shape_kji, bool)
BEFORE[:, :15] = True
SURE_OF_THE_OPPOSITE = np.where(BEFORE, 0.01, 0.99)


def changes(probability, *hints_kji_and_values):
    voxels, values = zip(*hints_kji_and_values, strict=True)
    return answering(probability, BEFORE, np.array(voxels), np.array(values), GRID)


def test_a_hint_changes_voxels_its_own_way_alone():
    assert np.array_equal(changes(SURE_OF_THE_OPPOSITE, ((3, 16, 20), 1)), ~BEFORE)
    assert np.array_equal(changes(SURE_OF_THE_OPPOSITE, ((3, 25, 20), -1)), BEFORE & False)
    assert np.array_equal(changes(SURE_OF_THE_OPPOSITE, ((3, 12, 20), -1)), BEFORE)


def test_of_two_hints_the_nearer_one_decides():
    changed = changes(SURE_OF_THE_OPPOSITE, ((3, 15, 10), 1), ((3, 14, 70), -1))
    assert changed[:, 15:, :30].all() and changed[:, :15, 50:].all()
    assert not changed[:, :15, :40].any() and not changed[:, 15:, 50:].any()


@pytest.mark.parametrize("off", [0, 5, 20, 60])
def test_changes_must_be_surer_the_further_from_the_hint(off):
    needed = min(SURER * off, SUREST)
    for margin, expected in ((needed + 0.001, True), (needed - 0.001, False)):
        probability = SURE_OF_THE_OPPOSITE.copy()
        probability[3, 20, 10 + off] = 0.5 + margin
        assert changes(probability, ((3, 20, 10), 1))[3, 20, 10 + off] == (expected and margin > 0)
    # Slices lie two millimetres apart.
    probability = SURE_OF_THE_OPPOSITE.copy()
    probability[5, 20, 10] = 0.5 + SURER * 3
    assert not changes(probability, ((3, 20, 10), 1))[5, 20, 10]


@pytest.mark.parametrize("scale", [0.02, 0.3, 7.0])
def test_the_same_in_other_units_changes_alike(scale):
    rng = np.random.default_rng(3)
    voxels, values = rng.integers(0, GRID.shape_kji, (4, 3)), np.array([1, -1, 1, 1])
    probability = rng.random(GRID.shape_kji).astype(np.float32)
    smaller = Grid(GRID.shape_kji, np.diag([scale, scale, scale, 1]) @ GRID.ijk_to_ras)
    found, same = (answering(probability, BEFORE, voxels, values, grid) for grid in (GRID, smaller))
    assert found.any() and np.array_equal(found, same)


def test_a_new_piece_must_be_sure_everywhere():
    hint = np.array([[3, 20, 10]]), np.array([1])
    probability = np.where(BEFORE, 0.99, 0.5 + SURE - 0.01)
    probability[3, 20, 11:14] = 0.5 + SURE + 0.01
    found = answering(probability, BEFORE, *hint, GRID, fresh=True)
    assert np.argwhere(found).tolist() == [[3, 20, i] for i in (11, 12, 13)]


def test_a_border_moves_by_one_voxel_at_most():
    before = np.zeros((1, 7, 9), bool)
    before[0, 2:5, 1:6] = True
    found = np.ones_like(before)
    found[0, 2:5, :4] = False
    moved = within_border(found, before)
    assert moved[0, 3].tolist() == [False, False, True, True, True, True, True, False, False]
    assert moved[0, 1, 1:6].all() and not moved[0, 1, [0, 6]].any() and not moved[0, 0].any()


def test_nothing_changes_without_a_hint_in_sight_or_where_the_refiner_agrees():
    nowhere = np.empty((0, 3), int), np.empty(0, int)
    assert not answering(SURE_OF_THE_OPPOSITE, BEFORE, *nowhere, GRID).any()
    assert not changes(1 - SURE_OF_THE_OPPOSITE, ((3, 16, 20), 1)).any()


def test_finer_voxels_move_no_other_way_either():
    found, before = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert one_way(found, before, np.array([1, 1])).tolist() == [True, True, True, False]
    assert one_way(found, before, np.array([-1])).tolist() == [True, False, False, False]
    assert one_way(found, before, np.array([1, -1])).tolist() == found.tolist()


def test_only_what_hangs_together_with_a_hint_changes():
    grid = centered_grid((0, 0, 0), (8, 40, 40), (4, 1, 1))
    changed = np.zeros(grid.shape_kji, bool)
    changed[2:6, 4:12, 4:12] = True  # holds the click
    changed[6, 12, 12] = True  # meets it at a corner
    changed[1, 20:30, 20:30] = True  # 4 mm below the stroke
    changed[4, 20, 30:36] = True  # far from both
    asked = changed.copy()
    asked[4, 20, 30:36] = False
    corner_ras = grid.ijk_to_ras[:3, 3]
    click = Click(corner_ras + np.array([8.0, 8, 4 * 4]), True)
    stroke = Scribble(corner_ras + np.array([[22.0, 22, 8], [26, 26, 8]]), False, 1)
    far = Click(corner_ras + np.array([39.0, 0, 28]), True)

    def near(changed, *hints):
        return linked(changed, hint_values(hints, grid)[0], grid)

    assert np.array_equal(near(changed, click, stroke), asked)
    asked[1] = False
    assert np.array_equal(near(changed, click), asked)
    assert not near(changed, far).any() and not near(changed).any() and not near(0 * changed > 0, click).any()
