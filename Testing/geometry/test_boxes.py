"""Boxes of voxels around objects and regions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.boxes import object_bounds_ras, part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid

SHAPE = (7, 9, 11)


def ras_of(grid: Grid) -> np.ndarray:
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij")
    return (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.ijk_to_ras.T)[..., :3]


def test_box_holds_every_voxel_inside_the_bounds_and_keeps_its_place(affines):
    @given(affines, st.tuples(*[st.floats(-40, 40)] * 3), st.tuples(*[st.floats(0.1, 60)] * 3))
    def check(ijk_to_ras, offset, extent):
        grid = Grid(SHAPE, ijk_to_ras)
        low = grid.center_ras + offset
        bounds = np.stack([low, low + extent])
        box = voxel_box(grid, bounds)
        places = ras_of(grid)
        wanted = ((places >= bounds[0]) & (places <= bounds[1])).all(-1)
        inside = np.zeros(SHAPE, bool)
        inside[box] = True
        assert not (wanted & ~inside).any()
        part = part_of(grid, box)
        assert part.shape_kji == inside[box].shape
        assert ras_of(part) == pytest.approx(places[box], abs=1e-6)

    check()


def test_box_is_tight_and_clipped_at_the_borders():
    grid = Grid((10, 10, 10), np.eye(4))
    assert voxel_box(grid, np.array([[2.5, 3, 4], [5.5, 6, 7]])) == (slice(4, 8), slice(3, 7), slice(2, 7))
    everything = voxel_box(grid, np.array([[-99, -99, -99], [99, 99, 99.0]]))
    assert everything == (slice(0, 10),) * 3


@pytest.mark.parametrize("far", [-50.0, 50.0])
def test_box_outside_the_grid_is_empty(far):
    grid = Grid((10, 10, 10), np.eye(4))
    box = voxel_box(grid, np.array([[2, 2, far], [5, 5, far + 3]]))
    assert np.zeros((10, 10, 10))[box].size == 0
    assert part_of(grid, box).shape_kji[0] == 0


def test_object_bounds_reach_to_the_outer_edge_of_its_voxels():
    mask = np.zeros((6, 7, 8), bool)
    mask[1:3, 2:6, 3:4] = True
    affine = np.array([[-2, 0, 0, 50], [0, 3, 0, 0], [0, 0, 5, -10], [0, 0, 0, 1.0]])
    expected = np.array([[43, 4.5, -7.5], [45, 16.5, 2.5]])
    assert object_bounds_ras(mask, affine, share=1) == pytest.approx(expected)


def test_object_bounds_leave_stray_islands_out():
    mask = np.zeros((60, 60, 60), bool)
    mask[20:34, 20:34, 20:34] = True
    clean = object_bounds_ras(mask, np.eye(4))
    mask[58, 1, 58] = True
    assert object_bounds_ras(mask, np.eye(4)) == pytest.approx(clean)
    assert object_bounds_ras(mask, np.eye(4), share=1)[1].max() == 58.5


def test_object_bounds_hold_the_share_along_each_axis(affines):
    @given(affines, st.integers(0, 10_000), st.floats(0.001, 0.5))
    def check(ijk_to_ras, seed, density):
        mask = np.random.default_rng(seed).random(SHAPE) < density
        mask[3, 4, 5] = True
        bounds = object_bounds_ras(mask, ijk_to_ras)
        places = ras_of(Grid(SHAPE, ijk_to_ras))[mask]
        held = ((places >= bounds[0]) & (places <= bounds[1])).mean(0)
        assert (held >= 0.999).all()

    check()
