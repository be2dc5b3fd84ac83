"""Packed differences: small, and exact to the bit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.boxes import bounding_box, object_bounds_ras
from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.session.blocks import apply, difference, revert, same_flips
from HiDiffRefineLib.session.layer import Layer, in_planes


def random_box(rng, shape):
    ends = [sorted(rng.choice(n + 1, 2, replace=False)) for n in shape]
    return tuple(slice(int(low), int(high)) for low, high in ends)


@given(st.integers(0, 10_000))
def test_a_difference_leads_there_and_back(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 20, 3))
    before, box = rng.random(shape) < 0.3, random_box(rng, shape)
    after = before.copy()
    after[box] ^= rng.random(after[box].shape) < rng.choice([0, 0.02, 0.5])
    block = difference(before, after[box], box)
    if block is None:
        assert np.array_equal(before, after)
        return
    assert block.box == bounding_box(before != after)
    sides = [s.stop - s.start for s in block.box]
    assert block.packed.nbytes == sides[0] * sides[1] * -(-sides[2] // 8)
    part = random_box(rng, shape)
    assert np.array_equal(block.within(part), (before != after)[part])
    mask = before.copy()
    apply(mask, block)
    assert np.array_equal(mask, after)
    revert(mask, block)
    assert np.array_equal(mask, before)


def test_a_box_that_a_block_does_not_reach_holds_none_of_it():
    mask = np.zeros((4, 5, 6), bool)
    after = mask.copy()
    after[1, 2, 3] = True
    block = difference(mask, after)
    assert block.packed.nbytes == 1
    assert not block.within((slice(2, 4), slice(0, 5), slice(0, 6))).any()


@given(st.integers(0, 10_000))
def test_blocks_are_compared_by_what_they_change(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 7, 9)) < 0.1
    mask[[0, -1]] = True
    nothing = np.zeros_like(mask)
    cut = [(slice(0, 2), slice(0, 7), slice(0, 9)), (slice(2, 6), slice(0, 7), slice(0, 9))]
    parts = [difference(nothing, mask[box], box) for box in cut]
    assert same_flips([difference(nothing, mask)], [part for part in parts if part is not None])
    mask[tuple(rng.integers(0, mask.shape))] ^= True
    assert not same_flips([difference(nothing, mask)], [part for part in parts if part is not None])


@given(st.integers(0, 10_000))
def test_bounds_follow_the_mask_without_looking_at_it(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 12, 3))
    grid = centered_grid(
        rng.uniform(-9, 9, 3), shape, rng.uniform(0.5, 3, 3), np.diag(rng.choice([-1, 1], 3))
    )
    layer = Layer(1, None, (), shape)
    for _ in range(4):
        box = random_box(rng, shape)
        block = difference(layer.mask, rng.random(layer.mask[box].shape) < rng.choice([0, 0.1]), box)
        if block is not None:
            layer.flip(block)
        assert layer.box == bounding_box(layer.mask)
        found = layer.bounds_ras(grid)
        if layer.mask.any():
            assert np.allclose(found, object_bounds_ras(layer.mask, grid.ijk_to_ras, share=1))
        else:
            assert found is None


def test_planes_of_more_voxels_than_a_byte_counts():
    mask = np.random.default_rng(0).random((600, 3, 2)) < 0.9
    for counted, others in zip(in_planes(mask), ((1, 2), (0, 2), (0, 1)), strict=True):
        np.testing.assert_array_equal(counted, mask.sum(axis=others))


def test_an_island_far_away_does_not_count():
    mask = np.zeros((20, 20, 60), bool)
    mask[:, :, :10], mask[0, 0, 59] = True, True
    grid = centered_grid((0, 0, 0), mask.shape, (1, 1, 1))
    layer = Layer(1, None, (), mask.shape)
    layer.flip(difference(layer.mask, mask))
    assert np.allclose(layer.bounds_ras(grid), [[-30, -10, -10], [-20, 10, 10]])
