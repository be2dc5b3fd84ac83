"""Figures for one segment of one case.

Empty masks have a rule each and are never left out: leaving them out would reward a model for missing an
organ.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import bounding_box


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """2 |A ∩ B| / (|A| + |B|) of two masks of one shape; 1 if both are empty, so 0 if one is."""
    prediction, truth = _masks(prediction, truth)
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return 2.0 * np.count_nonzero(prediction & truth) / total if total else 1.0


def overlaps(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Intersection over union, precision and recall of two masks of one shape.

    Returns:
        {"iou": |A ∩ B| / |A ∪ B|, "precision": |A ∩ B| / |A|, "recall": |A ∩ B| / |B|}, A the prediction;
        where a denominator is 0, 1 if the other mask is empty as well, else 0.
    """
    prediction, truth = _masks(prediction, truth)
    both, predicted, true = (np.count_nonzero(mask) for mask in (prediction & truth, prediction, truth))
    found = {"iou": (both, predicted + true - both), "precision": (both, predicted), "recall": (both, true)}
    nothing = float(predicted == true == 0)
    return {name: part / whole if whole else nothing for name, (part, whole) in found.items()}


def hausdorff95_mm(prediction: np.ndarray, truth: np.ndarray, spacing_kji: Sequence[float]) -> float:
    """95 % Hausdorff distance in mm: the larger of both directed 95th percentiles of surface distances.

    Surfaces are the masks' border voxels (MONAI); a voxel on the volume's border is one.

    Args:
        prediction, truth: masks, (k, j, i).
        spacing_kji: voxel size in mm.

    Returns:
        0 if both are empty. If one is empty, the diagonal of the volume in mm: no distance could be longer,
        and a finite penalty keeps the case in the mean.
    """
    prediction, truth = _masks(prediction, truth)
    box = bounding_box(prediction | truth)
    if box is None:
        return 0.0
    if not prediction.any() or not truth.any():
        return float(np.linalg.norm(np.multiply(truth.shape, spacing_kji)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 warns of a call of its own
        distance = compute_hausdorff_distance(
            torch.from_numpy(prediction[box][None, None]),
            torch.from_numpy(truth[box][None, None]),
            include_background=True,
            percentile=95,
            spacing=[float(size) for size in spacing_kji],
        )
    return float(distance)


def border_zone(truth: np.ndarray, spacing_kji: Sequence[float], width_mm: float = 9.0) -> np.ndarray:
    """Voxels within `width_mm` of the truth's surface, on either side.

    Calibration and error detection are judged here: further away almost every voxel is trivially right,
    which would flatter any model. Distance is from voxel centre to the nearest centre of the other side.

    Args:
        truth: mask, (k, j, i).
        spacing_kji: voxel size in mm.

    Returns:
        bool (k, j, i); all False if the truth is empty or fills the volume.
    """
    truth = np.asarray(truth, dtype=bool)
    zone = np.zeros(truth.shape, dtype=bool)
    box = bounding_box(truth)
    if box is None or truth.all():
        return zone
    # The padded box holds every voxel within the width, and at least one voxel of background.
    pad = np.ceil(np.divide(width_mm, spacing_kji)).astype(int) + 1
    box = tuple(slice(max(0, s.start - p), s.stop + p) for s, p in zip(box, pad, strict=True))
    inside = truth[box]
    to_other_side = np.where(
        inside,
        distance_transform_edt(inside, sampling=spacing_kji),
        distance_transform_edt(~inside, sampling=spacing_kji),
    )
    zone[box] = to_other_side <= width_mm
    return zone


def expected_calibration_error(
    probability: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None, bins: int = 15
) -> float:
    """Σ_b |b| / n · |accuracy(b) − confidence(b)| over equal bins of confidence (Guo et al. 2017, eq. 5).

    Confidence is that of the predicted class, max(p, 1 − p), so only the upper half of the bins is used.

    Args:
        probability: P(segment), any shape.
        truth: mask of that shape.
        mask: voxels that count, for instance a border zone; None for all.
        bins: bins of (0, 1].

    Returns:
        0…1; nan if no voxel counts.
    """
    mask = np.ones(np.shape(truth), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    p = np.asarray(probability)[mask].astype(np.float64)
    if p.size == 0:
        return float("nan")
    right = (p >= 0.5) == np.asarray(truth, dtype=bool)[mask]
    confidence = np.maximum(p, 1 - p)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # bins open below, closed above
    gap = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / p.size)


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores higher than a negative, ties counting half (Mann-Whitney U).

    Args:
        score: any shape, higher means more likely positive.
        positive: mask of that shape.

    Returns:
        0…1; nan if there are no positives or no negatives.
    """
    positive = np.asarray(positive, dtype=bool).ravel()
    n_positive = np.count_nonzero(positive)
    n_negative = positive.size - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(np.asarray(score).ravel())
    u = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(u / (n_positive * n_negative))


def _masks(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    prediction, truth = np.asarray(prediction, dtype=bool), np.asarray(truth, dtype=bool)
    if prediction.shape != truth.shape:
        raise VolumeError(
            f"Masks of different shapes cannot be compared: {prediction.shape} and {truth.shape} voxels.",
            "Give images and labels of one case the same grid.",
        )
    return prediction, truth
