"""The robot user at the wheel takes the best level of each answer, or, clumsy, one beside it."""

import numpy as np
import pytest

from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.evaluation.more_less import dice_of_levels, ended, more_or_less
from HiDiffRefineLib.evaluation.robot_user import play
from HiDiffRefineLib.inference.extents import ANSWER, LEVELS, NEVER, extents_of
from HiDiffRefineLib.inference.messages import Preview

SHAPE = (12, 14, 16)
BOX = (slice(1, 11), slice(2, 13), slice(3, 15))


def edit(seed=0):
    """Edits that change anything in a box, not even the hint for sure."""
    rng = np.random.default_rng(seed)

    def steps(mask, hints):
        first = rng.integers(1, NEVER + 1, [s.stop - s.start for s in BOX]).astype(np.uint8)
        answer = first <= ANSWER
        last = Preview(BOX, mask[BOX] ^ answer, mask[BOX] ^ answer)
        yield last
        return last, extents_of(first, answer, BOX)

    return steps


@pytest.mark.parametrize("share", [0, 0.4])
def test_dice_of_each_level_is_that_of_its_mask(share):
    rng = np.random.default_rng(1)
    mask, truth = rng.random(SHAPE) < share, rng.random(SHAPE) < share
    first = rng.integers(1, NEVER + 1, [s.stop - s.start for s in BOX]).astype(np.uint8)
    extents = extents_of(first, first <= ANSWER, BOX)
    expected = []
    for level in LEVELS:
        found = mask.copy()
        found[extents.box] ^= extents.flips(level)
        expected.append(dice(found, truth))
    np.testing.assert_allclose(dice_of_levels(mask, truth, extents), expected, rtol=1e-12)


def test_the_best_level_is_taken_and_the_one_beside_it_by_the_clumsy():
    truth = np.random.default_rng(2).random(SHAPE) < 0.5
    nothing = np.zeros(SHAPE, bool)
    _, extents = ended(edit()(nothing, []))
    scores = dice_of_levels(nothing, truth, extents)
    best = play(more_or_less(edit(), truth), nothing, truth, (1, 1, 1), 1).dice[1]
    assert best == pytest.approx(scores.max())
    place = int(scores.argmax())
    beside = [scores[n] for n in (place - 1, place + 1) if 0 <= n < len(scores)]
    clumsy = [
        play(more_or_less(edit(), truth, np.random.default_rng(n)), nothing, truth, (1, 1, 1), 1).dice[1]
        for n in range(6)
    ]
    assert {round(one, 9) for one in clumsy} == {round(one, 9) for one in beside}
