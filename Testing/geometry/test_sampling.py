"""Resampling keeps what lies where in the patient."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample, resample_labelmap


def ras_of(grid: Grid) -> np.ndarray:
    """(k, j, i, 3) RAS mm of every sample."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij")
    return (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.ijk_to_ras.T)[..., :3]


def ramp(grid: Grid) -> np.ndarray:
    """A field that is linear in space, far from zero."""
    return ras_of(grid) @ np.array([0.3, -0.5, 0.8]) + 1000


def test_a_linear_field_is_reproduced_inside_and_zero_outside(affines):
    @settings(max_examples=60)
    @given(affines, affines, st.tuples(*[st.integers(2, 14)] * 3))
    def check(source_affine, target_affine, shape):
        source = Grid(shape, source_affine)
        # The other grid meets the source, whatever its own origin.
        target = centered_grid(source.center_ras, (9, 10, 11), (1, 1, 1), target_affine[:3, :3])
        field = torch.from_numpy(ramp(source).astype(np.float32))[None]
        found = resample(field, source.ijk_to_ras, target)[0].numpy()
        ijk = ras_of(target) @ np.linalg.inv(source_affine)[:3, :3].T + np.linalg.inv(source_affine)[:3, 3]
        limits = np.array(shape[::-1]) - 1
        inside = ((ijk >= 1e-3) & (ijk <= limits - 1e-3)).all(-1)
        outside = ((ijk <= -1.001) | (ijk >= limits + 1.001)).any(-1)
        assert np.abs(found - ramp(target))[inside].max(initial=0) < 0.01
        assert (found[outside] == 0).all()

    check()


def test_a_part_of_a_grid_gets_the_very_values_that_all_of_it_would(affines):
    @settings(max_examples=30)
    @given(affines, affines, st.integers(0, 10_000))
    def check(source_affine, target_affine, seed):
        rng = np.random.default_rng(seed)
        source = Grid((7, 8, 9), source_affine)
        target = centered_grid(source.center_ras, (40, 10, 11), (0.3, 1, 1), target_affine[:3, :3])
        low = [int(rng.integers(0, n)) for n in target.shape_kji]
        part = tuple(
            slice(a, int(rng.integers(a, n)) + 1) for a, n in zip(low, target.shape_kji, strict=True)
        )
        array = torch.from_numpy(rng.random((2, *source.shape_kji)).astype(np.float32))
        whole = resample(array, source.ijk_to_ras, target)
        assert torch.equal(resample(array, source.ijk_to_ras, target, part=part), whole[(slice(None), *part)])

    check()


def test_channels_are_resampled_side_by_side():
    array = torch.rand(3, 4, 5, 6)
    grid = centered_grid((2.2, 1.9, 1.4), (3, 3, 3), (0.7, 0.7, 0.7))
    together = resample(array, np.eye(4), grid)
    assert together.shape == (3, 3, 3, 3)
    for n in range(3):
        assert torch.equal(together[n], resample(array[n : n + 1], np.eye(4), grid)[0])


def test_identity_returns_the_array(affines):
    @given(affines, st.tuples(*[st.integers(1, 12)] * 3))
    def check(ijk_to_ras, shape):
        rng = np.random.default_rng(0)
        grid = Grid(shape, ijk_to_ras)
        array = torch.from_numpy(rng.random((1, *shape)).astype(np.float32))
        assert resample(array, ijk_to_ras, grid).numpy() == pytest.approx(array.numpy(), abs=1e-3)
        labels = rng.integers(0, 300, shape, dtype=np.uint16)
        assert np.array_equal(resample_labelmap(labels, ijk_to_ras, grid), labels)

    check()


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)))
def test_the_same_anatomy_stored_in_any_axis_order_comes_back_exactly(order, flips):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 20, (4, 5, 6), dtype=np.uint8)
    grid = Grid(labels.shape, np.diag([1.2, 0.8, 3, 1.0]))
    step = tuple(slice(None, None, flip) for flip in flips)
    stored = labels.transpose(order)[step]
    # Column n of a (k, j, i) affine belongs to axis n; reversed axes start at the far end.
    columns = grid.ijk_to_ras[:3, 2::-1][:, list(order)] * flips
    first = sum(
        (labels.shape[axis] - 1) * grid.ijk_to_ras[:3, 2 - axis]
        for axis, flip in zip(order, flips, strict=True)
        if flip < 0
    )
    stored_affine = np.eye(4)
    stored_affine[:3, :3] = columns[:, ::-1]
    stored_affine[:3, 3] = grid.ijk_to_ras[:3, 3] + first
    assert np.array_equal(resample_labelmap(stored, stored_affine, grid), labels)


def test_nearest_invents_no_label(affines):
    @given(affines, affines)
    def check(source_affine, target_affine):
        labels = np.random.default_rng(2).choice([5, 17, 255], (6, 7, 8)).astype(np.uint8)
        source = Grid(labels.shape, source_affine)
        target = centered_grid(source.center_ras, (9, 9, 9), (1, 1, 1), target_affine[:3, :3])
        found = resample_labelmap(labels, source_affine, target)
        assert found.dtype == np.uint8
        assert set(np.unique(found)) <= {0, 5, 17, 255}
        assert found[4, 4, 4] != 0

    check()


def test_a_single_slice_keeps_its_place_in_the_plane():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    grid = Grid((1, 3, 4), np.diag([1, 1, 5, 1.0]))
    assert resample(image, grid.ijk_to_ras, grid).numpy() == pytest.approx(image.numpy(), abs=1e-5)
    shifted = Grid((1, 3, 3), np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1.0]]))
    expected = (image[..., 1:] + image[..., :-1]) / 2
    assert resample(image, grid.ijk_to_ras, shifted).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_warp_takes_each_value_from_that_many_millimetres_away(affines):
    @settings(max_examples=40)
    @given(affines, affines)
    def check(source_affine, target_affine):
        source = Grid((12, 13, 14), source_affine)
        target = centered_grid(source.center_ras, (4, 5, 6), (1, 1, 1), target_affine[:3, :3])
        warp = torch.randn(*target.shape_kji, 3, generator=torch.Generator().manual_seed(0))
        field = torch.from_numpy(ramp(source).astype(np.float32))[None]
        found = resample(field, source.ijk_to_ras, target, warp_ras=warp)[0].numpy()
        places = ras_of(target) + warp.numpy()
        ijk = (places - source_affine[:3, 3]) @ np.linalg.inv(source_affine[:3, :3]).T
        inside = ((ijk >= 1e-3) & (ijk <= np.array([13, 12, 11]) - 1e-3)).all(-1)
        expected = places @ np.array([0.3, -0.5, 0.8]) + 1000
        assert inside.any()
        assert np.abs(found - expected)[inside].max() < 0.01

    check()
