"""The robot user at the wheel: after each hint, more or less of the answer."""

from collections.abc import Callable, Generator, Sequence

import numpy as np

from HiDiffRefineLib.evaluation.robot_user import Answer, RobotHint
from HiDiffRefineLib.inference.extents import LEVELS, Extents
from HiDiffRefineLib.inference.messages import Preview

Edit = Generator[Preview, None, tuple[Preview, Extents | None]]


def ended(edit: Edit) -> tuple[Preview, Extents | None]:
    """What an edit ends with: its last preview and its extents."""
    while True:
        try:
            next(edit)
        except StopIteration as end:
            return end.value


def dice_of_levels(mask: np.ndarray, truth: np.ndarray, extents: Extents) -> np.ndarray:
    """Dice of a mask (bool, k, j, i) after each of `LEVELS` of an edit of it."""
    inside, true = mask[extents.box], truth[extents.box]
    size, wanted = np.count_nonzero(mask), np.count_nonzero(truth)
    overlap = np.count_nonzero(mask & truth)
    scores = []
    for level in LEVELS:
        flips = extents.flips(level)
        gained, lost = flips & ~inside, flips & inside
        total = size + np.count_nonzero(gained) - np.count_nonzero(lost) + wanted
        both = overlap + np.count_nonzero(gained & true) - np.count_nonzero(lost & true)
        scores.append(2 * both / total if total else 1.0)
    return np.array(scores)


def more_or_less(
    edit: Callable[[np.ndarray, Sequence[RobotHint]], Edit],
    truth: np.ndarray,
    rng: np.random.Generator | None = None,
) -> Callable[[np.ndarray, Sequence[RobotHint]], Answer]:
    """A `refine` for `robot_user.play`: the level of each answer that is best by Dice.

    Args:
        edit: (mask, hints) → previews of an edit.
        rng: of a clumsy user, who takes one of the levels next to the best; None for one who never errs.
    """

    def refine(mask: np.ndarray, hints: Sequence[RobotHint]) -> Answer:
        last, extents = ended(edit(mask, hints))
        result = mask.copy()
        if extents is not None:
            level = LEVELS[int(dice_of_levels(mask, truth, extents).argmax())]
            if rng is not None:
                level = int(rng.choice([near for near in (level - 1, level + 1) if near in LEVELS]))
            result[extents.box] ^= extents.flips(level)
        return Answer(result, region=last.box)

    return refine
