"""The class-conditional density p(v | c): a mixture of Gaussians a class, fitted by EM without gradients.

After GMMSeg (arXiv 2210.02025): diagonal covariances with a floor, momentum between batches. Its Sinkhorn
balancing and memory bank are left out: sufficient statistics that fade are all that stepwise EM needs
(Cappé & Moulines 2009, arXiv 0712.4273).
"""

from math import log, pi
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

# v lies on a sphere on which each of its entries has variance 1.
VARIANCE_FLOOR = 0.05
# A component that sees nothing any more keeps this weight and may come back.
WEIGHT_FLOOR = 1e-6


class Gaussians(NamedTuple):
    """Mixtures of M Gaussians for C classes in D dimensions, float32.

    Args:
        mass: (C, M) how much each component has seen; a class's weights are these over their sum.
        mean, variance: (C, M, D).
    """

    mass: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor


def log_weights(mass: torch.Tensor) -> torch.Tensor:
    """log π_cm, (C, M)."""
    weights = mass / mass.sum(1, keepdim=True).clamp(min=1e-30)
    return torch.log(weights.clamp(min=WEIGHT_FLOOR))


def component_log_density(v: torch.Tensor, gaussians: Gaussians) -> torch.Tensor:
    """log N(v; μ_cm, diag σ²_cm) of features (N, D), float32 (N, C, M).

    Written as two matrix products, Σ v²/σ² and Σ v μ/σ², so that no (N, C, M, D) array is ever made.
    """
    _, mean, variance = gaussians
    precision = 1 / variance
    quadratic, linear = -0.5 * precision, mean * precision
    constant = -0.5 * (mean**2 * precision + torch.log(variance) + log(2 * pi)).sum(-1)
    factors = torch.cat([quadratic, linear], dim=-1).flatten(0, 1)
    found = torch.cat([v * v, v], dim=1) @ factors.T + constant.flatten()
    return found.unflatten(1, mean.shape[:2])


def class_log_density(v: torch.Tensor, gaussians: Gaussians) -> torch.Tensor:
    """log p(v | c) = log Σ_m π_cm N(v; μ_cm, diag σ²_cm) of features (N, D), float32 (N, C)."""
    return torch.logsumexp(component_log_density(v, gaussians) + log_weights(gaussians.mass), dim=2)


def responsibilities(v: torch.Tensor, classes: torch.Tensor, gaussians: Gaussians) -> torch.Tensor:
    """P(component | v, its class), (N, M), of features (N, D) of known classes (N,)."""
    joint = component_log_density(v, gaussians) + log_weights(gaussians.mass)
    own = joint.gather(1, classes[:, None, None].expand(-1, 1, joint.shape[2]))[:, 0]
    return torch.softmax(own, dim=1)


def em_step(v: torch.Tensor, classes: torch.Tensor, gaussians: Gaussians, share: float = 1.0) -> Gaussians:
    """One E-step and M-step on features (N, D) of known classes (N,).

    Args:
        share: of these features in the statistics; the rest is what was seen before. With 1 this is EM,
            which never lowers the likelihood (Dempster et al. 1977); a variance at its floor is the best
            that is allowed. A class that is not among the features keeps its mixture.
    """
    count, components = gaussians.mass.shape
    shares = responsibilities(v, classes, gaussians)
    belongs = F.one_hot(classes, count).to(v.dtype)
    belongs = (belongs[:, :, None] * shares[:, None]).flatten(1) / len(v)
    old = (1 - share) * gaussians.mass
    mass = old + share * belongs.sum(0).view(count, components)
    first = share * (belongs.T @ v).view_as(gaussians.mean) + old[..., None] * gaussians.mean
    second = share * (belongs.T @ (v * v)).view_as(gaussians.mean)
    second = second + old[..., None] * (gaussians.variance + gaussians.mean**2)
    seen = (mass > 1e-12)[..., None]
    safe = mass.clamp(min=1e-12)[..., None]
    mean = torch.where(seen, first / safe, gaussians.mean)
    variance = torch.where(seen, second / safe - mean**2, gaussians.variance).clamp(min=VARIANCE_FLOOR)
    # A class that has not been met for long fades, but must not vanish.
    present = mass.sum(1, keepdim=True) > 1e-9
    return Gaussians(torch.where(present, mass, gaussians.mass), mean, variance)


class ClassMixture(nn.Module):
    """`Gaussians` as buffers: float32, outside autocast, saved with the weights, moved by EM alone."""

    def __init__(self, labels: int, components: int, dimension: int):
        super().__init__()
        start = torch.Generator().manual_seed(0)
        self.register_buffer("mass", torch.full((labels, components), 1 / (labels * components)))
        self.register_buffer("mean", torch.randn(labels, components, dimension, generator=start))
        self.register_buffer("variance", torch.ones(labels, components, dimension))

    @property
    def gaussians(self) -> Gaussians:
        """The buffers."""
        return Gaussians(self.mass, self.mean, self.variance)

    def log_prior(self) -> torch.Tensor:
        """log p(c), (C,): how often the classes were met."""
        mass = self.mass.sum(1)
        return torch.log(mass.clamp(min=1e-9) / mass.sum())

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """log p(v | c), float32 (B, C, k, j, i), of features (B, D, k, j, i)."""
        with torch.autocast(v.device.type, enabled=False):
            rows = v.float().movedim(1, -1)
            found = class_log_density(rows.flatten(0, -2), self.gaussians)
            return found.unflatten(0, rows.shape[:-1]).movedim(-1, 1)

    @torch.no_grad()
    def update(self, v: torch.Tensor, classes: torch.Tensor, share: float) -> None:
        """`em_step` in place on features (N, D) and their classes (N,)."""
        with torch.autocast(v.device.type, enabled=False):
            found = em_step(v.float(), classes, self.gaussians, share)
        for buffer, value in zip(self.gaussians, found, strict=True):
            buffer.copy_(value)
