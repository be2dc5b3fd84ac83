"""The chain by brute force: every path from its one-step definition, in plain Python floats."""

import itertools
import math
from collections.abc import Sequence


def path_probabilities(
    y0: int, prior: Sequence[float], alphas: Sequence[float]
) -> dict[tuple[int, ...], float]:
    """P(y_1 … y_t | y_0) of all paths for class probabilities ``prior`` and one alpha a step."""
    classes = range(len(prior))

    def one_step(before: int, after: int, alpha: float) -> float:
        return alpha * (before == after) + (1 - alpha) * prior[after]

    return {
        path: math.prod(map(one_step, (y0, *path), path, alphas))
        for path in itertools.product(classes, repeat=len(alphas))
    }


def state_probability(
    paths: dict[tuple[int, ...], float], given: dict[int, int], step: int, state: int
) -> float:
    """P(y_step = state | y_r = given[r] for all r) by counting paths."""
    fitting = {path: w for path, w in paths.items() if all(path[r - 1] == y for r, y in given.items())}
    return math.fsum(w for path, w in fitting.items() if path[step - 1] == state) / math.fsum(
        fitting.values()
    )
