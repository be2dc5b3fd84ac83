"""The chain for K exclusive classes: ``kernels`` with one-hot states and a class prior.

With probability alpha_t a voxel keeps its class, otherwise it is redrawn from the class prior. This is the
multinomial chain of Hoogeboom et al., arXiv 2102.05379, with the prior in the place of uniform noise; for two
classes it is the binary chain. Unlike K independent Bernoulli channels, a state always has exactly one class.

Every tensor has its K classes on axis 1: states are one-hot, y0_hat, the prior and each result sum to 1 over
that axis. Number types, ``alpha_bar_*`` and broadcasting are as in ``kernels``. Each law uses
``clamp_prior(prior)``.
"""

import torch
import torch.nn.functional as F

from HiDiffRefineLib.bernoulli import kernels
from HiDiffRefineLib.bernoulli.kernels import ddim  # its algebra is linear, hence the same for K classes
from HiDiffRefineLib.bernoulli.precision import as_float, coefficient

__all__ = ["clamp_prior", "ddim", "draw", "forward", "marginal", "posterior", "posterior_mixture", "skip"]


def clamp_prior(prior: torch.Tensor) -> torch.Tensor:
    """The terminal law: the class prior raised to about ``kernels.PRIOR_MARGIN`` at least."""
    (prior,) = as_float(prior)
    prior = prior.clamp(min=kernels.PRIOR_MARGIN)
    return prior / prior.sum(dim=1, keepdim=True)


def draw(probability: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """One-hot states by inverse CDF over the classes, for given uniforms in [0, 1).

    Args:
        probability: (B, K, ...), summing to 1 over axis 1.
        uniform: (B, 1, ...).
    """
    # Without the last class: its rounded sum may stay below 1, and below the uniform.
    cdf = probability[:, :-1].cumsum(dim=1)
    index = (uniform >= cdf).sum(dim=1)
    return F.one_hot(index, probability.shape[1]).movedim(-1, 1).to(probability.dtype)


def forward(y_prev: torch.Tensor, prior: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """One step, q(y_t = k | y_{t-1}) = alpha_t [k = y_{t-1}] + (1 - alpha_t) prior_k."""
    y_prev, prior = as_float(y_prev, clamp_prior(prior))
    return coefficient(alpha, prior) * y_prev + coefficient(1 - alpha, prior) * prior


def marginal(y0: torch.Tensor, prior: torch.Tensor, alpha_bar_t: float | torch.Tensor) -> torch.Tensor:
    """All steps up to t at once, q(y_t | y_0)."""
    return forward(y0, prior, alpha_bar_t)


def skip(
    y_s: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """Steps s + 1…t at once, q(y_t | y_s)."""
    return forward(y_s, prior, alpha_bar_t / alpha_bar_s)


def posterior(
    y_t: torch.Tensor,
    y0: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """q(y_s | y_t, y_0) for s < t and one-hot y_0, by Bayes' rule; exact."""
    return posterior_mixture(y_t, y0, prior, alpha_bar_s, alpha_bar_t)


def posterior_mixture(
    y_t: torch.Tensor,
    y0_hat: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """The reverse law p(y_s | y_t) that y0_hat = P(y_0 | y_t) implies; exact.

    sum_j y0_hat_j L_k M_kj / Z_j, with the likelihood L_k = q(y_t | y_s = k), M_kj = q(y_s = k | y_0 = j) and
    Z_j = q(y_t | y_0 = j). M_kj is diagonal plus a term free of j, so that the sum costs K terms, not K².
    """
    y_t, y0_hat, prior = as_float(y_t, y0_hat, clamp_prior(prior))
    keep = coefficient(alpha_bar_t / alpha_bar_s, prior)
    redraw = coefficient(1 - alpha_bar_t / alpha_bar_s, prior)
    memory = coefficient(alpha_bar_s, prior)
    fading = coefficient(1 - alpha_bar_s, prior)

    prior_of_y_t = (y_t * prior).sum(dim=1, keepdim=True)
    likelihood = keep * y_t + redraw * prior_of_y_t
    evidence = coefficient(alpha_bar_t, prior) * y_t + coefficient(1 - alpha_bar_t, prior) * prior_of_y_t
    weight = y0_hat / evidence
    return likelihood * (memory * weight + fading * prior * weight.sum(dim=1, keepdim=True))
