"""Axes by letters: the same voxels in the same places, along the nearest of their own axes."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.axes import oriented, stretched
from HiDiffRefineLib.geometry.grids import Grid, centered_grid


def turned(angles) -> np.ndarray:
    a, b = np.array([[np.cos(x), np.sin(x)] for x in angles])
    about_z = np.array([[a[0], -a[1], 0], [a[1], a[0], 0], [0, 0, 1]])
    return about_z @ np.array([[1, 0, 0], [0, b[0], -b[1]], [0, b[1], b[0]]])


@given(
    letters=st.sampled_from(["".join(p) for s in product("RL", "AP", "SI") for p in permutations(s)]),
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 2),
)
def test_axes_are_those_that_nibabel_would_take(letters, angles):
    grid = centered_grid(np.array([3.0, -7, 11]), (4, 5, 6), (2.5, 0.8, 1.1), turned(angles))
    array = np.arange(120).reshape(grid.shape_kji)
    view, there = oriented(array, grid, letters)
    ours = nibabel.orientations.io_orientation(grid.ijk_to_ras)
    turn = nibabel.orientations.ornt_transform(ours, nibabel.orientations.axcodes2ornt(letters))
    expected = nibabel.orientations.apply_orientation(array.T, turn)
    sizes = np.abs(np.abs(np.linalg.svd(grid.ijk_to_ras[:3, :3])[0]))
    if np.isclose(np.sort(sizes.ravel())[-1], sizes).sum() > 3:  # two axes equally near
        return
    assert np.array_equal(view.T, expected)
    affine = grid.ijk_to_ras @ nibabel.orientations.inv_ornt_aff(turn, array.T.shape)
    assert np.allclose(there.ijk_to_ras, affine) and there.shape_kji == view.shape


@pytest.mark.parametrize("letters", ["RAS", "LPS", "SAL", "PIR"])
def test_every_voxel_stays_in_its_place(letters):
    grid = Grid((3, 4, 5), centered_grid(np.zeros(3), (3, 4, 5), (3, 1, 2), turned((0.3, -2))).ijk_to_ras)
    array = np.arange(60).reshape(grid.shape_kji)
    view, there = oriented(array, grid, letters)
    for value in (0, 7, 59):
        ((k, j, i),) = np.argwhere(array == value)
        ((c, b, a),) = np.argwhere(view == value)
        assert np.allclose(grid.ijk_to_ras @ (i, j, k, 1), there.ijk_to_ras @ (a, b, c, 1))


@given(st.tuples(*[st.floats(0.5, 4)] * 3))
def test_a_stretched_grid_reaches_from_edge_to_edge(spacing_kji):
    grid = centered_grid(np.array([1.0, 2, 3]), (9, 20, 31), (3, 1, 1.5), turned((0.3, 1)))
    found = stretched(grid, spacing_kji)
    assert np.allclose(found.bounds_ras(), grid.bounds_ras())
    assert np.all(
        np.abs(np.array(found.shape_kji) * spacing_kji - (27, 20, 46.5)) <= np.array(spacing_kji) / 2 + 1e-9
    )
