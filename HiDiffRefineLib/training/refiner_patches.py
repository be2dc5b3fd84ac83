"""Patches for the refiner: one object at a time, with the prior it would meet in use."""

import numpy as np
import torch

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.refiner import region_grid
from HiDiffRefineLib.training.corruption import CORRUPTED_SHARE, corrupt, displacement
from HiDiffRefineLib.training.patches import LoadedCase, Patches, random_linear, random_warp

# Share of patches that are warped: twenty scans are few to learn from.
WARPED_SHARE = 0.5


class RefinerPatches(Patches):
    """Samples (image, prior, others, truth), each (1, k, j, i), around one object at a time.

    Args:
        sets: lists of (case, prior) pairs; a set is drawn by the root of its number of labels.
        patch_kji: of the refiner. seed: of everything random.
    """

    def __init__(self, sets, patch_kji, seed: int):
        super().__init__(seed)
        self.patch_kji = tuple(patch_kji)
        self.sets = []
        for pairs in sets:
            loaded = []
            for case, prior in pairs:
                bounds = {
                    label: object_bounds_ras(mask, prior.grid.ijk_to_ras)
                    for label, mask in enumerate((prior.probabilities > 0.5).numpy())
                    if label > 0 and mask.any()
                }
                if bounds:
                    loaded.append((LoadedCase(case), prior, bounds))
            if not loaded:
                raise ConfigError("A whole set of priors is empty.", "Train its segmentors longer.")
            self.sets.append(loaded)
        roots = np.sqrt([max(len(bounds) for *_, bounds in loaded) for loaded in self.sets])
        self.shares = roots / roots.sum()

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """One augmented image, its possibly corrupted prior, other segments and truth, each (1, k, j, i)."""
        rng = self.rng
        loaded = self.sets[rng.choice(len(self.sets), p=self.shares)]
        case, prior, bounds = loaded[rng.integers(len(loaded))]
        label = int(rng.choice(list(bounds)))
        region = region_grid(bounds[label], prior.grid.spacing_kji, self.patch_kji)
        spacing_kji, linear = region.spacing_kji, random_linear(rng, mirror=True)
        center = region.center_ras + rng.uniform(-6, 6, 3) * spacing_kji[::-1]
        grid = centered_grid(center, self.patch_kji, spacing_kji, linear)
        warp = random_warp(rng, self.patch_kji, spacing_kji) if rng.random() < WARPED_SHARE else None
        image = self.augment(resample(case.image, case.ijk_to_ras, grid, warp_ras=warp))
        truth = resample((case.labels == label).float(), case.ijk_to_ras, grid, warp_ras=warp) > 0.5
        others = prior.others_resampled(label, grid, warp)
        corrupted = rng.random() < CORRUPTED_SHARE
        if corrupted and rng.random() < 0.3:
            shift, skew = displacement(rng, spacing_kji)
            grid = centered_grid(center + shift, self.patch_kji, spacing_kji, linear @ skew)
            corrupted = False
        probability = prior.resampled(label, grid, warp)
        return image, corrupt(probability, rng) if corrupted else probability, others, truth.float()
