"""More or less of an answer: levels are nested, the answer is one of them, hints and locks hold at each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.changes import answering
from HiDiffRefineLib.inference.edit import Segment, edit_steps
from HiDiffRefineLib.inference.extents import ANSWER, LEVELS, NEVER, extents_of
from HiDiffRefineLib.inference.levels import levels_on_region
from HiDiffRefineLib.inference.regions import edit_region
from HiDiffRefineLib.inference.segmentor import Prior
from Testing.inference.test_edit import CHAIN, PATCH, bounds_of, network, situations  # noqa: F401

GRID = Grid((20, 40, 40), np.diag([1.0, 1.0, 2.0, 1.0]))


def ended(steps):
    """Of an edit: its last preview and its extents."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def edited(network, situation, asked=1):  # noqa: F811
    segment, mask, hints, locked = situation
    region = edit_region(hints[-1], bounds_of(mask, segment.grid), segment.prior.grid.spacing_kji, PATCH)
    return ended(edit_steps(network, CHAIN, segment, mask, hints, region, 1, 0, locked, asked))


@settings(max_examples=60)
@given(situations(), st.integers(1, 2))
def test_levels_are_nested_and_hold_what_an_edit_holds(network, situation, asked):  # noqa: F811
    segment, mask, hints, locked = situation
    last, extents = edited(network, situation, asked)
    before = np.zeros_like(mask)
    answer = mask.copy()
    answer[last.box] = last.mask
    if extents is None:
        assert np.array_equal(answer, mask)
        return
    told = hint_labels(hints, segment.grid)
    reached = np.zeros_like(mask)
    reached[last.box] = True
    free = reached if locked is None else reached & ~locked
    for level in LEVELS:
        flips = np.zeros_like(mask)
        flips[extents.box] = extents.flips(level)
        assert not (before & ~flips).any() and not (flips & ~free).any()
        before, found = flips, mask ^ flips
        if level == ANSWER:
            assert np.array_equal(found, answer)
        assert found[free & (told > 0)].all() and not found[free & (told < 0)].any()
        if len({hint.positive for hint in hints[-asked:]}) == 1:
            assert not (flips & (told == 0) & (mask == hints[-1].positive)).any()


def blob(center_kji, radius_mm=9.0):
    """A probability that falls off around a voxel, 1/2 at a radius."""
    away = (np.indices(GRID.shape_kji).T - center_kji).T * GRID.spacing_kji[:, None, None, None]
    return 1 / (1 + np.exp(np.linalg.norm(away, axis=0) - radius_mm))


@pytest.mark.parametrize("positive", [True, False])
def test_each_level_adds_about_as_many_voxels_as_the_next(positive):
    probability, hinted = blob((10, 20, 20)), (np.array([[10, 20, 20]]), np.array([1 if positive else -1]))
    before = np.full(GRID.shape_kji, not positive)
    probability = probability if positive else 1 - probability
    changed = answering(probability, before, *hinted, GRID)
    levels = levels_on_region(probability, before, changed, *hinted, GRID)
    sizes = np.array([np.count_nonzero(levels.first <= level) for level in LEVELS])
    assert sizes[0] == 0 and sizes[ANSWER - 1] == np.count_nonzero(changed) > 0
    fewer, more = np.diff(sizes[:ANSWER]), np.diff(sizes[ANSWER - 1 :])
    assert fewer.min() > 0.6 * fewer.max() > 0 and more.min() > 0.6 * more.max() > 0
    assert sizes[-1] > 1.5 * sizes[ANSWER - 1]


def test_levels_hang_together_with_the_hint():
    hinted = np.array([[10, 20, 8]]), np.array([1])
    probability = np.maximum(blob((10, 20, 8), 6), 0.9 * blob((10, 20, 32), 6))
    nothing = np.zeros(GRID.shape_kji, bool)
    changed = answering(probability, nothing, *hinted, GRID)
    first = levels_on_region(probability, nothing, changed, *hinted, GRID).first
    assert first[10, 20, 8] == 2 and first[10, 20, 32] > ANSWER  # joined by what is less sure, if at all


def test_more_goes_as_far_as_it_is_probable():
    hinted, nothing = (np.array([[10, 20, 2]]), np.array([1])), np.zeros(GRID.shape_kji, bool)
    probability = np.zeros(GRID.shape_kji)
    probability[8:12, 18:22] = 0.7  # 37 mm long: the answer asks for .9 at its end
    changed = answering(probability, nothing, *hinted, GRID)
    first = levels_on_region(probability, nothing, changed, *hinted, GRID).first
    assert changed[10, 20, 5] and not changed[10, 20, 39] and ANSWER < first[10, 20, 39] < NEVER


def test_more_of_an_answer_that_changes_nothing_may_still_change_something():
    class Undecided(torch.nn.Module):
        def encode(self, condition):
            return [condition[:, 3:4]]

        def denoise(self, state, prior, share, features):
            return torch.full_like(features[0], -0.5)

    nothing = np.zeros(GRID.shape_kji, bool)
    prior = Prior(torch.zeros((2, *GRID.shape_kji)).half(), GRID)
    segment = Segment(torch.rand(1, *GRID.shape_kji), GRID, prior, 1)
    click = Click(np.array([20.0, 20, 20]), True)
    last, extents = edited(Undecided(), (segment, nothing, [click], None))
    assert last.mask.sum() == 1
    sizes = [int(extents.flips(level).sum()) for level in LEVELS]
    assert sizes[:ANSWER] == [1] * ANSWER and sizes[-1] > 1000


def test_extents_are_as_small_as_what_changes_and_none_where_nothing_does():
    box = (slice(2, 8), slice(0, 9), slice(5, 10))
    first = np.full((6, 9, 5), NEVER, np.uint8)
    assert extents_of(first, first < 0, box) is None
    first[1, 2, 3], first[3, 2, 3], first[3, 4, 4] = 9, 2, 7
    answer = np.zeros(first.shape, bool)
    answer[3, 4, 4] = True  # whatever the levels say
    extents = extents_of(first, answer, box)
    assert extents.box == (slice(3, 6), slice(2, 5), slice(8, 10))
    counts = [int(extents.flips(level).sum()) for level in LEVELS]
    assert counts == [0, 0, 0, 0, 1, 2, 2, 2, 3] and extents.flips(ANSWER)[2, 2, 1]
