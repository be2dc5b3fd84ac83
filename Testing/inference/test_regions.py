"""Where the refiner looks follows from voxels and from what is looked at, not from millimetres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.regions import (
    CONTEXT_KJI,
    FINEST,
    Look,
    edit_region,
    holds,
    look_at,
    voxel_kji,
    working_spacing_kji,
    zoom_values,
)

PATCH = (48, 96, 96)
SIZES_MM = (0.02, 0.06, 0.1, 0.3, 2.0)


def ball(radius, center, shape):
    away = np.moveaxis(np.indices(shape), 0, -1) - center
    return (away**2).sum(-1) <= radius**2


def look(bundle, grid, mask, at_kji):
    hint = Click(grid.ijk_to_ras[:3, :3] @ at_kji[::-1] + grid.ijk_to_ras[:3, 3], True)
    bounds = object_bounds_ras(mask, grid.ijk_to_ras) if mask.any() else None
    return look_at(hint, mask, bounds, grid, working_spacing_kji(bundle, grid, PATCH), PATCH), hint


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_the_same_voxels_are_looked_at_alike_whatever_their_size(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(20, 90, 3))
    grid = centered_grid(rng.uniform(-9, 9, 3), shape, rng.uniform(0.8, 3, 3))
    mask = ball(rng.uniform(0, 20), rng.integers(0, shape), shape) | ball(3, rng.integers(0, shape), shape)
    mask &= rng.random() < 0.9
    at = rng.integers(0, shape)
    bundle = load_bundle(rng.choice(["refiner", "abdomen-ct"]))
    expected, _ = look(bundle, grid, mask, at)
    for size in SIZES_MM:
        smaller = Grid(shape, np.diag([size, size, size, 1]) @ grid.ijk_to_ras)
        found, _ = look(bundle, smaller, mask, at)
        ours = grid.ras_to_ijk @ expected.region.ijk_to_ras
        assert smaller.ras_to_ijk @ found.region.ijk_to_ras == pytest.approx(ours, rel=1e-9, abs=1e-9)
        assert found.fresh == expected.fresh
        assert np.array_equal(found.beyond(smaller), expected.beyond(grid))


@pytest.mark.parametrize("radius", [0, 2, 5])
def test_a_small_piece_fills_its_region_and_grows_by_its_own_size_at_most(radius):
    grid = Grid((64, 64, 64), np.diag([1.5, 1.5, 1.5, 1]))
    mask = ball(radius, (30, 30, 30), grid.shape_kji)
    found, hint = look(load_bundle("refiner"), grid, mask, np.array([30, 30, 30]))
    assert not found.fresh and holds(found, hint)
    share = (
        (2 * radius + 1) / (found.region.spacing_kji / 1.5) / (np.array(PATCH) - 2 * np.array(CONTEXT_KJI))
    )
    finest = np.isclose(found.region.spacing_kji, 1.5 * FINEST)
    assert ((share > 0.2) | finest).all()
    free = np.argwhere(~found.beyond(grid))
    size = max(2 * radius + 1, 2)
    assert free.min() >= 30 - radius - size - 1 and free.max() <= 30 + radius + size + 1


def test_a_hint_beside_small_pieces_starts_another_of_their_size():
    grid = Grid((64, 64, 64), np.eye(4))
    mask = ball(2, (10, 10, 10), grid.shape_kji) | ball(2, (50, 50, 50), grid.shape_kji)
    found, hint = look(load_bundle("refiner"), grid, mask, np.array([40, 20, 20]))
    assert found.fresh and found.region.center_ras == pytest.approx(hint.point_ras)
    assert (found.region.spacing_kji < 0.5).all()
    free = np.argwhere(~found.beyond(grid))
    assert (free.min(0) >= [34, 14, 14]).all() and (free.max(0) <= [46, 26, 26]).all()
    assert mask[34:47, 14:27, 14:27].sum() == 0
    working = np.full(3, 1.5)
    bounds = object_bounds_ras(mask, grid.ijk_to_ras)
    of_a_label = look_at(hint, mask, bounds, grid, working, PATCH, label=4)
    assert not of_a_label.fresh and of_a_label.reach_ras is None
    organ = ball(20, (30, 30, 30), grid.shape_kji)
    found, _ = look(load_bundle("refiner"), grid, organ, np.array([55, 30, 30]))
    assert not found.fresh and not found.beyond(grid).any()


def test_voxels_are_measured_along_the_axes_that_they_follow():
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 0.5], [1.5, 0.1, 0], [0, -3, 0]]
    assert voxel_kji(Grid((9, 9, 9), turned)) == pytest.approx([3, 1.5, 0.5], rel=0.01)


POINTS = st.tuples(*[st.floats(-500, 500)] * 3)


@given(
    point=POINTS,
    corner=POINTS,
    sides=st.one_of(st.none(), st.tuples(*[st.floats(0, 1000)] * 3)),
    working_kji=st.tuples(*[st.floats(0.5, 10)] * 3),
)
def test_a_click_reaches_no_further_than_its_box(point, corner, sides, working_kji):
    """Whatever the object: a box of the refiner's voxels at the working spacing, around the click."""
    click = Click(np.array(point), True)
    thing = None if sides is None else np.array([corner, np.add(corner, sides)])
    region = edit_region(click, thing, working_kji, PATCH)
    low, high = region.bounds_ras()
    assert ((high - low)[::-1] <= np.multiply(PATCH, working_kji) + 1e-6).all()
    assert holds(Look(region), click)


def test_zoom_does_not_know_the_scale():
    one = zoom_values(np.array([2.0, 1.0, 1.0]), np.array([4.0, 1.0, 1.0]))
    assert np.allclose(one, [0, -0.5, 0.5])
    assert np.allclose(one, zoom_values(np.array([0.02, 0.01, 0.01]), np.array([0.04, 0.01, 0.01])))
