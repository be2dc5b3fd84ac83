"""Drawn lesions are where their truth says, apart from each other, and seen against what is around."""

import numpy as np
import pytest

from HiDiffRefineLib.evaluation.lesions import APART, CONTRAST, ball_in_noise, draw_lesions

SPACING_KJI = np.array([3.0, 1.0, 1.5])


def tissue(seed=0, shape=(40, 120, 100)):
    image = np.random.default_rng(seed).normal(0.4, 0.03, shape).astype(np.float32)
    image[:, :30] = 0.0  # air
    return image


@pytest.mark.parametrize("seed", range(3))
def test_lesions_lie_apart_in_tissue_and_their_truth_is_what_was_drawn(seed):
    image, radii = tissue(), np.random.default_rng(seed).uniform(1.5, 4, 6)
    drawn, lesions = draw_lesions(image, SPACING_KJI, radii, np.random.default_rng(seed))
    assert len(lesions) == 6 and drawn.dtype == np.float32 and drawn.min() >= 0 and drawn.max() <= 1
    for n, (radius, voxels_kji) in enumerate(zip(radii, lesions, strict=True)):
        off = np.linalg.norm((voxels_kji - voxels_kji[0]) * SPACING_KJI, axis=1)
        assert off.max() <= radius and len(np.unique(voxels_kji, axis=0)) == len(voxels_kji)
        box = tuple(slice(v, v + 1) for v in voxels_kji[0])
        assert drawn[box].item() - image[box].item() == pytest.approx(np.mean(CONTRAST), abs=0.11)
        assert voxels_kji[:, 1].min() >= 30
        for other in lesions[:n]:
            between = np.linalg.norm((other[0] - voxels_kji[0]) * SPACING_KJI)
            assert between > (2 + APART) * radii.max()
    untouched = np.ones(image.shape, bool)
    for voxels_kji in lesions:
        low, high = voxels_kji.min(0) - 6, voxels_kji.max(0) + 7
        untouched[tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))] = False
    assert np.array_equal(drawn[untouched], image[untouched])


def test_lesions_that_find_no_room_are_none():
    assert draw_lesions(tissue(shape=(8, 40, 12)), SPACING_KJI, [3] * 10, np.random.default_rng(0)) is None


def test_a_ball_in_noise_has_the_same_voxels_whatever_their_size():
    (small, mask), (large, other) = ball_in_noise(4, 0.02), ball_in_noise(4, 2.0)
    assert np.array_equal(small.array, large.array) and np.array_equal(mask, other)
    assert large.spacing_kji.tolist() == [2, 2, 2]
    assert small.array[mask].mean() > small.array[~mask].mean() + 100
