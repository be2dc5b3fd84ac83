"""Which voxels a hint covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.hints.rasterize import check_inside, hint_labels, hint_values, hint_voxels
from Testing.hints import cases
from Testing.hints.cases import RNGS
from Testing.hints.reference import as_mask, centers_ras, covered, distance_to_line

UNIT = Grid((5, 6, 7), np.eye(4))
# 1 mm in plane, slices 5 mm apart.
THICK = Grid((4, 20, 20), np.diag([1.0, 1, 5, 1]))


def voxels(hint, grid) -> set[tuple[int, int, int]]:
    return set(map(tuple, hint_voxels(hint, grid).tolist()))


def test_click_covers_the_voxel_that_holds_it():
    assert voxels(Click((3.4, 1.6, 0.5), True), UNIT) == {(1, 2, 3)}
    assert voxels(Click((3.4, 1.6, -0.6), True), UNIT) == set()


def test_line_of_two_mm_covers_its_neighbours_at_one_mm():
    line = Scribble([(1, 2, 3), (5, 2, 3)], True, 2.0)
    straight = {(3, 2, i) for i in range(1, 6)}
    beside = {(k, j, i) for i in range(1, 6) for k, j in ((2, 2), (4, 2), (3, 1), (3, 3))}
    assert voxels(line, UNIT) == straight | beside | {(3, 2, 0), (3, 2, 6)}


def test_thin_line_leaves_no_gap_on_thick_slices():
    line = Scribble([(0, 10, 0), (19, 10, 15)], True, 0.1)
    found = voxels(line, THICK)
    assert {i for _, _, i in found} == set(range(20))
    assert {j for _, j, _ in found} == {10}


def test_dot_covers_a_ball():
    ball = as_mask(hint_voxels(Scribble([(3, 3, 2)], True, 4.0), UNIT), UNIT)
    distance = np.linalg.norm(centers_ras(UNIT) - (3, 3, 2), axis=-1)
    assert (ball == (distance <= 2)).all()


def test_rounding_takes_no_voxel_off_the_edge_of_the_pen():
    fine = Grid((1, 1, 11), np.diag([0.1, 0.1, 0.1, 1]))
    # 0.8 - 0.5 is a little more than 0.3 to a computer.
    assert {i for _, _, i in voxels(Scribble([(0.5, 0, 0)], True, 0.6), fine)} == set(range(2, 9))


def test_paint_on_the_same_grid_is_kept_as_it_is():
    mask = np.random.default_rng(0).random(UNIT.shape_kji) < 0.2
    found = hint_voxels(Painted(mask, UNIT.ijk_to_ras, True), UNIT)
    assert (as_mask(found, UNIT) == mask).all()


def test_paint_on_a_fine_grid_survives_on_a_coarse_one():
    fine = np.zeros((20, 40, 40), bool)
    fine[7, 3:30, 5] = True  # RAS: 1.25 mm, 0.75…7.25 mm, 1.75 mm
    found = voxels(Painted(fine, np.diag([0.25, 0.25, 0.25, 1]), True), UNIT)
    assert found == {(2, j, 1) for j in range(1, 8) if j < 6}


def test_paint_on_a_coarse_grid_fills_its_voxels_on_a_fine_one():
    coarse = np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = 0.5
    mask = np.zeros((2, 2, 2), bool)
    mask[1, 0, 1] = True  # RAS 1.5…3.5, -0.5…1.5, 1.5…3.5
    found = voxels(Painted(mask, coarse, True), UNIT)
    assert found == {(k, j, i) for k in (2, 3) for j in (0, 1) for i in (2, 3)}


@pytest.mark.parametrize("order", [1, -1])
def test_newest_hint_wins(order):
    stroke = Scribble([(0, 2, 2), (6, 2, 2)], True, 0.5)
    click = Click((3, 2, 2), False)
    labels = hint_labels([stroke, click][::order], UNIT)
    assert labels.dtype == np.int8 and labels.shape == UNIT.shape_kji
    assert labels[2, 2].tolist() == ([1, 1, 1, -1, 1, 1, 1] if order == 1 else [1] * 7)
    assert np.count_nonzero(labels) == 7


def test_no_hints_give_no_labels():
    found, values = hint_values([], UNIT)
    assert found.shape == (0, 3) and values.shape == (0,)
    assert not hint_labels([], UNIT).any()
    check_inside([], UNIT)


@pytest.mark.parametrize(
    "hint, name",
    [
        (Click((90, -3, 4.25), False), "negative click at R 90.0, A -3.0, S 4.2 mm"),
        (Scribble([(0, 0, 90), (5, 5, 80)], True, 3), "positive scribble at R 0.0, A 0.0, S 90.0 mm"),
        (
            Painted(np.ones((1, 1, 1)), np.diag([1, 1, 1, 1]) + np.eye(4, k=3) * 50, True),
            "positive paint at R 50.0, A 0.0, S 0.0 mm",
        ),
    ],
)
def test_hint_outside_is_named(hint, name):
    assert hint_voxels(hint, UNIT).shape == (0, 3)
    inside = Click((1, 1, 1), True)
    check_inside([inside], UNIT)
    with pytest.raises(HintError) as error:
        check_inside([inside, hint, hint], UNIT)
    assert error.value.message == f"Hint 2 ({name}) lies outside the volume."
    assert error.value.remedy


def test_scribble_half_outside_is_inside():
    check_inside([Scribble([(-900_000, 2, 2), (3, 2, 2)], True, 1)], UNIT)


def test_cost_follows_the_hints_not_the_volume():
    # 10^12 voxels: an array of them, even of one slab, would not fit into memory.
    huge = Grid((10_000, 10_000, 10_000), np.diag([0.3, 0.3, 0.3, 1]))
    stroke = Scribble([(0, 0, 0), (300, 200, 100)], True, 1.0)
    painted = Painted(np.ones((2, 2, 2)), huge.ijk_to_ras, False)
    found, values = hint_values([stroke, Click((2999, 1, 1), True), painted], huge)
    assert 3000 < len(found) < 30_000
    assert (values == -1).sum() == 8


@settings(max_examples=400)
@given(RNGS)
def test_voxel_of_a_click_holds_its_point(rng):
    grid = cases.grid(rng)
    hint = cases.click(grid, rng)
    found = hint_voxels(hint, grid)
    ijk = (np.linalg.inv(grid.ijk_to_ras) @ [*hint.point_ras, 1])[:3]
    if len(found):
        assert len(found) == 1
        assert np.abs(found[0, ::-1] - ijk).max() <= 0.5 + 1e-4
    else:  # a point on the outer face may go to either side
        assert (ijk < -0.5 + 1e-4).any() or (ijk > np.array(grid.shape_kji[::-1]) - 0.5 - 1e-4).any()


@settings(max_examples=500)
@given(RNGS)
def test_hint_covers_what_its_definition_says(rng):
    grid = cases.grid(rng)
    hint = cases.hint(grid, rng)
    found = hint_voxels(hint, grid)
    mask = as_mask(found, grid)
    must, may = covered(hint, grid)
    assert (mask >= must).all() and (mask <= may).all()
    flat = np.ravel_multi_index(tuple(found.T), grid.shape_kji)
    assert (np.diff(flat) > 0).all()


@settings(max_examples=300)
@given(RNGS)
def test_scribble_inside_the_volume_is_one_connected_piece(rng):
    grid = cases.grid(rng)
    scribble = cases.scribble(grid, rng, around=-1e-3)
    # Points on the outer face may go to either side.
    inward = scribble.points_ras + (grid.center_ras - scribble.points_ras) * 1e-3
    scribble = Scribble(inward, True, scribble.width_mm)
    mask = as_mask(hint_voxels(scribble, grid), grid)
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1


@settings(max_examples=300)
@given(RNGS)
def test_line_across_the_volume_is_one_connected_piece(rng):
    grid = cases.grid(rng)
    line = Scribble(cases.places(grid, 2, rng), True, 1e-3)
    mask = as_mask(hint_voxels(line, grid), grid)
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] <= 1


@settings(max_examples=300)
@given(RNGS)
def test_scribble_covers_the_same_anatomy_on_any_grid(rng):
    first, second = cases.grid(rng), cases.grid(rng)
    scribble = cases.scribble(first, rng)
    # The second grid is laid over the first, at any angle.
    second.ijk_to_ras[:3, 3] += first.center_ras - second.center_ras
    for grid in (first, second):
        found = as_mask(hint_voxels(scribble, grid), grid)
        distance = distance_to_line(centers_ras(grid), scribble)
        half_diagonal = np.linalg.norm(grid.spacing_kji) / 2
        assert (distance[found] <= scribble.width_mm / 2 + half_diagonal).all()
        assert found[distance <= scribble.width_mm / 2].all()


@settings(max_examples=400)
@given(RNGS)
def test_flipped_and_reordered_axes_give_the_same_voxels(rng):
    grid = cases.grid(rng)
    hint = cases.hint(grid, rng)
    size = np.array(grid.shape_kji[::-1])
    change = np.eye(4)  # from the other grid's ijk to this one's
    for axis in np.flatnonzero(rng.random(3) < 0.5):
        change[axis, axis], change[axis, 3] = -1, size[axis] - 1
    order = rng.permutation(3)
    change = change[:, [*order, 3]]
    other = Grid(tuple(size[order][::-1].tolist()), grid.ijk_to_ras @ change)
    here = hint_voxels(hint, grid)[:, ::-1]
    there = hint_voxels(hint, other)[:, ::-1] @ change[:3, :3].T + change[:3, 3]
    assert sorted(there.tolist()) == sorted(here.tolist())


@settings(max_examples=300)
@given(RNGS)
def test_labels_are_those_of_writing_hint_after_hint(rng):
    grid = cases.grid(rng)
    hints = [cases.hint(grid, rng) for _ in range(rng.integers(1, 5))]
    expected = np.zeros(grid.shape_kji, np.int8)
    sure = np.ones(grid.shape_kji, bool)
    for hint in hints:
        must, may = covered(hint, grid)
        expected[must] = 1 if hint.positive else -1
        sure &= must == may
    labels = hint_labels(hints, grid)
    assert (labels == expected)[sure].all()
    found, values = hint_values(hints, grid)
    assert (labels[tuple(found.T)] == values).all()
    assert np.count_nonzero(labels) == len(found)
    newest = hint_voxels(hints[-1], grid)
    assert (labels[tuple(newest.T)] == (1 if hints[-1].positive else -1)).all()
