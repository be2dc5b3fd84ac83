"""The Bayesian posterior map: what the head says and what the density says, in one probability."""

import torch
import torch.nn.functional as F


def log_posterior(
    log_head: torch.Tensor,
    log_density: torch.Tensor,
    log_prior: torch.Tensor,
    gamma: float | torch.Tensor,
    tau: float | torch.Tensor,
) -> torch.Tensor:
    """log p(c | F, v) = γ log p_d(c | F) + τ [log p(v | c) + (1 - γ) log p(c)] + const, normalised over c.

    The head's probabilities hold the prior already, so it counts only as far as the head is left out: γ = 1,
    τ = 0 is the discriminative network, γ = 0, τ = 1 is Bayes' rule for the density alone. τ below 1 tempers
    a density that takes the entries of v for independent; with γ = 0 it tempers Bayes' answer as a whole.

    Args:
        log_head: log p_d, (B, C, k, j, i). log_density: log p(v | c), same shape. log_prior: log p(c), (C,).

    Returns:
        float32 (B, C, k, j, i).
    """
    prior = log_prior.view(1, -1, 1, 1, 1)
    return F.log_softmax(gamma * log_head.float() + tau * (log_density + (1 - gamma) * prior), dim=1)


def surprise(log_density: torch.Tensor, log_prior: torch.Tensor) -> torch.Tensor:
    """-log p(v) = -log Σ_c p(v | c) p(c), float32 (B, 1, k, j, i): high where nothing known looks so."""
    return -torch.logsumexp(log_density + log_prior.view(1, -1, 1, 1, 1), dim=1, keepdim=True)
