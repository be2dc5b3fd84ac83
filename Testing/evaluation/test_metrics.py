"""Metrics against hand-computed values, naive loops and an independent Hausdorff distance."""

import math

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.metrics import (
    auroc,
    border_zone,
    dice,
    expected_calibration_error,
    hausdorff95_mm,
)

SPACING_KJI = (3.0, 1.5, 0.5)


def block(shape, *slices):
    mask = np.zeros(shape, dtype=bool)
    mask[slices] = True
    return mask


def blob(seed, shape=(9, 12, 14)):
    """A ragged random mask that also touches the volume's border."""
    rng = np.random.default_rng(seed)
    k, j, i = np.indices(shape)
    centre = rng.uniform(0, shape)
    radius = rng.uniform(2, 5)
    near = (k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2 < radius**2
    return near & (rng.random(shape) < 0.8)


def test_dice_by_hand():
    a = block((4, 4, 4), slice(0, 2))
    b = block((4, 4, 4), slice(1, 3))
    assert dice(a, b) == 0.5
    assert dice(a, a) == 1
    assert dice(a, ~a) == 0


def test_empty_masks_have_a_rule_each():
    empty, full = np.zeros((2, 3, 4), dtype=bool), np.ones((2, 3, 4), dtype=bool)
    diagonal = math.sqrt((2 * 3.0) ** 2 + (3 * 1.5) ** 2 + (4 * 0.5) ** 2)
    assert dice(empty, empty) == 1
    assert hausdorff95_mm(empty, empty, SPACING_KJI) == 0
    for prediction, truth in ((empty, full), (full, empty)):
        assert dice(prediction, truth) == 0
        assert hausdorff95_mm(prediction, truth, SPACING_KJI) == pytest.approx(diagonal)


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(VolumeError, match="different shapes"):
        dice(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))


@pytest.mark.parametrize(("axis", "millimetres"), [(0, 6.0), (1, 3.0), (2, 1.0)])
def test_hausdorff_of_a_shift_by_two_voxels(axis, millimetres):
    mask = block((9, 9, 9), slice(2, 4), slice(2, 4), slice(2, 4))
    assert hausdorff95_mm(np.roll(mask, 2, axis), mask, SPACING_KJI) == pytest.approx(millimetres)


def brute_hausdorff95(prediction, truth, spacing_kji):
    def surface(mask):
        return np.argwhere(mask & ~binary_erosion(mask)) * np.asarray(spacing_kji)

    distance = cdist(surface(prediction), surface(truth))
    return max(np.percentile(distance.min(axis=1), 95), np.percentile(distance.min(axis=0), 95))


@pytest.mark.parametrize("spacing_kji", [(1.0, 1.0, 1.0), SPACING_KJI])
@pytest.mark.parametrize("seed", range(8))
def test_hausdorff_against_all_pairs_of_surface_voxels(seed, spacing_kji):
    prediction, truth = blob(seed), blob(seed + 100)
    expected = brute_hausdorff95(prediction, truth, spacing_kji)
    assert hausdorff95_mm(prediction, truth, spacing_kji) == pytest.approx(expected, rel=1e-5)
    assert hausdorff95_mm(truth, prediction, spacing_kji) == pytest.approx(expected, rel=1e-5)


def brute_zone(truth, spacing_kji, width_mm):
    points = np.indices(truth.shape).reshape(3, -1).T * np.asarray(spacing_kji)
    flat = truth.ravel()
    distance = cdist(points, points)
    to_other_side = np.where(flat, distance[:, ~flat].min(axis=1), distance[:, flat].min(axis=1))
    return (to_other_side <= width_mm).reshape(truth.shape)


@pytest.mark.parametrize("width_mm", [0.4, 1.5, 3.0, 9.0])
@pytest.mark.parametrize("seed", range(3))
def test_border_zone_against_all_pairs_of_voxels(seed, width_mm):
    truth = blob(seed, (7, 9, 11))
    assert np.array_equal(border_zone(truth, SPACING_KJI, width_mm), brute_zone(truth, SPACING_KJI, width_mm))


def test_border_zone_lies_on_both_sides_of_the_surface():
    truth = block((1, 1, 40), slice(None), slice(None), slice(0, 20))
    inside_and_outside = block((1, 1, 40), slice(None), slice(None), slice(11, 29))
    assert np.array_equal(border_zone(truth, (1, 1, 1)), inside_and_outside)


def test_no_surface_no_zone():
    assert not border_zone(np.zeros((3, 3, 3)), SPACING_KJI).any()
    assert not border_zone(np.ones((3, 3, 3)), SPACING_KJI).any()


def naive_calibration_error(probability, truth, bins):
    total, n = 0.0, len(probability)
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        rights, confidences = [], []
        for p, y in zip(probability, truth, strict=True):
            confidence = max(p, 1 - p)
            if low < confidence <= high:
                rights.append((p >= 0.5) == y)
                confidences.append(confidence)
        if rights:
            total += len(rights) / n * abs(np.mean(rights) - np.mean(confidences))
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_against_a_loop(bins):
    rng = np.random.default_rng(bins)
    probability = np.concatenate([rng.random(300), [0.0, 0.5, 1.0]])
    truth = rng.random(303) < probability**2
    expected = naive_calibration_error(probability, truth, bins)
    assert expected_calibration_error(probability, truth, bins=bins) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_by_hand():
    sure = np.full(10, 0.9)
    truth = np.arange(10) < 9
    assert expected_calibration_error(sure, truth) == pytest.approx(0)
    assert expected_calibration_error(sure, ~truth) == pytest.approx(0.8)
    assert expected_calibration_error(1 - sure, ~truth) == pytest.approx(0)
    # Only what the mask holds counts, here the nine that are right.
    assert expected_calibration_error(sure, truth, truth) == pytest.approx(0.1)
    assert math.isnan(expected_calibration_error(sure, truth, np.zeros(10)))


def test_auroc_against_all_pairs_with_ties():
    rng = np.random.default_rng(0)
    score = rng.integers(0, 6, 80)
    positive = rng.random(80) < 0.2 + 0.1 * score
    wins = [(p > n) + (p == n) / 2 for p in score[positive] for n in score[~positive]]
    assert auroc(score, positive) == pytest.approx(np.mean(wins))


def test_auroc_by_hand():
    assert auroc([1, 2, 3, 4], [0, 0, 1, 1]) == 1
    assert auroc([4, 3, 2, 1], [0, 0, 1, 1]) == 0
    assert auroc([7, 7, 7, 7], [0, 0, 1, 1]) == 0.5
    assert math.isnan(auroc([1, 2], [1, 1]))
    assert math.isnan(auroc([1, 2], [0, 0]))
    assert math.isnan(auroc([], []))
