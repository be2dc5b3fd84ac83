"""Hints without training: class means move towards the hinted voxels, and those are held."""

from copy import deepcopy
from typing import NamedTuple

import torch

from HiDiffRefineLib.dssm.mixture import ClassMixture, responsibilities

# A hint counts as so many voxels seen in training: the mean of a component moves halfway after 20.
KAPPA = 20.0
# log of the probability of a class that a hint rules out.
RULED_OUT = -30.0


class Known(NamedTuple):
    """Hinted voxels on the features' grid.

    Args:
        allowed: bool (B, labels, k, j, i), which classes a voxel may have; all of them where no hint is.
    """

    allowed: torch.Tensor

    def hold(self, log_probability: torch.Tensor) -> torch.Tensor:
        """Log probabilities (B, labels, k, j, i) with what hints rule out at e^-30, normalised again."""
        held = log_probability.masked_fill(~self.allowed, RULED_OUT)
        return torch.log_softmax(held, dim=1)


def moved_mixture(
    mixture: ClassMixture, v: torch.Tensor, classes: torch.Tensor, kappa: float = KAPPA
) -> ClassMixture:
    """A copy whose means are the MAP estimate after n hinted voxels.

    μ'_cm = (κ μ_cm + Σ_n r_nm v_n) / (κ + Σ_n r_nm), r the responsibilities of the class's components: the
    posterior mean of a Gaussian whose prior is worth κ observations (Bishop 2006, eq. 2.141).

    Args:
        v: features (N, D) of hinted voxels. classes: (N,) whole numbers, what they are.
        kappa: observations that the trained mean is worth.
    """
    moved = deepcopy(mixture)
    shares = responsibilities(v, classes, mixture.gaussians)
    for c in classes.unique().tolist():
        own, weight = v[classes == c], shares[classes == c]
        total = kappa * mixture.mean[c] + weight.T @ own
        moved.mean[c] = total / (kappa + weight.sum(0))[:, None]
    return moved
