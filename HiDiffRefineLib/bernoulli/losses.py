"""The variational term of the training loss.

HiDiff adds a focal loss; use BCE instead. Focal loss is no proper score (gamma = 2 turns a true probability
of .1 into .31), and the exact reverse law, hints and uncertainty maps all need a calibrated y0_hat.
"""

import torch

from HiDiffRefineLib.bernoulli.chain import BernoulliChain
from HiDiffRefineLib.bernoulli.precision import as_float

# Keeps a sure but wrong model at a finite loss of 13.8 nats, where its gradient is 0: add BCE on the logits.
PROBABILITY_MARGIN = 1e-6


def kl_divergence_bernoulli(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """KL(B(q) || B(p)) in nats, elementwise; finite, with finite gradients, for all q and p in [0, 1].

    Args:
        q: probability of 1 of the true law.
        p: probability of 1 of the model's law; taken as at least ``PROBABILITY_MARGIN`` away from 0 and 1.

    Returns:
        float32 (float64 where an input is), of the broadcast shape.
    """
    q, p = as_float(q, p)
    p = p.clamp(PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN)
    # xlogy(q, q) has a NaN gradient at q = 0.
    tiny = torch.finfo(q.dtype).tiny
    negative_entropy = torch.xlogy(q, q.clamp(min=tiny)) + torch.xlogy(1 - q, (1 - q).clamp(min=tiny))
    return negative_entropy - torch.xlogy(q, p) - torch.xlogy(1 - q, 1 - p)


def posterior_kl(
    chain: BernoulliChain,
    y_t: torch.Tensor,
    y0: torch.Tensor,
    y0_hat: torch.Tensor,
    prior: torch.Tensor,
    t: int | torch.Tensor,
    s: int | torch.Tensor,
) -> torch.Tensor:
    """KL(q(y_s | y_t, y_0) || p(y_s | y_t)) in nats a voxel: a term of the variational bound.

    The model's law is the exact mixture. At s = 0 it is the negative log-likelihood of y_0. No gradient
    reaches the prior: a segmentor trained along could otherwise lower the loss by moving the target.

    Args:
        chain: schedule and laws.
        y_t: state of 0 and 1 at step t.
        y0: true mask of 0 and 1.
        y0_hat: the model's P(y_0 = 1 | y_t).
        prior: terminal law, in [0, 1].
        t: step to leave, 1…T; an int or a tensor that broadcasts.
        s: step to reach, 0…t - 1; t - 1 for the bound itself.

    Returns:
        float32 (float64 where an input is), of the broadcast shape.

    Raises:
        ConfigError: not 0 <= s < t <= T.
    """
    prior = prior.detach()
    true = chain.step_probability(y_t, y0, prior, t, s, kernel="posterior")
    model = chain.step_probability(y_t, y0_hat, prior, t, s, kernel="posterior")
    return kl_divergence_bernoulli(true, model)
