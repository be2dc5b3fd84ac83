"""A first look at held-out cases right after training; `evaluate` gives the figures that count."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.compose import LabelProbability, compose, label_probability
from HiDiffRefineLib.inference.refiner import Region, segment_region
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.training.cases import Case


def print_dice(name: str, answers: Iterable[tuple[Case, list[LabelProbability | None]]]) -> None:
    """Prints the mean Dice per label, native grid, over the cases that have the label."""
    rows = []
    for case, maps in answers:
        labelmap = compose(maps, case.labels.shape)
        present = [int(label) for label in np.unique(case.labels) if label > 0]
        rows.append({label: dice(labelmap == label, case.labels == label) for label in present})
    labels = sorted(set().union(*rows))
    means = [np.mean([row[label] for row in rows if label in row]) for label in labels]
    print(f"{name}: Dice {np.mean(means):.4f}, per label {np.round(means, 3).tolist()}", flush=True)


def prior_maps(case: Case, prior: Prior) -> list[LabelProbability | None]:
    """The unrefined probabilities of every label."""
    native = Grid(case.labels.shape, case.ijk_to_ras)
    return [label_probability(prior, label, native) for label in range(1, len(prior.probabilities))]


def refined_maps(
    patch_kji: tuple[int, int, int],
    device: torch.device,
    refine: Callable[[Region], torch.Tensor],
    case: Case,
    prior: Prior,
) -> list[LabelProbability | None]:
    """The probabilities of every label, refined wherever the prior has some of it."""
    native = Grid(case.labels.shape, case.ijk_to_ras)
    image = torch.from_numpy(case.image)[None].to(device).float() / 255
    prior = Prior(prior.probabilities.to(device), prior.grid)
    maps = []
    for label in range(1, len(prior.probabilities)):
        region = segment_region(image, case.ijk_to_ras, prior, label, patch_kji)
        answer = None if region is None else refine(region)
        maps.append(label_probability(prior, label, native, region, answer))
    return maps
