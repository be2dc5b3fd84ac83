"""Transition laws of the Bernoulli chain, one voxel at a time.

A voxel of the truth y_0 in {0, 1} drifts, over steps 1…T, to a draw from the prior p (HiDiff, arXiv
2407.03548): with probability alpha_t it keeps its value, otherwise it is redrawn from B(p). BerDiff is the
case p = 1/2.

Every function returns the *probability that the state is 1*, elementwise, for inputs that broadcast. Inputs
may be boolean, integer or of any float type; the result is float32, or float64 where an input is. Schedule
values ``alpha_bar_*`` are floats or float64 tensors that broadcast (per-sample steps: shape (B, 1, 1, 1, 1)),
with 0 <= alpha_bar_t < alpha_bar_s <= 1 for steps s < t. States y are 0 or 1; p and y0_hat lie in [0, 1].

Each law that uses the prior uses ``clamp_prior(p)``, so that marginal, posterior and start state stay laws of
one and the same chain. It is also why none of them can be 0/0: the divisor q(y_t | y_0) is at least
PRIOR_MARGIN · (1 - alpha_bar_t). Hence y0_hat needs no margin, and hints can be conditioned on exactly.
"""

import torch

from HiDiffRefineLib.bernoulli.precision import as_float, coefficient

# A saturated sigmoid says p = 0 where it means "surely not". At 1e-3 a state that contradicts the prior stays
# possible (and so says little about y_0), while a start state carries one stray voxel in a thousand.
PRIOR_MARGIN = 1e-3


def clamp_prior(prior: torch.Tensor) -> torch.Tensor:
    """The terminal law of the chain: the prior, kept ``PRIOR_MARGIN`` away from 0 and 1."""
    (prior,) = as_float(prior)
    return prior.clamp(PRIOR_MARGIN, 1 - PRIOR_MARGIN)


def draw(probability: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """States 0. and 1. drawn with the given uniforms in [0, 1).

    Sharing the uniforms gives common random numbers, and the same bits on CPU and GPU up to the rounding of
    ``probability``.
    """
    return (uniform < probability).to(probability.dtype)


def forward(y_prev: torch.Tensor, prior: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """One step, q(y_t = 1 | y_{t-1}, p) = alpha_t y_{t-1} + (1 - alpha_t) p.

    alpha_t = alpha_bar_t / alpha_bar_{t-1}.
    """
    y_prev, prior = as_float(y_prev, clamp_prior(prior))
    return coefficient(alpha, prior) * y_prev + coefficient(1 - alpha, prior) * prior


def marginal(y0: torch.Tensor, prior: torch.Tensor, alpha_bar_t: float | torch.Tensor) -> torch.Tensor:
    """All steps up to t at once: q(y_t = 1 | y_0, p) = alpha_bar_t y_0 + (1 - alpha_bar_t) p."""
    return forward(y0, prior, alpha_bar_t)


def skip(
    y_s: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """Steps s + 1…t at once, q(y_t = 1 | y_s, p): one step with alpha = alpha_bar_t / alpha_bar_s."""
    return forward(y_s, prior, alpha_bar_t / alpha_bar_s)


def posterior(
    y_t: torch.Tensor,
    y0: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """q(y_s = 1 | y_t, y_0, p) for s < t and binary y_0, by Bayes' rule on ``skip`` and ``marginal``; exact.

    At s = 0 it is y_0.
    """
    y_t, y0, prior = as_float(y_t, y0, clamp_prior(prior))
    keep = coefficient(alpha_bar_t / alpha_bar_s, prior)
    redraw = coefficient(1 - alpha_bar_t / alpha_bar_s, prior)
    memory = coefficient(alpha_bar_s, prior)
    fading = coefficient(1 - alpha_bar_s, prior)

    redrawn_as_y_t = y_t * prior + (1 - y_t) * (1 - prior)
    one = (keep * y_t + redraw * redrawn_as_y_t) * (memory * y0 + fading * prior)
    zero = (keep * (1 - y_t) + redraw * redrawn_as_y_t) * (memory * (1 - y0) + fading * (1 - prior))
    return one / (one + zero)


def posterior_mixture(
    y_t: torch.Tensor,
    y0_hat: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """The reverse law p(y_s = 1 | y_t) that y0_hat = P(y_0 = 1 | y_t) implies; exact.

    ``posterior``, averaged over y_0.
    """
    y_t, y0_hat = as_float(y_t, y0_hat)
    if_one = posterior(y_t, torch.ones_like(y0_hat), prior, alpha_bar_s, alpha_bar_t)
    if_zero = posterior(y_t, torch.zeros_like(y0_hat), prior, alpha_bar_s, alpha_bar_t)
    return y0_hat * if_one + (1 - y0_hat) * if_zero


def posterior_plug_in(
    y_t: torch.Tensor,
    y0_hat: torch.Tensor,
    prior: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """``posterior`` with the soft y0_hat in the place of y_0, as HiDiff's released code has it. *Not exact*.

    Bayes' rule is not linear in y_0: the result can be off ``posterior_mixture`` by 0.7 (T = 10, cosine,
    t = 2, p = .01, y0_hat = .03, y_t = 1: .99 in the place of .28), and its slope in y0_hat reaches 7e4, too
    much for a float16 gradient. Kept to compare with published models.
    """
    return posterior(y_t, y0_hat, prior, alpha_bar_s, alpha_bar_t)


def ddim(
    y_t: torch.Tensor,
    y0_hat: torch.Tensor,
    alpha_bar_s: float | torch.Tensor,
    alpha_bar_t: float | torch.Tensor,
) -> torch.Tensor:
    """DDIM-type kernel q(y_s = 1 | y_t, y_0) = r y_t + (1 - r) y_0 for s < t.

    r = (1 - alpha_bar_s) / (1 - alpha_bar_t). It preserves every marginal (Song et al., arXiv 2010.02502,
    appendix A, here with terminal law B(p)), the prior drops out, and it is linear in y_0: exact with a soft
    y0_hat too. A state that equals y_0 never leaves it.
    """
    y_t, y0_hat = as_float(y_t, y0_hat)
    ratio = coefficient((1 - alpha_bar_s) / (1 - alpha_bar_t), y_t)
    # Written as a difference, so that y_t = y0_hat gives y0_hat to the last bit.
    return y0_hat + ratio * (y_t - y0_hat)
