"""The Bernoulli chain: a schedule with the laws that hang on it."""

from collections.abc import Callable
from numbers import Integral

import torch

from HiDiffRefineLib.bernoulli import kernels
from HiDiffRefineLib.bernoulli.schedules import alpha_bar
from HiDiffRefineLib.errors import ConfigError

_STEP_KERNELS: dict[str, Callable[..., torch.Tensor]] = {
    "ddim": lambda y_t, y0_hat, prior, bar_s, bar_t: kernels.ddim(y_t, y0_hat, bar_s, bar_t),
    "posterior": kernels.posterior_mixture,
    "plug_in": kernels.posterior_plug_in,
}


def step_kernel(name: str) -> Callable[..., torch.Tensor]:
    """The reverse law (y_t, y0_hat, prior, alpha_bar_s, alpha_bar_t) -> P(y_s = 1) of that name.

    Raises:
        ConfigError: the name is none of "ddim", "posterior" and "plug_in".
    """
    if name not in _STEP_KERNELS:
        raise ConfigError(f"kernel {name!r} is unknown.", f"Choose one of {', '.join(_STEP_KERNELS)}.")
    return _STEP_KERNELS[name]


class BernoulliChain:
    """Noises a mask towards a prior, and steps back. HiDiff, arXiv 2407.03548; laws in ``kernels``.

    A step t is an int, or an integer tensor that broadcasts against the mask, such as (B, 1, 1, 1, 1) for one
    step a sample. Keep such tensors on the CPU: the schedule lives there in float64, and reading t from a GPU
    waits for it.

    Args:
        steps: length T of the chain.
        schedule: one of ``schedules.SCHEDULES``.

    Raises:
        ConfigError: unknown schedule, or steps that it cannot have.
    """

    def __init__(self, steps: int = 10, schedule: str = "cosine") -> None:
        self.steps = steps
        self.schedule = schedule
        self.alpha_bar = alpha_bar(schedule, steps)

    def timesteps(self, n: int, start: int | None = None) -> list[int]:
        """The n evenly strided steps to visit, from ``start`` (T if None) down; the last one goes to 0.

        For T = 10: n = 4 gives [10, 8, 5, 3], n = 1 gives [10].

        Raises:
            ConfigError: start outside 1…T, or n outside 1…start.
        """
        start = self.steps if start is None else start
        self._check_step("start", start, 1)
        if not isinstance(n, Integral) or not 1 <= n <= start:
            raise ConfigError(
                f"n = {n!r} reverse steps do not fit below step {start} of the chain.",
                f"Ask for 1 to {start} steps, or start higher.",
            )
        return [-(-start * left // n) for left in range(n, 0, -1)]

    def add_noise(
        self, y0: torch.Tensor, prior: torch.Tensor, t: int | torch.Tensor, uniform: torch.Tensor
    ) -> torch.Tensor:
        """A state y_t drawn from the marginal q(y_t | y_0, p).

        Args:
            y0: mask of 0 and 1.
            prior: probability of 1, in [0, 1].
            t: step, 0…T.
            uniform: numbers in [0, 1), of the mask's shape.

        Returns:
            0. and 1., float32 (float64 where an input is).

        Raises:
            ConfigError: t outside 0…T.
        """
        return kernels.draw(kernels.marginal(y0, prior, self._alpha_bar_at("t", t, 0)), uniform)

    def step_probability(
        self,
        y_t: torch.Tensor,
        y0_hat: torch.Tensor,
        prior: torch.Tensor,
        t: int | torch.Tensor,
        s: int | torch.Tensor,
        kernel: str = "ddim",
    ) -> torch.Tensor:
        """P(y_s = 1 | y_t) for a reverse step from t to s.

        Args:
            y_t: state of 0 and 1.
            y0_hat: P(y_0 = 1 | y_t), in [0, 1]; 0 or 1 conditions on that y_0.
            prior: probability of 1, in [0, 1].
            t: step to leave, 1…T.
            s: step to reach, 0…t - 1.
            kernel: "ddim" (any stride, no noise put back in), "posterior" (the exact mixture), or "plug_in"
                (the released code's, not exact).

        Returns:
            float32 (float64 where an input is), of the broadcast shape.

        Raises:
            ConfigError: unknown kernel, or not 0 <= s < t <= T.
        """
        law = step_kernel(kernel)
        bar_t, bar_s = self._alpha_bar_at("t", t, 1), self._alpha_bar_at("s", s, 0)
        if not torch.all(torch.as_tensor(bar_s > bar_t)):
            raise ConfigError(f"s = {s} must be below t = {t}.", "Reverse steps lead down to 0.")
        return law(y_t, y0_hat, prior, bar_s, bar_t)

    def _alpha_bar_at(self, name: str, t: int | torch.Tensor, lowest: int) -> float | torch.Tensor:
        if isinstance(t, torch.Tensor):
            t = t.cpu()
        self._check_step(name, t, lowest)
        return self.alpha_bar[t.long()] if isinstance(t, torch.Tensor) else self.alpha_bar[t].item()

    def _check_step(self, name: str, t: int | torch.Tensor, lowest: int) -> None:
        if isinstance(t, torch.Tensor):
            fits = not t.is_floating_point() and bool(((t >= lowest) & (t <= self.steps)).all())
        else:
            fits = isinstance(t, Integral) and lowest <= t <= self.steps
        if not fits:
            raise ConfigError(
                f"{name} = {t} is not a step of this chain.",
                f"Steps are whole numbers from {lowest} to {self.steps}.",
            )
