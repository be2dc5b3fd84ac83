"""Where grids lie in space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.grids import Grid, centered_grid, covering_grid

SHAPES = st.tuples(*[st.integers(1, 40)] * 3)


def corners_ras(grid: Grid, reach: float) -> np.ndarray:
    """The corner samples, `reach` voxels further out, (8, 3) RAS mm."""
    nk, nj, ni = grid.shape_kji
    ijk = [
        (i, j, k, 1)
        for i in (-reach, ni - 1 + reach)
        for j in (-reach, nj - 1 + reach)
        for k in (-reach, nk - 1 + reach)
    ]
    return (np.array(ijk) @ grid.ijk_to_ras.T)[:, :3]


def test_spacing_center_and_bounds_by_hand():
    # i runs to the left (-R) at 2 mm, j up (S) at 3 mm, k to the front (A) at 5 mm.
    ijk_to_ras = np.array([[-2, 0, 0, 10], [0, 0, 5, 20], [0, 3, 0, 30], [0, 0, 0, 1]], float)
    grid = Grid((4, 3, 2), ijk_to_ras)
    assert grid.spacing_kji == pytest.approx([5, 3, 2])
    assert grid.center_ras == pytest.approx([9, 27.5, 33])
    assert grid.bounds_ras()[0] == pytest.approx([7, 17.5, 28.5])
    assert grid.bounds_ras()[1] == pytest.approx([11, 37.5, 37.5])


def test_bounds_hold_every_voxel_and_touch_its_outer_edge(affines):
    @given(SHAPES, affines)
    def check(shape, ijk_to_ras):
        grid = Grid(shape, ijk_to_ras)
        edges = corners_ras(grid, 0.5)
        assert grid.bounds_ras() == pytest.approx(np.stack([edges.min(0), edges.max(0)]), abs=1e-6)
        assert grid.center_ras == pytest.approx(edges.mean(0), abs=1e-6)

    check()


@given(st.tuples(*[st.floats(-200, 200)] * 3), SHAPES, st.tuples(*[st.floats(0.2, 8)] * 3))
def test_centered_grid_runs_along_r_a_s(center, shape, spacing):
    grid = centered_grid(np.array(center), shape, spacing)
    assert grid.shape_kji == shape
    assert grid.center_ras == pytest.approx(center, abs=1e-9)
    assert grid.ijk_to_ras[:3, :3] == pytest.approx(np.diag(spacing[::-1]))


def test_linear_map_of_a_centered_grid_acts_on_offsets_from_its_middle():
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 2]], float)
    plain, turned = (centered_grid((5, 6, 7), (3, 5, 7), (4, 2, 1), linear) for linear in (None, turn))
    assert turned.center_ras == pytest.approx([5, 6, 7])
    offsets = corners_ras(plain, 0) - plain.center_ras
    assert corners_ras(turned, 0) - turned.center_ras == pytest.approx(offsets @ turn.T)


@given(
    st.tuples(*[st.floats(-200, 200)] * 3),
    st.tuples(*[st.floats(0, 300)] * 3),
    st.tuples(*[st.floats(0.5, 8)] * 3),
)
def test_covering_grid_covers_centred_and_wastes_less_than_a_voxel(low, extent, spacing):
    bounds = np.array([low, np.add(low, extent)])
    grid = covering_grid(bounds, spacing)
    found = grid.bounds_ras()
    assert grid.spacing_kji == pytest.approx(spacing)
    assert found.mean(0) == pytest.approx(bounds.mean(0), abs=1e-6)
    slack = (found[1] - found[0]) - (bounds[1] - bounds[0])
    assert (slack >= -1e-5 * np.array(spacing[::-1])).all()
    # A box without any extent still gets a voxel.
    assert (slack <= np.array(spacing[::-1]) + 1e-6).all()


def test_covering_grid_adds_no_slice_for_a_rounding_error():
    assert covering_grid(np.array([[0, 0, 0], [30, 30, 30.0000001]]), (3, 1, 1)).shape_kji == (10, 30, 30)
