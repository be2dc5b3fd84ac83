"""The ball of ideal radius against a search over all radii."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from HiDiffRefineLib.evaluation.ball import ball_of_ideal_radius, ball_painter, paint_ball
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.evaluation.robot_user import next_click, play

SHAPE = (4, 5, 7)
SPACING_KJI = (7.0, 2.3, 4.1)  # wide, so that the search has to reach further than at first
masks = arrays(bool, SHAPE, elements=st.booleans())


def distances_mm(index_kji):
    indices = np.indices(SHAPE).reshape(3, -1).T
    return np.linalg.norm((indices - index_kji) * SPACING_KJI, axis=1).reshape(SHAPE)


@given(masks, masks, st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), st.booleans())
def test_no_radius_is_better(mask, truth, index_kji, positive):
    radius_mm = ball_of_ideal_radius(mask, truth, index_kji, positive, SPACING_KJI)
    painted, box = paint_ball(mask, index_kji, radius_mm, positive, SPACING_KJI)
    distance = distances_mm(index_kji)
    best = max(dice(np.where(distance <= r + 1e-9, positive, mask), truth) for r in np.unique(distance))
    assert dice(painted, truth) == pytest.approx(best)
    assert (painted == np.where(distance <= radius_mm + 1e-9, positive, mask)).all()
    assert painted[index_kji] == positive
    changed = painted != mask
    assert changed[box].sum() == changed.sum()


@given(masks, masks)
def test_painted_balls_never_lower_dice(mask, truth):
    curve = play(ball_painter(truth, SPACING_KJI), mask, truth, SPACING_KJI, 6)
    assert curve.dice == sorted(curve.dice)
    assert set(curve.collateral_voxels) <= {0}


def test_a_true_ball_is_repaired_by_one_click():
    truth = distances_mm((2, 2, 3)) <= 9
    nothing = np.zeros(SHAPE, bool)
    hint = next_click(nothing, truth, SPACING_KJI)
    assert ball_of_ideal_radius(nothing, truth, hint.voxels_kji[0], True, SPACING_KJI) <= 9
    assert play(ball_painter(truth, SPACING_KJI), nothing, truth, SPACING_KJI, 1).dice == [0, 1]
    assert play(ball_painter(nothing, SPACING_KJI), truth, nothing, SPACING_KJI, 1).dice == [0, 1]


def test_a_misplaced_island_is_removed_whole_though_dice_stays_zero():
    mask, truth = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mask[0, :3, :2] = truth[3, 4, 6] = True
    radius_mm = ball_of_ideal_radius(mask, truth, (0, 1, 1), False, SPACING_KJI)
    assert not paint_ball(mask, (0, 1, 1), radius_mm, False, SPACING_KJI)[0].any()
