"""Edits: hints hold, nothing else moves (promises 1, 2 and 4), whatever the network says."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.hints.rasterize import hint_labels, hint_voxels
from HiDiffRefineLib.inference.edit import RIM_KJI, Segment, edit_steps, native_answer, on_region
from HiDiffRefineLib.inference.hint_channels import (
    CLICK_SIGMA_KJI,
    HINT_CHANNELS,
    NEGATIVE_CLICK,
    NEGATIVE_SCRIBBLE,
    POSITIVE_CLICK,
    POSITIVE_SCRIBBLE,
    bump,
    hint_channels,
)
from HiDiffRefineLib.inference.regions import ZOOM, edit_region
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.networks.edit_refiner import MASK, NEWEST, EditRefiner
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from Testing.hints import cases
from Testing.hints.cases import RNGS

PATCH = (16, 32, 32)
CHAIN = BernoulliChain(10, "cosine")


@pytest.fixture(scope="module", params=["shipped", "rebuilt"])
def network(request, small_refiner):
    torch.manual_seed(0)
    small = {"channels": (8, 8, 16, 16), "blocks": (1, 1, 1, 1), "light": (8, 8, 16)}
    network = BernoulliRefiner(**small_refiner) if request.param == "shipped" else EditRefiner(**small)
    network.eval()
    # Random weights that say anything: some voxels on, some off.
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return network


def directions(seed: int) -> np.ndarray:
    """A random rotation, at times mirrored."""
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return rotation


@st.composite
def situations(draw):
    """A volume with a mask, hints near it (some at its edge, some contradicting), and locked voxels."""
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(6, 20, 3))
    linear = directions(seed) if draw(st.booleans()) else np.diag(rng.choice([-1, 1], 3))
    grid = centered_grid(rng.uniform(-90, 90, 3), shape, rng.uniform(0.7, 4, 3), linear)
    mask = np.zeros(shape, bool)
    if draw(st.booleans()):
        low = [int(rng.integers(0, n - 2)) for n in shape]
        mask[tuple(slice(a, a + int(rng.integers(1, 9))) for a in low)] = True
    hints = []
    for _ in range(draw(st.integers(1, 4))):
        points_ijk = rng.uniform(-0.49, np.array(shape[::-1]) - 0.51, (2, 3))
        if draw(st.booleans()):
            points_ijk = np.rint(points_ijk)
        points = points_ijk @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3]
        positive, kind = bool(rng.random() < 0.5), rng.integers(3)
        if kind == 0:
            hints.append(Click(points[0], positive))
        elif kind == 1:
            hints.append(Scribble(points, positive, float(rng.uniform(0.5, 6))))
        else:
            paint = rng.random(shape) < 0.01 + (rng.random() < 0.2)
            paint.flat[rng.integers(paint.size)] = True
            hints.append(Painted(paint, grid.ijk_to_ras, positive))
    locked = rng.random(shape) < 0.2 if draw(st.booleans()) else None
    probability = torch.from_numpy(rng.random((1, *shape)).astype(np.float32))
    image = torch.from_numpy(rng.random((1, *shape)).astype(np.float32))
    prior = Prior(torch.cat([1 - probability, probability]).half(), grid)
    return Segment(image, grid, prior, 1), mask, hints, locked


def bounds_of(mask, grid):
    return object_bounds_ras(mask, grid.ijk_to_ras, share=1) if mask.any() else None


@settings(max_examples=75)
@given(situations())
def test_hints_hold_and_nothing_outside_or_locked_moves(network, situation):
    segment, mask, hints, locked = situation
    region = edit_region(hints[-1], bounds_of(mask, segment.grid), segment.prior.grid.spacing_kji, PATCH)
    before = mask.copy()
    previews = list(edit_steps(network, CHAIN, segment, mask, hints, region, 2, 0, locked))
    again = list(edit_steps(network, CHAIN, segment, mask, hints, region, 2, 0, locked))
    assert len(previews) == 2 and np.array_equal(mask, before)
    told = hint_labels(hints, segment.grid)
    for preview, same in zip(previews, again, strict=True):
        assert np.array_equal(preview.mask, same.mask)
        inside, old = told[preview.box], mask[preview.box]
        free = np.ones_like(old) if locked is None else ~locked[preview.box]
        assert (preview.mask[free & (inside == 1)]).all()
        assert not (preview.mask[free & (inside == -1)]).any()
        assert np.array_equal(preview.mask[~free], old[~free])
        # A positive hint only adds, a negative one only takes away.
        against = old & ~preview.mask if hints[-1].positive else ~old & preview.mask
        assert not against[inside == 0].any()
        # Voxels whose centres lie beyond the region, or in its rim, move for a hint alone.
        k, j, i = np.indices(segment.grid.shape_kji)[(slice(None), *preview.box)]
        ras = np.stack([i, j, k], -1) @ segment.grid.ijk_to_ras[:3, :3].T + segment.grid.ijk_to_ras[:3, 3]
        ijk = (ras - region.ijk_to_ras[:3, 3]) @ np.linalg.inv(region.ijk_to_ras[:3, :3]).T
        margin = np.array(RIM_KJI[::-1]) - 1
        outside = ((ijk < margin) | (ijk > np.array(region.shape_kji[::-1]) - 1 - margin)).any(-1)
        assert np.array_equal(preview.mask[outside & (inside == 0)], old[outside & (inside == 0)])


@settings(max_examples=200)
@given(situations(), st.integers(0, 10_000))
def test_looking_only_at_what_moves_changes_not_a_voxel(situation, seed):
    segment, old, hints, _ = situation
    native = segment.grid
    # A region coarser than the image, as most are: several voxels lie between two of its samples.
    region = edit_region(hints[-1], None, 4 * native.spacing_kji, PATCH)
    before = on_region(torch.from_numpy(old), native, region)
    rng = np.random.default_rng(seed)
    low = np.array(PATCH) // 2 + rng.integers(-4, 3, 3)
    high = low + rng.integers(1, 4, 3)
    place = (0, *(slice(a, b) for a, b in zip(low, high, strict=True)))
    probability = before.clone()
    probability[place] = torch.from_numpy(rng.random(high - low).astype(np.float32))
    changed = ((probability > 0.5) != (before > 0.5))[0].numpy()
    answer = native_answer(probability, changed, region, torch.from_numpy(old), native)
    found = old.copy()
    if answer is not None:
        found[answer[0]] = answer[1]

    touched = F.max_pool3d(((probability > 0.5) != (before > 0.5)).float()[None], 3, 1, 1)[0]
    k, j, i = (slice(rim, -rim) for rim in RIM_KJI)
    inner = torch.zeros_like(touched)
    inner[:, k, j, i] = touched[:, k, j, i]
    moves = (resample(inner, region.ijk_to_ras, native)[0] > 0).numpy()
    wanted = (resample(probability, region.ijk_to_ras, native)[0] > 0.5).numpy()
    assert np.array_equal(found, np.where(moves, wanted, old))


def test_where_the_network_agrees_with_the_mask_not_a_voxel_moves():
    class Agreeing(torch.nn.Module):
        def encode(self, condition):
            return [condition[:, 3:4]]

        def denoise(self, state, prior, share, features):
            return 8 * (2 * features[0] - 1)

    grid = Grid((20, 30, 30), np.diag([0.8, 0.8, 2.0, 1.0]))
    mask = np.random.default_rng(0).random(grid.shape_kji) < 0.5
    prior = Prior(torch.full((2, *grid.shape_kji), 0.5).half(), grid)
    segment = Segment(torch.rand(1, *grid.shape_kji), grid, prior, 1)
    place = (5, 6, 7)
    hint = Click(np.array([7 * 0.8, 6 * 0.8, 5 * 2.0]), not mask[place])
    region = edit_region(hint, bounds_of(mask, grid), grid.spacing_kji, PATCH)
    for preview in edit_steps(Agreeing(), CHAIN, segment, mask, [hint], region, 3, 0):
        assert np.array_equal(preview.unclamped, mask[preview.box])
        changed = np.argwhere(preview.mask != mask[preview.box]) + [s.start for s in preview.box]
        assert changed.tolist() == [list(place)]


@pytest.mark.parametrize("positive", [True, False])
def test_a_hint_that_says_what_the_mask_says_moves_its_border_by_one_voxel_at_most(positive):
    class Opposite(torch.nn.Module):
        """Would give the segment everything, or take all of it away."""

        def encode(self, condition):
            return [condition]

        def denoise(self, state, prior, share, features):
            return torch.full_like(prior, 9.0 if positive else -9.0)

    grid = Grid((20, 40, 40), np.eye(4))
    mask = np.zeros(grid.shape_kji, bool)
    mask[:, :, :20] = True
    prior = Prior(torch.full((2, *grid.shape_kji), 0.5).half(), grid)
    segment = Segment(torch.rand(1, *grid.shape_kji), grid, prior, 1)
    changed = []
    for i in (19, 20) if positive else (20, 19):
        hint = Click(np.array([i, 20.0, 10]), positive)
        region = centered_grid((20, 20, 10), PATCH, (1, 1, 1))
        *_, last = edit_steps(Opposite(), CHAIN, segment, mask, [hint], region, 1, 0)
        changed.append(np.argwhere(last.mask != mask[last.box])[:, 2] + last.box[2].start)
    agreed, contradicted = changed
    assert set(agreed) == ({20} if positive else {19})
    assert len(set(contradicted)) > 5


def test_a_small_object_is_seen_whole_and_a_large_one_around_the_hint():
    working, patch = np.array([3.0, 1.5, 1.5]), (48, 96, 96)
    hint = Click(np.array([10.0, 0.0, 0.0]), True)
    small = edit_region(hint, np.array([[-20.0, -20, -20], [20, 20, 20]]), working, patch)
    assert small.spacing_kji == pytest.approx(ZOOM * working) and small.center_ras == pytest.approx([0, 0, 0])
    large = edit_region(hint, np.array([[-150.0, -150, -150], [150, 150, 150]]), working, patch)
    assert large.center_ras == pytest.approx([10, 0, 0]) and (large.spacing_kji <= working + 1e-9).all()
    empty = edit_region(hint, None, working, patch)
    assert empty.center_ras == pytest.approx([10, 0, 0])
    line = Scribble(np.array([[-150.0, 0, 0], [150, 0, 0]]), True, 4)
    long = edit_region(line, None, working, patch)
    assert long.bounds_ras()[0][0] < -152 and long.bounds_ras()[1][0] > 152


def test_channels_show_the_newest_of_two_that_disagree():
    grid = centered_grid((0, 0, 0), (9, 9, 9), (2, 1, 1))
    here, line = np.array([0.0, 0, 0]), np.array([[-3.0, 0, 0], [3, 0, 0]])
    shown, labels = hint_channels([Click(here, True), Scribble(line, False, 1)], grid)
    assert shown.shape == (HINT_CHANNELS, 9, 9, 9)
    assert labels[0, 4, 4].tolist() == [0, *7 * [-1], 0]
    assert shown[POSITIVE_CLICK, 4, 4, 4] == 0 and shown[NEGATIVE_SCRIBBLE, 4, 4, 1:8].all()
    assert not shown[[NEGATIVE_CLICK, POSITIVE_SCRIBBLE]].any()
    shown, labels = hint_channels([Scribble(line, False, 1), Click(here, True)], grid)
    assert labels.shape == (1, 9, 9, 9) and labels[0, 4, 4, 3:6].tolist() == [-1, 1, -1]
    assert shown[POSITIVE_CLICK, 4, 4, 4] == 1 and shown[NEGATIVE_SCRIBBLE, 4, 4, 4] == 0
    assert shown[POSITIVE_CLICK, 4, 4, 6] == pytest.approx(np.exp(-0.5))


@settings(max_examples=200)
@given(RNGS)
def test_channels_say_what_hints_hold_wherever_they_lie(rng):
    grid = cases.grid(rng)
    hints = [cases.hint(grid, rng) for _ in range(rng.integers(1, 5))]
    shown, labels = hint_channels(hints, grid)
    assert (labels[0].numpy() == hint_labels(hints, grid)).all()
    told = [POSITIVE_CLICK, POSITIVE_SCRIBBLE], [NEGATIVE_CLICK, NEGATIVE_SCRIBBLE]
    for sign, own in zip((1, -1), told, strict=True):
        assert (shown[own][:, labels[0] == sign].amax(0) > 0.5).all()
    newest = (slice(None), *hint_voxels(hints[-1], grid).T)
    assert not shown[told[hints[-1].positive]][newest].any()


@pytest.mark.parametrize(
    ("point_ras", "inside"), [((0.3, -4.2, 1), True), ((-29.5, 29.2, 28), True), ((-60, 0, 0), False)]
)
def test_a_click_is_drawn_as_in_training(point_ras, inside):
    grid = centered_grid((0, 0, 0), (20, 40, 60), (3, 1.5, 1))
    center_kji = (grid.ras_to_ijk[:3, :3] @ point_ras + grid.ras_to_ijk[:3, 3])[::-1]
    drawn = bump(grid.shape_kji, torch.tensor(center_kji[None].copy()).float(), CLICK_SIGMA_KJI)[0]
    shown = hint_channels([Click(np.array(point_ras, float), False)], grid)[0]
    assert torch.allclose(shown[NEGATIVE_CLICK], drawn, atol=1e-6)
    assert (shown[NEGATIVE_CLICK].max() > 0.6) == inside


def test_the_network_sees_the_mask_the_newest_hint_and_the_zoom():
    class Spy:
        def encode(self, condition):
            self.seen = condition
            return [condition]

        def denoise(self, state, prior, t_share, features):
            return 9 * (2 * features[0][:, MASK : MASK + 1] - 1)

    spy, grid = Spy(), Grid((20, 40, 40), np.diag([1.0, 1, 4, 1]))
    mask = np.zeros(grid.shape_kji, bool)
    mask[5:9, 10:20, 10:20] = True
    nothing = Prior(torch.stack([torch.ones(grid.shape_kji), torch.zeros(grid.shape_kji)]).half(), grid)
    segment = Segment(torch.rand(1, *grid.shape_kji), grid, nothing, 1)
    hints = [Click(np.array([25.0, 15, 28]), True), Click(np.array([12.0, 14, 28]), False)]
    region = centered_grid(np.array([16.0, 16, 28]), PATCH, (2, 0.5, 0.5))
    list(edit_steps(spy, CHAIN, segment, mask, hints, region, 1, 0))
    seen = spy.seen[0]
    assert torch.equal(seen[MASK], on_region(torch.from_numpy(mask), grid, region)[0])
    at = tuple(np.rint(region.ras_to_ijk[:3, :3] @ hints[1].point_ras + region.ras_to_ijk[:3, 3]).astype(int))
    assert seen[NEWEST].min() == seen[NEWEST][at[::-1]] < -0.8 and seen[NEWEST].max() == 0
    # Half the voxel in plane, half across slices, four times as high as wide.
    assert seen[NEWEST + 1 :, 0, 0, 0].tolist() == [-0.5, -0.5, 1.0]


def test_every_pending_hint_is_answered_and_older_ones_only_hold():
    class Filling(torch.nn.Module):
        """Finds a ball around every positive click."""

        def encode(self, condition):
            return [F.max_pool3d(condition[:, 4:5], (3, 5, 5), 1, (1, 2, 2))]

        def denoise(self, state, prior, share, features):
            return 20 * (features[0] - 0.5)

    grid = Grid((16, 60, 60), np.diag([1.0, 1.0, 2.0, 1.0]))
    nothing = np.zeros(grid.shape_kji, bool)
    prior = Prior(torch.zeros((2, *grid.shape_kji)).half(), grid)
    segment = Segment(torch.rand(1, *grid.shape_kji), grid, prior, 1)
    clicks = [Click(np.array([i, 30.0, 16]), True) for i in (18.0, 30.0, 42.0)]
    region = centered_grid((30, 30, 16), (16, 48, 48), (2, 1, 1))
    sizes = []
    for asked in (1, 2, 3):
        *_, last = edit_steps(Filling(), CHAIN, segment, nothing, clicks, region, 1, 0, asked=asked)
        found = nothing.copy()
        found[last.box] = last.mask
        sizes.append([int(found[8, :, i - 3 : i + 4].sum()) for i in (18, 30, 42)])
    (one, _, three), (_, two, _), all_of_them = sizes
    assert one == 1 and three > 9 and two > 9 and min(all_of_them) > 9
