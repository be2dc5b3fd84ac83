"""Patches for the refiner: one object at a time, with the prior it would meet in use."""

import numpy as np
import torch

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample, resample_labelmap
from HiDiffRefineLib.inference.regions import ZOOM, region_grid
from HiDiffRefineLib.inference.segmentor import Prior, prior_of_labels
from HiDiffRefineLib.training.cases import Case
from HiDiffRefineLib.training.corruption import CORRUPTED_SHARE, corrupt, displacement
from HiDiffRefineLib.training.patches import LoadedCase, Patches, label_places, random_linear, random_warp

# Share of patches that are warped: twenty scans are few to learn from.
WARPED_SHARE = 0.5
# Share of patches that look at a part of the object, at any spacing down to the finest.
LOCAL_SHARE = 0.4
# Share of samples whose prior takes in a neighbour too.
MERGED_SHARE = 0.05
# An object is drawn with a weight of this and 1 - Dice of its prior: a liver at .96 has little to teach.
SURE_WEIGHT = 0.2
# Share of samples that know of no other segment, as where a user brings a single mask.
ALONE_SHARE = 0.3


class RefinerPatches(Patches):
    """Samples (image, prior, others, truth), each (1, k, j, i), around one object at a time.

    Args:
        sets: lists of (case, prior) pairs; an object is drawn by its prior's error. Where the prior is None,
            the truth stands in for a mask from elsewhere, always corrupted.
        patch_kji: of the refiner. seed: of everything random.
        empty_share: of samples whose prior is empty: only a hint says what is wanted.
        set_exponent: a set is drawn by its number of labels to this power.
    """

    any_contrast = True

    def __init__(self, sets, patch_kji, seed: int, empty_share: float, set_exponent: float):
        super().__init__(seed)
        self.patch_kji = tuple(patch_kji)
        self.empty_share = empty_share
        self.sets = []
        for pairs in sets:
            loaded = []
            for case, prior in pairs:
                places = label_places(case, self.rng)
                foreign = prior is None
                if foreign:
                    grid = Grid(case.labels.shape, case.ijk_to_ras)
                    prior = prior_of_labels(case.labels, grid, int(case.labels.max()) + 1)
                bounds = {
                    label: object_bounds_ras(mask, prior.grid.ijk_to_ras)
                    for label, mask in enumerate((prior.probabilities > 0.5).numpy())
                    if label in places and mask.any()
                }
                if bounds:
                    errors = _errors(case, prior, bounds)
                    loaded.append((LoadedCase(case), prior, bounds, places, foreign, errors))
            if not loaded:
                raise ConfigError("A whole set of priors is empty.", "Train its segmentors longer.")
            self.sets.append(loaded)
        labels = np.array([max(len(bounds) for _, _, bounds, *_ in loaded) for loaded in self.sets])
        weights = labels**set_exponent
        self.shares = weights / weights.sum()

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """One augmented image, the prior as it may be met, other segments and truth, each (1, k, j, i)."""
        rng = self.rng
        loaded = self.sets[rng.choice(len(self.sets), p=self.shares)]
        case, prior, bounds, places, foreign, errors = loaded[rng.integers(len(loaded))]
        weights = np.array([SURE_WEIGHT + errors[label] for label in bounds])
        label = int(rng.choice(list(bounds), p=weights / weights.sum()))
        center, spacing_kji = self._view(bounds[label], places[label], prior.grid.spacing_kji)
        linear = random_linear(rng, mirror=True)
        grid = centered_grid(center, self.patch_kji, spacing_kji, linear)
        warp = random_warp(rng, self.patch_kji, spacing_kji) if rng.random() < WARPED_SHARE else None
        image = self.augment(resample(case.image, case.ijk_to_ras, grid, warp_ras=warp))
        truth = (resample((case.labels == label).float(), case.ijk_to_ras, grid, warp_ras=warp) > 0.5).float()
        others = prior.others_resampled(label, grid, warp)
        if rng.random() < ALONE_SHARE:
            others = torch.zeros_like(others)
        if rng.random() < self.empty_share:
            return image, torch.zeros_like(truth), others, truth
        corrupted = foreign or rng.random() < CORRUPTED_SHARE
        displaced = corrupted and rng.random() < 0.3
        if displaced:
            shift, skew = displacement(rng, spacing_kji)
            grid = centered_grid(center + shift, self.patch_kji, spacing_kji, linear @ skew)
        found = prior.resampled(label, grid, warp)
        if rng.random() < MERGED_SHARE:
            found = torch.maximum(found, prior.resampled(int(rng.choice(list(bounds))), grid, warp))
        # The truth itself must never pass for a mask that someone brings.
        if foreign or corrupted and not displaced:
            found = corrupt(found, rng)
        return image, found, others, truth

    def _view(self, bounds_ras, places_ras, working_kji) -> tuple[np.ndarray, np.ndarray]:
        """Centre in RAS mm and spacing (k, j, i) of a patch: the whole object, or some part of it."""
        whole = region_grid(bounds_ras, working_kji, self.patch_kji)
        if self.rng.random() >= LOCAL_SHARE:
            jitter = self.rng.uniform(-6, 6, 3) * whole.spacing_kji[::-1]
            return whole.center_ras + jitter, whole.spacing_kji
        finest_kji = ZOOM * np.asarray(working_kji)
        spacing_kji = finest_kji + self.rng.random() * (whole.spacing_kji - finest_kji)
        place = places_ras[self.rng.integers(len(places_ras))]
        return place + self.rng.uniform(-12, 12, 3) * spacing_kji[::-1], spacing_kji


def _errors(case: Case, prior: Prior, labels) -> dict[int, float]:
    """Label → 1 - Dice of the prior's mask, on the prior's grid."""
    truth = resample_labelmap(case.labels, case.ijk_to_ras, prior.grid)
    masks = (prior.probabilities > 0.5).numpy()
    return {label: 1 - dice(masks[label], truth == label) for label in labels}
