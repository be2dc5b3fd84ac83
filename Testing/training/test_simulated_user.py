"""Simulated hints tell the truth, lie where the mask is wrong, and stay."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from HiDiffRefineLib.inference.hint_channels import HINT_CHANNELS, bump
from HiDiffRefineLib.training import simulated_user
from HiDiffRefineLib.training.simulated_user import Hints, depth, give_hint, stroke

SHAPE = (12, 24, 24)


def box(k, j, i) -> torch.Tensor:
    mask = torch.zeros(1, 1, *SHAPE)
    mask[0, 0, slice(*k), slice(*j), slice(*i)] = 1
    return mask


def test_depth_counts_erosions_and_takes_the_outside_for_right():
    deep = depth(box((0, 12), (4, 13), (0, 24)))[0, 0]
    assert deep.max() == 5 and deep[6, 8, 12] == 5
    # The middle row, up to the outermost voxels of the array.
    assert deep[6, 8, 0] == 1 and deep[6, 4, 12] == 1 and deep[6, 3, 12] == 0


@pytest.mark.parametrize("scribbles", [0.0, 1.0])
def test_hints_are_true_and_lie_in_the_error(monkeypatch, scribbles):
    monkeypatch.setattr(simulated_user, "SCRIBBLE_SHARE", scribbles)
    masks = torch.cat([box((2, 9), (3, 14), (3, 14)), box((2, 9), (3, 14), (3, 20))])
    truths = torch.cat([box((2, 9), (8, 20), (3, 14)), box((2, 9), (3, 14), (3, 20))])
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        hints = Hints(masks)
        give_hint(hints, masks, truths, np.random.default_rng(seed))
        # The second sample is right everywhere: nobody corrects it.
        assert not hints.clamped[1].any() and not hints.channels[1].any() and not hints.near[1].any()
        held = hints.clamped[0]
        assert held.any() and (hints.value[0][held] == truths[0][held]).all()
        near_error = ndimage.binary_dilation((masks != truths)[0, 0].numpy(), np.ones((1, 3, 3)))
        assert not (held[0].numpy() & ~near_error).any()
        (used,) = torch.nonzero(hints.channels[0].flatten(1).any(1)).T
        assert len(used) == 1
        seen.add(int(used[0]))
        assert len(torch.nonzero(held[0].any(2).any(1))) == 1 or not scribbles
    assert seen == ({2, 3} if scribbles else {0, 1})


def test_hints_add_up_and_the_newest_wins():
    mask, truth = box((2, 9), (3, 14), (3, 14)), box((2, 9), (8, 20), (3, 14))
    hints, rng = Hints(mask), np.random.default_rng(0)
    for _ in range(6):
        before = hints.clamped.clone()
        give_hint(hints, mask, truth, rng)
        assert (hints.clamped & before == before).all()
    probability = hints.hold(torch.full_like(mask, 0.3))
    assert (probability[hints.clamped] == truth[hints.clamped]).all()
    assert (probability[~hints.clamped] == 0.3).all()


def test_strokes_stay_in_their_slice_and_reach():
    truth = box((2, 9), (3, 20), (3, 20))
    deep = depth(truth)
    center, positive = torch.tensor([[5.0, 11.0, 11.0]]), torch.tensor([True])
    for contour in (False, True):
        drawn = stroke(deep, truth, center, positive, 20.0, contour)
        assert drawn.any() and set(drawn.unique().tolist()) <= {0, 1}
        assert (drawn.nonzero()[:, 2] == 5).all() and (truth[drawn > 0] == 1).all()
    # The contour is the object's outermost ring in that slice.
    assert int(drawn.sum()) == 17 * 17 - 15 * 15
    assert not stroke(deep, truth, center, positive, 2.0, True).any()


def test_a_click_is_a_bump_of_height_one_at_its_place():
    found = bump(SHAPE, torch.tensor([[3.0, 10.0, 20.0], [0.0, 0.0, 0.0]]), (1, 2, 2))
    assert found.shape == (2, *SHAPE) and HINT_CHANNELS == 4
    assert found[0, 3, 10, 20] == 1 and found[1, 0, 0, 0] == 1
    assert found[0, 4, 10, 20] == pytest.approx(np.exp(-0.5)) and found[0, 3, 12, 20] == found[0, 4, 10, 20]
