"""Arrays seen from grids that have their voxels in the same places."""

import warnings
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.lattice import laid

SIGNS = st.tuples(*[st.sampled_from([-1, 1])] * 3)


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    order=st.sampled_from([*permutations(range(3))]),
    signs=SIGNS,
    shift=st.tuples(*[st.integers(-5, 5)] * 3),
    turn=st.floats(-3, 3),
)
def test_every_voxel_is_found_where_it_was(shape, order, signs, shift, turn):
    array = np.arange(1, np.prod(shape) + 1).reshape(shape)
    target = np.diag([0.7, 0.8, 2.5, 1])
    target[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] * np.array([0.7, 0.8])
    swap = np.zeros((4, 4))
    swap[order, range(3)], swap[:3, 3], swap[3, 3] = signs, shift, 1
    source = target @ swap
    seen, first = laid(array, source, target)
    for kji in np.ndindex(*seen.shape):
        ras = target @ [*(kji + first)[::-1], 1]
        i, j, k = np.rint(np.linalg.inv(source) @ ras)[:3].astype(int)
        # Along an axis of one voxel any direction is as good.
        assert array[k, j, i] == seen[kji]
    assert seen.size == array.size


def test_other_voxels_are_refused():
    array = np.zeros((3, 4, 5))
    for matrix in (np.diag([1, 1, 1.1, 1]), np.diag([2, 1, 1, 1]), np.diag([np.nan, 1, 1, 1])):
        assert laid(array, matrix, np.eye(4)) is None
    moved = np.eye(4)
    moved[0, 3] = 0.3
    assert laid(array, moved, np.eye(4)) is None


def test_an_axis_of_one_voxel_needs_no_direction():
    array = np.arange(6).reshape(1, 2, 3)
    thick = np.diag([1, 1, 7.3, 1])
    thick[:3, 3] = 4, 5, 6
    seen, first = laid(array, thick, np.eye(4))
    np.testing.assert_array_equal(seen, array)
    assert tuple(first) == (6, 5, 4)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e9, 1e300])
def test_what_lies_nowhere_is_not_laid(number):
    place = np.eye(4)
    place[1, 3] = number
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert laid(np.zeros((3, 4, 5), bool), place, np.eye(4)) is None
