"""Reverse sampling: from the prior, or from a re-noised mask, to a refined probability map."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch

from HiDiffRefineLib.bernoulli.chain import BernoulliChain, step_kernel
from HiDiffRefineLib.bernoulli.kernels import clamp_prior, draw
from HiDiffRefineLib.errors import ConfigError


def seeded_noise(
    seed: int, shape: Sequence[int], device: torch.device | str = "cpu"
) -> Callable[[int], torch.Tensor]:
    """Uniforms for ``reverse``: draw number k depends on (seed, k) alone, and on no device.

    Drawn on the CPU and moved, so that every device sees the same bits. Batch items differ from one another,
    and the first ones stay the same when more are asked for.

    Args:
        seed: 0 or more.
        shape: the prior's shape.
        device: where the uniforms are used.

    Returns:
        k -> float32 uniforms in [0, 1); leave them unchanged.

    Raises:
        ConfigError: negative seed.
    """
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, not {seed}.", "Choose any non-negative whole number.")

    return lambda k: _drawn(seed, k, tuple(shape), torch.device(device))


# The edits of a session share seed and shape. A draw costs 1.7 ms and its way to a GPU, as much as a whole
# reverse step there; two steps need two of them.
@lru_cache(maxsize=4)
def _drawn(seed: int, k: int, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    # SeedSequence spreads (seed, k) over 32 bits, all that torch's CPU generator takes in.
    (state,) = np.random.SeedSequence((seed, k)).generate_state(1)
    generator = torch.Generator().manual_seed(int(state))
    return torch.rand(shape, generator=generator, dtype=torch.float32).to(device)


def reverse(
    denoise: Callable[[torch.Tensor, int], torch.Tensor],
    prior: torch.Tensor,
    chain: BernoulliChain,
    steps: int,
    noise: Callable[[int], torch.Tensor],
    clamp: tuple[torch.Tensor, torch.Tensor] | None = None,
    kernel: str = "ddim",
    start: tuple[torch.Tensor, int] | None = None,
) -> Iterator[torch.Tensor]:
    """Run the chain backwards, one answer a step (HiDiff, arXiv 2407.03548).

    Returns a generator: look at each answer as a preview, and close it to cancel. The last answer is the
    result; it is a probability, nothing is drawn from it. Runs without gradients. Leave the answers unchanged
    while the chain runs.

    Args:
        denoise: (y_t, t) -> logits of P(y_0 = 1 | y_t), of the prior's shape. y_t is float32 of 0. and 1.
        prior: terminal law, in [0, 1], of the shape of the result, batch first. Pass the *original* prior in
            every run of an editing episode: fed with its own results instead, a chain comes to believe
            itself.
        chain: schedule and laws.
        steps: number of reverse steps.
        noise: k -> uniforms in [0, 1) of the prior's shape; k = 0 draws the start state, k >= 1 the state
            that follows step k. See ``seeded_noise``.
        clamp: (mask, value) of the hinted voxels, broadcasting with the prior: boolean mask, and value 0 or 1
            where it holds. There the chain is conditioned on y_0 = value, and every answer is that value
            exactly.
        kernel: see ``BernoulliChain.step_probability``.
        start: (y, t) to start from a state y at step t, such as a mask put through ``chain.add_noise``, in
            the place of y_T ~ B(prior). At hinted voxels the state is drawn anew, given the hint.

    Returns:
        Iterator over ``steps`` float32 tensors y0_hat = P(y_0 = 1) of the prior's shape.

    Raises:
        ConfigError: prior outside [0, 1] or NaN, steps that do not fit the chain, an unknown kernel; later,
            while running, logits or uniforms of another shape than the prior's.
    """
    lowest, highest = prior.aminmax()
    if not (lowest >= 0 and highest <= 1):
        raise ConfigError(
            f"prior must lie in [0, 1], not in [{lowest:g}, {highest:g}].", "Pass probabilities, not logits."
        )
    if start is not None:
        _check_shape("start", start[0], prior)
    step_kernel(kernel)
    timesteps = chain.timesteps(steps, start=None if start is None else start[1])
    return _reverse(denoise, prior.float(), chain, timesteps, noise, clamp, kernel, start)


@torch.no_grad()
def _reverse(denoise, prior, chain, timesteps, noise, clamp, kernel, start) -> Iterator[torch.Tensor]:
    y = _first_state(prior, chain, timesteps[0], noise, clamp, start)
    for k, (t, s) in enumerate(zip(timesteps, [*timesteps[1:], 0], strict=True), start=1):
        logits = denoise(y, t)
        _check_shape("denoise", logits, prior)
        y0_hat = torch.sigmoid(logits.float())
        if clamp is not None:
            # All kernels are exact for a binary y_0, so this alone conditions the chain on the hints.
            mask, value = clamp
            y0_hat = torch.where(mask, value.to(y0_hat.dtype), y0_hat)
        yield y0_hat
        if s > 0:
            y = draw(chain.step_probability(y, y0_hat, prior, t, s, kernel), _uniforms(noise, k, prior))


def _first_state(prior, chain, t, noise, clamp, start) -> torch.Tensor:
    y = draw(clamp_prior(prior), _uniforms(noise, 0, prior)) if start is None else start[0]
    if clamp is not None:
        mask, value = clamp
        y = torch.where(mask, chain.add_noise(value, prior, t, _uniforms(noise, 0, prior)), y)
    return y.float()


def _uniforms(noise: Callable[[int], torch.Tensor], k: int, prior: torch.Tensor) -> torch.Tensor:
    uniform = noise(k)
    _check_shape("noise", uniform, prior)
    return uniform


def _check_shape(name: str, tensor: torch.Tensor, prior: torch.Tensor) -> None:
    # Broadcasting would hide this, and return a map that looks right.
    if tensor.shape != prior.shape:
        raise ConfigError(
            f"{name} has shape {tuple(tensor.shape)}, the prior {tuple(prior.shape)}.",
            "Give both the same shape.",
        )
