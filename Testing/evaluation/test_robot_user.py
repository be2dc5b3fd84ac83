"""The robot user clicks where a person would; brute force on small arrays."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.evaluation.robot_user import (
    OFF_VOXELS,
    Answer,
    RobotHint,
    next_click,
    next_click_off,
    next_random_click,
    next_scribble,
    placer,
    play,
)

SHAPE = (4, 5, 6)
SPACING_KJI = (3.0, 0.7, 1.1)
masks = arrays(bool, SHAPE, elements=st.booleans())


def components_by_flooding(error):
    """Sets of voxels (k, j, i), 26-connected."""
    left, found = {tuple(v) for v in np.argwhere(error)}, []
    while left:
        component, front = set(), [left.pop()]
        while front:
            voxel = front.pop()
            component.add(voxel)
            near = {v for v in left if max(abs(a - b) for a, b in zip(v, voxel, strict=True)) == 1}
            left -= near
            front += near
        found.append(component)
    return found


def depth_by_search(component):
    """voxel → distance in mm to the nearest voxel around that is none of the component's."""
    grown = np.argwhere(np.ones(np.add(SHAPE, 2), bool)) - 1  # the outside counts
    others = np.array([v for v in grown.tolist() if tuple(v) not in component])
    return {v: np.linalg.norm((others - v) * SPACING_KJI, axis=1).min() for v in component}


@given(masks, masks)
def test_a_click_is_the_deepest_point_of_the_largest_error(mask, truth):
    hint = next_click(mask, truth, SPACING_KJI)
    components = components_by_flooding(mask != truth)
    if not components:
        assert hint is None
        return
    (voxel,) = map(tuple, hint.voxels_kji)
    assert hint.positive == truth[voxel] != mask[voxel]
    component = next(c for c in components if voxel in c)
    assert len(component) == max(map(len, components))
    depth = depth_by_search(component)
    assert depth[voxel] == pytest.approx(max(depth.values()))


@given(masks, masks)
def test_no_voxel_is_clicked_twice_and_all_errors_are_clicked_in_the_end(mask, truth):
    placed, places = [], set()
    while hint := next_click(mask, truth, SPACING_KJI, placed):
        placed.append(hint)
        places.add(tuple(hint.voxels_kji[0]))
    assert len(places) == len(placed) == np.count_nonzero(mask != truth)


def test_an_error_at_the_border_is_as_deep_as_it_is():
    truth = np.zeros((9, 9, 9), bool)
    truth[0:5, 6:9, 4:9] = True
    (voxel,), positive = next_click(np.zeros_like(truth), truth, (1, 1, 1))
    assert tuple(voxel) == (1, 7, 5)  # the first of the middle ones, none at the array's end
    assert positive is True


@given(masks, masks, st.integers(0, 9))
def test_jittered_clicks_stay_near_in_the_component_and_say_the_truth(mask, truth, seed):
    exact = next_click(mask, truth, SPACING_KJI)
    rng = np.random.default_rng(seed)
    hint = next_click(mask, truth, SPACING_KJI, rng=rng, jitter_mm=2.0)
    if exact is None:
        assert hint is None
        return
    (a,), (b,) = exact.voxels_kji, hint.voxels_kji
    assert np.linalg.norm((a - b) * SPACING_KJI) <= 2.0
    component = next(c for c in components_by_flooding(mask != truth) if tuple(a) in c)
    assert tuple(b) in component
    assert hint.positive == truth[tuple(b)]


def test_random_clicks_fall_everywhere_in_the_largest_error():
    truth = np.zeros((9, 9, 9), bool)
    truth[2:5, 2:5, 2:5] = truth[7, 7, 7] = True
    rng = np.random.default_rng(0)
    hints = [next_random_click(truth & False, truth, SPACING_KJI, rng=rng) for _ in range(300)]
    assert all(hint.positive for hint in hints)
    assert {tuple(hint.voxels_kji[0]) for hint in hints} == {*map(tuple, np.argwhere(truth)[:-1])}


@given(masks, masks, st.integers(0, 9))
def test_clicks_off_the_deepest_point_fall_where_they_may_and_say_the_truth(mask, truth, seed):
    exact, rng = next_click(mask, truth, SPACING_KJI), np.random.default_rng(seed)
    hint = next_click_off(mask, truth, SPACING_KJI, rng=rng)
    if exact is None:
        assert hint is None
        return
    (a,), (b,) = exact.voxels_kji, hint.voxels_kji
    assert np.linalg.norm(a - b) <= OFF_VOXELS and (b >= 0).all() and (b < SHAPE).all()
    assert hint.positive == truth[tuple(b)]
    again = next_click_off(mask, truth, SPACING_KJI, [hint], rng=rng)
    assert again is None or tuple(again.voxels_kji[0]) != tuple(b)


@pytest.mark.parametrize("robot", ["jitter", "random", "off", "scribble"])
def test_a_seed_fixes_what_a_robot_does(robot):
    truth = np.zeros((9, 9, 9), bool)
    truth[2:8, 2:8, 1:8] = True
    hints = [placer(robot, (seed, 5))(truth & False, truth, SPACING_KJI) for seed in (0, 0, 1, 2, 3)]
    assert np.array_equal(hints[0].voxels_kji, hints[1].voxels_kji)
    assert any(not np.array_equal(hints[0].voxels_kji, other.voxels_kji) for other in hints[2:])


@given(masks, masks, st.integers(0, 9))
def test_a_scribble_is_a_line_of_wrong_voxels_of_one_kind_in_one_slice(mask, truth, seed):
    hint = next_scribble(mask, truth, SPACING_KJI, rng=np.random.default_rng(seed))
    if (mask == truth).all():
        assert hint is None
        return
    where = tuple(hint.voxels_kji.T)
    assert (mask[where] != truth[where]).all()
    assert (truth[where] == hint.positive).all()
    assert np.ptp(hint.voxels_kji, axis=0).min() == 0
    steps = np.abs(np.diff(hint.voxels_kji, axis=0))
    assert len(np.unique(hint.voxels_kji, axis=0)) == len(hint.voxels_kji)
    assert (steps.max(1, initial=0) == 1).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_scribble_runs_along_the_middle_from_end_to_end(seed):
    truth = np.zeros((7, 30, 30), bool)
    truth[1:6, 5:12, 3:27] = True
    truth[1:6, 5:25, 20:27] = True  # an L in every slice k
    rng = np.random.default_rng(seed)
    line = next_scribble(np.zeros_like(truth), truth, (1, 1, 1), rng=rng).voxels_kji
    if np.ptp(line[:, 0]) == 0:
        assert len(line) >= 24
        corners = {tuple(v[1:]) for v in line}
        assert any((8, i) in corners for i in range(8, 15))  # the middle of the one bar
        assert any((j, 23) in corners for j in range(14, 20))  # and of the other


def test_a_scribble_avoids_hinted_voxels():
    truth = np.zeros((1, 1, 9), bool)
    truth[..., 1:8] = True
    placed = [RobotHint(np.array([[0, 0, 3]]), True)]
    hint = next_scribble(np.zeros_like(truth), truth, (1, 1, 1), placed, rng=np.random.default_rng(2))
    assert not (hint.voxels_kji[:, 2] == 3).any()


def set_hinted(mask, hints):
    """Does what it is told, and no more."""
    mask = mask.copy()
    for hint in hints:
        mask[tuple(hint.voxels_kji.T)] = hint.positive
    return Answer(mask)


@given(masks, masks)
def test_a_perfect_refiner_ends_the_session(mask, truth):
    region = tuple(slice(0, n) for n in SHAPE)
    curve = play(lambda mask, hints: Answer(truth, ~truth, region), mask, truth, SPACING_KJI, 4)
    given_ = len(curve.seconds)
    assert given_ == (1 if (mask != truth).any() else 0)
    assert curve.dice == [dice(mask, truth)] + [1.0] * 4
    assert curve.satisfaction == [1.0] * given_
    assert curve.satisfaction_unclamped == [0.0] * given_
    assert curve.changed_voxels == [np.count_nonzero(mask != truth)] * given_
    assert curve.collateral_voxels == [0] * given_


@given(masks, masks, st.sampled_from(["click", "jitter", "scribble"]))
def test_an_obedient_refiner_gets_better_with_every_hint(mask, truth, kind):
    rng = np.random.default_rng(0)
    place = {
        "click": next_click,
        "jitter": partial(next_click, rng=rng),
        "scribble": partial(next_scribble, rng=rng),
    }[kind]
    before = mask.copy()
    curve = play(set_hinted, mask, truth, SPACING_KJI, 5, place)
    assert (mask == before).all()
    assert len(curve.dice) == 6
    assert curve.dice == sorted(curve.dice)
    assert set(curve.satisfaction) <= {1.0}
    assert min(curve.changed_voxels, default=1) >= 1
    assert curve.satisfaction_unclamped == curve.collateral_voxels == []


def test_a_deaf_refiner_is_seen_through():
    truth = np.zeros(SHAPE, bool)
    truth[1:3, 1:4, 1:5] = True

    def refine(mask, hints):
        """Ignores the first hint, and changes a voxel outside its region each time."""
        answer = set_hinted(mask, hints[1:]).mask
        answer[0, 0, len(hints)] = True
        return Answer(answer, mask, (slice(1, 3), slice(0, 5), slice(0, 6)))

    curve = play(refine, np.zeros(SHAPE, bool), truth, SPACING_KJI, 3)
    assert curve.satisfaction == [0, 1 / 2, 2 / 3]
    assert curve.satisfaction_unclamped == [0, 0, 1 / 3]
    assert curve.changed_voxels == [1, 2, 2]
    assert curve.collateral_voxels == [1, 1, 1]


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(VolumeError, match="different shapes"):
        play(set_hinted, np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool), (1, 1, 1), 1)
