"""The temperature that makes the refiner's uncertainty honest, from cases with known labels."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import xlogy

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.cases import Cases
from HiDiffRefineLib.evaluation.metrics import border_zone, expected_calibration_error
from HiDiffRefineLib.inference.compose import LabelProbability, label_probability, whole_probability
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.refiner import reverse_steps
from HiDiffRefineLib.inference.uncertainty import tempered
from HiDiffRefineLib.session.editing import SAMPLES
from HiDiffRefineLib.volumes.volume import Volume

# A label's voxels near the border are looked at up to this number: a liver must not outvote a gland.
VOXELS = 20_000
# Coldest and hottest.
RANGE = (0.2, 10.0)


def calibrate(
    pipeline: Pipeline,
    folder: Path,
    names: Sequence[str] = (),
    progress: Callable[[float, str], None] = lambda share, what: None,
    notify: Callable[[str], None] = lambda text: None,
) -> dict:
    """The best temperature for the mean of the refiner's chains near the borders of all labels.

    Args:
        folder: holds images/ and labels/ with the same file names.
        names: only these cases (file names without extension).
        notify: told of a GPU that is full, and of cases that are left out.

    Returns:
        {"temperature", "ece_before", "ece_after"}: means over the labels of all cases; with `Cases.lacking`.

    Raises:
        VolumeError: no label's border is there to look at. Others: as `evaluate`.
    """
    steps = pipeline.check(None, ("segmentor", "refiner"))
    cases = Cases(folder, names, notify=notify)
    rng = np.random.default_rng(0)

    def looked_at(n: int, file: str, volume: Volume, truth: np.ndarray) -> list:
        progress(n / len(cases.files), file)
        work = partial(refined_means, volume=volume, steps=steps)
        means = pipeline.where_there_is_room(work, notify)
        return [pair for shown in means for pair in near_border(shown, truth, volume.spacing_kji, rng)]

    found = [pair for _, pairs in cases.each(looked_at) for pair in pairs]
    progress(1.0, "done")
    best = best_temperature(found)
    return {
        "temperature": best,
        "ece_before": float(np.mean([expected_calibration_error(p, y) for p, y in found])),
        "ece_after": float(np.mean([expected_calibration_error(tempered(p, best), y) for p, y in found])),
    } | cases.lacking


def refined_means(pipeline: Pipeline, volume: Volume, steps: int) -> list[LabelProbability]:
    """The mean of `SAMPLES` chains for each label that the prior has, untempered, on the volume's grid."""
    scan, found = pipeline.scan(volume), []
    prior = pipeline.prior(scan)
    for label in pipeline.bundle.labels:
        region = pipeline.region(scan, prior, label.value)
        if region is None:
            continue
        network, chain = pipeline.network("refiner"), pipeline.chain
        *_, mean = reverse_steps(network, chain, region, steps, seed=1, samples=SAMPLES)
        found.append(label_probability(prior, label.value, scan.grid, region, mean))
    return found


def near_border(
    shown: LabelProbability, truth: np.ndarray, spacing_kji: Sequence[float], rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probability and truth, both (n,), of some voxels near a label's true border: a list of one or none."""
    zone = np.flatnonzero(border_zone(truth == shown.label, spacing_kji))
    if not len(zone):
        return []
    zone = rng.choice(zone, min(len(zone), VOXELS), replace=False)
    probability = whole_probability([shown], shown.label, truth.shape).ravel()[zone]
    return [(probability, truth.ravel()[zone] == shown.label)]


def best_temperature(found: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """`fit_temperature` of all that `near_border` found.

    Raises:
        VolumeError: nothing was found.
    """
    if not found:
        raise VolumeError("No label of the model is in these cases.", "Choose cases that show some.")
    return fit_temperature(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def fit_temperature(probability: np.ndarray, truth: np.ndarray) -> float:
    """The temperature of least mean negative log-likelihood (Guo et al. 2017, arXiv 1706.04599).

    Args:
        probability: P(truth), any shape.
        truth: bool of that shape.
    """
    p = np.clip(np.asarray(probability, float), 1e-4, 1 - 1e-4)

    def loss(log_temperature: float) -> float:
        q = tempered(p, np.exp(log_temperature))
        return -float(np.mean(xlogy(truth, q) + xlogy(~truth, 1 - q)))

    return float(np.exp(minimize_scalar(loss, bounds=np.log(RANGE), method="bounded").x))
