"""From probabilities of single labels to one labelmap on the native grid."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from HiDiffRefineLib.geometry.boxes import object_bounds_ras, part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.refiner import Region, refined_probability
from HiDiffRefineLib.inference.segmentor import Prior

# Below this a label hardly wins a voxel of the native grid; one stray voxel above it makes a box large.
NEGLIGIBLE = 0.05


@dataclass(frozen=True)
class LabelProbability:
    """Where one label may be.

    Args:
        label: its value.
        box: slices (k, j, i) of the native grid; outside, the probability is negligible.
        probability: float16 of the box's shape.
    """

    label: int
    box: tuple[slice, slice, slice]
    probability: np.ndarray

    def within(self, inside: np.ndarray) -> "LabelProbability":
        """The same with nothing outside a mask (k, j, i) of the native grid."""
        return LabelProbability(self.label, self.box, self.probability * inside[self.box])

    def moved(self, part: tuple[slice, slice, slice]) -> "LabelProbability":
        """The same on the grid that the native one is the slices `part` of."""
        box = tuple(slice(b.start + p.start, b.stop + p.start) for b, p in zip(self.box, part, strict=True))
        return LabelProbability(self.label, box, self.probability)


def whole_probability(maps: Iterable[LabelProbability], label: int, shape_kji) -> np.ndarray:
    """One label's probability (k, j, i) on the whole native grid, zero outside its boxes."""
    whole = np.zeros(shape_kji, np.float32)
    for found in maps:
        if found.label == label:
            np.maximum(whole[found.box], found.probability, out=whole[found.box])
    return whole


def label_probability(
    prior: Prior, label: int, native: Grid, region: Region | None = None, refined: torch.Tensor | None = None
) -> LabelProbability | None:
    """One label's probability on the native grid, as the prior has it or refined; None where there is none.

    Args:
        native: the image's grid.
        region, refined: of the refiner, see `refined_probability`.
    """
    support = (prior.probabilities[label] > NEGLIGIBLE).cpu().numpy()
    if not support.any():
        return None
    bounds = object_bounds_ras(support, prior.grid.ijk_to_ras, share=1)
    # Interpolation carries the outermost probabilities on to the next sample, half a voxel further.
    half_voxel_ras = np.abs(prior.grid.ijk_to_ras[:3, :3]).sum(1) / 2
    bounds = bounds + [-half_voxel_ras, half_voxel_ras]
    if region is not None:
        other = region.grid.bounds_ras()
        bounds = np.stack([np.minimum(bounds[0], other[0]), np.maximum(bounds[1], other[1])])
    box = voxel_box(native, bounds)
    target = part_of(native, box)
    if region is None:
        probability = prior.resampled(label, target)
    else:
        probability = refined_probability(region, refined, prior, label, target)
    return LabelProbability(label, box, probability[0].half().cpu().numpy())


def compose(maps: Iterable[LabelProbability | None], shape_kji) -> np.ndarray:
    """The labelmap (k, j, i) uint8 of the likeliest label, background being what the labels leave of 1."""
    labelmap = np.zeros(shape_kji, np.uint8)
    best = np.zeros(shape_kji, np.float32)
    total = np.zeros(shape_kji, np.float32)
    for found in filter(None, maps):
        total[found.box] += found.probability
        better = found.probability > best[found.box]
        best[found.box][better] = found.probability[better]
        labelmap[found.box][better] = found.label
    labelmap[best <= 1 - total] = 0
    return labelmap
