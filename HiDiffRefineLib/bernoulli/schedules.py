r"""Noise schedules: :math:`\bar\alpha_t`, the probability that a voxel has kept its y_0 up to step t.

The cosine family follows Nichol and Dhariwal, arXiv 2102.09672; ``linear`` follows Ho et al., arXiv
2006.11239.
"""

import math
from collections.abc import Callable
from numbers import Integral

import torch

from HiDiffRefineLib.errors import ConfigError

# Nichol and Dhariwal's cap on beta_t: keeps a trace of y_0 at t = T, so that no step is a full redraw.
MAX_BETA = 0.999


def cosine(steps: int) -> torch.Tensor:
    """cos((u + .008) / 1.008 · π/2) at u = t / T: HiDiff's default, without the square of the original."""
    return _capped(_quarter_cosine(steps))


def cosine2(steps: int) -> torch.Tensor:
    """The square of ``cosine``: the original schedule of arXiv 2102.09672."""
    return _capped(_quarter_cosine(steps) ** 2)


def alpha_bar_linear(steps: int) -> torch.Tensor:
    """1 - t / T: the memory of y_0 fades evenly and is gone at t = T."""
    return 1 - torch.arange(steps + 1, dtype=torch.float64) / steps


def linear(steps: int) -> torch.Tensor:
    """beta_t evenly spaced from 1e-4 to 0.02, both scaled by 1000 / T."""
    if steps < 20:
        raise ConfigError(
            f"steps = {steps} is too few for schedule 'linear': its last beta would be {20 / steps:.2g} > 1.",
            "Take at least 20 steps, or the 'cosine' schedule.",
        )
    scale = 1000 / steps
    beta = torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64)
    return _from_beta(beta)


SCHEDULES: dict[str, Callable[[int], torch.Tensor]] = {
    "cosine": cosine,
    "cosine2": cosine2,
    "alpha_bar_linear": alpha_bar_linear,
    "linear": linear,
}


def alpha_bar(name: str, steps: int) -> torch.Tensor:
    """A schedule by name.

    Args:
        name: one of ``SCHEDULES``.
        steps: length T of the chain, 1 or more.

    Returns:
        float64 of shape (steps + 1,), strictly decreasing from 1 at t = 0.

    Raises:
        ConfigError: unknown name, or steps that the schedule cannot have.
    """
    if name not in SCHEDULES:
        raise ConfigError(f"schedule {name!r} is unknown.", f"Choose one of {', '.join(SCHEDULES)}.")
    if not isinstance(steps, Integral) or steps < 1:
        raise ConfigError(f"steps must be a whole number from 1, not {steps!r}.", "The usual value is 10.")
    return SCHEDULES[name](steps)


def _quarter_cosine(steps: int) -> torch.Tensor:
    # The offset .008 keeps the first beta from vanishing.
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    return torch.cos((u + 0.008) / 1.008 * math.pi / 2)


def _capped(curve: torch.Tensor) -> torch.Tensor:
    return _from_beta((1 - curve[1:] / curve[:-1]).clamp(max=MAX_BETA))


def _from_beta(beta: torch.Tensor) -> torch.Tensor:
    return torch.cat([beta.new_ones(1), torch.cumprod(1 - beta, dim=0)])
