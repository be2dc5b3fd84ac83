"""Stable Markov inference: from the head's answer, without noise, in one to four steps."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from HiDiffRefineLib.dssm.hints import Known
from HiDiffRefineLib.dssm.latent import timesteps
from HiDiffRefineLib.dssm.mixture import ClassMixture
from HiDiffRefineLib.dssm.network import DSSM
from HiDiffRefineLib.dssm.posterior import surprise


class Answer(NamedTuple):
    """What is known after a step, float32 on the features' grid.

    Args:
        log_posterior: (B, labels, k, j, i).
        surprise: -log p(v), (B, 1, k, j, i).
        v: (B, D, k, j, i).
    """

    log_posterior: torch.Tensor
    surprise: torch.Tensor
    v: torch.Tensor


def markov_steps(
    network: DSSM,
    image: torch.Tensor,
    steps: int,
    gamma: float = 1.0,
    tau: float | torch.Tensor | None = None,
    known: Known | None = None,
    mixture: ClassMixture | None = None,
) -> Iterator[Answer]:
    """The answer after each of `steps` steps; the same for the same input, since nothing is drawn.

    Args:
        image: (B, in_channels, k, j, i) in 0…1.
        steps: 1, the one-shot answer, to 4.
        gamma, tau: see `log_posterior`; tau None for the network's own.
        known: hinted voxels, held in every state and every answer.
        mixture: with the means that hints have moved; None for the network's.
    """
    pixels = network.pixels(image)
    hold = known.hold if known else lambda log_probability: log_probability
    given = hold(network.classify(pixels)).exp()
    latent = network.start(given)
    schedule = [*timesteps(steps), 0]
    for t, s in zip(schedule[:-1], schedule[1:], strict=True):
        now, later = (torch.full((len(image),), n, device=image.device) for n in (t, s))
        found = network.step(pixels, given, latent, now, gamma, tau, mixture)
        log_posterior = hold(found.log_posterior)
        yield Answer(log_posterior, surprise(found.log_density, network.mixture.log_prior()), found.v)
        if s > 0:
            latent = network.next_latent(latent, found, log_posterior.exp(), now, later)


def head_alone(network: DSSM, image: torch.Tensor) -> torch.Tensor:
    """log p_d, float32 (B, labels, k, j, i): one pass of the discriminative network, nothing generative."""
    return network.classify(network.pixels(image))
