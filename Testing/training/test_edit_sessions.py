"""Editing sessions in training: hints as a user gives them, the merge of the product, losses on the piece."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.networks.edit_refiner import CONDITION_CHANNELS
from HiDiffRefineLib.training import edit_sessions
from HiDiffRefineLib.training.edit_samples import Samples
from HiDiffRefineLib.training.edit_sessions import (
    CHANGE_WEIGHT,
    SessionHints,
    answer_losses,
    condition_of,
    give_hint,
    merged,
    session_losses,
)

SHAPE = (8, 24, 24)


def boxes(*bounds, batch=2):
    """A mask (batch, 1, *SHAPE) of boxes ((k, j, i) from, to)."""
    mask = torch.zeros(batch, 1, *SHAPE)
    for low, high in bounds:
        mask[(slice(None), slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))] = 1
    return mask


LEFT, RIGHT = ((2, 4, 3), (6, 14, 10)), ((2, 4, 14), (6, 12, 22))


@pytest.fixture
def rng(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(edit_sessions, "IDLE_SHARE", 0.0)
    return np.random.default_rng(0)


def test_a_hint_lies_in_the_error_and_points_at_its_piece(rng, monkeypatch):
    monkeypatch.setattr(edit_sessions, "NEAR_SHARE", 0.0)
    truth, mask = boxes(LEFT, RIGHT, batch=4), boxes(RIGHT, batch=4)
    for _ in range(10):
        hints = SessionHints(mask)
        give_hint(hints, mask, truth, rng)
        assert (hints.positive == 1).all() and (hints.given == 1).all()
        assert (hints.held <= truth).all() and hints.held.flatten(1).any(1).all()
        assert torch.equal(hints.piece, boxes(LEFT, batch=4))
        assert (hints.newest >= 0).all() and hints.newest.max() == 1
    give_hint(hints, boxes(LEFT, RIGHT, batch=4), boxes(RIGHT, batch=4), rng)
    assert (hints.positive == 0).all() and hints.newest.min() == -1
    assert torch.equal(hints.piece, boxes(LEFT, batch=4))


def test_hints_always_carry_the_truths_label(rng, monkeypatch):
    monkeypatch.setattr(edit_sessions, "IDLE_SHARE", 0.3)
    truth = boxes(LEFT, RIGHT)
    mask, hints = boxes(RIGHT), SessionHints(truth)
    for _ in range(20):
        give_hint(hints, mask, truth, rng)
        assert torch.equal(hints.value[hints.clamped], truth[hints.clamped])


def test_a_right_mask_is_confirmed_and_nothing_is_asked_for(rng):
    truth, hints = boxes(LEFT), SessionHints(boxes(LEFT))
    give_hint(hints, truth, truth, rng)
    assert (hints.given == 1).all() and not hints.piece.any() and hints.held.any()


def test_the_merge_takes_linked_changes_of_the_hints_way_alone(rng):
    mask, hints = boxes(RIGHT), SessionHints(boxes(RIGHT))
    hints.positive = hints.given = torch.ones(2, 1, 1, 1, 1)
    hints.held[:, :, 3, 8, 6] = 1
    hints.clamped, hints.value = hints.held > 0, hints.held.clone()
    said = boxes(LEFT)  # adds the left box, takes the right one away
    assert torch.equal(merged(hints, mask, said), boxes(LEFT, RIGHT))
    hints.held = torch.zeros_like(mask)
    hints.held[:, :, 3, 20, 20] = 1  # far from both
    assert torch.equal(merged(hints, mask, said), hints.hold(mask))


def test_losses_blame_harm_and_reward_the_piece():
    truth, mask = boxes(LEFT, RIGHT), torch.zeros(2, 1, *SHAPE)
    hints, told = SessionHints(truth), torch.ones(2)
    hints.positive = hints.given = torch.ones(2, 1, 1, 1, 1)
    hints.error, hints.piece = truth, boxes(LEFT)

    def losses(said):
        return answer_losses(20 * (said - 0.5), truth, mask, hints, told, True)

    harm = boxes(LEFT, ((2, 16, 2), (6, 22, 22)))
    for name, most in (("change", CHANGE_WEIGHT), ("piece", 10.0)):
        right, both, nothing, beyond = (
            float(losses(said)[name])
            for said in (boxes(LEFT), boxes(LEFT, RIGHT), torch.zeros_like(truth), harm)
        )
        assert right < 0.01 * most
        assert both < 0.01 * most  # the other piece is wrong too: no harm
        assert nothing > 0.4 * most and 0.1 * most < beyond < 0.9 * most


def test_around_a_piece_one_half_is_one_half():
    """Where a quarter of such voxels are wrong, the best answer is a quarter: Dice alone would say one."""
    torch.manual_seed(0)
    hints, told, shape = SessionHints(torch.zeros(1, 1, 4, 24, 24)), torch.ones(1), (1, 1, 4, 24, 24)
    hints.positive = hints.given = torch.ones(1, 1, 1, 1, 1)
    truth = (torch.rand(shape) < 0.25).float()
    hints.error = hints.piece = truth
    mask = torch.zeros(shape)
    offered = torch.logit(torch.tensor([0.1, 0.25, 0.5, 0.9]))
    found = [
        float(answer_losses(torch.full(shape, p), truth, mask, hints, told, True)["piece"]) for p in offered
    ]
    assert min(found) == found[1]


class Echo(torch.nn.Module):
    """Says the current mask; writes down what it is shown and at which state."""

    def __init__(self):
        super().__init__()
        self.scale, self.shown, self.states = torch.nn.Parameter(torch.tensor(8.0)), [], []

    def encode(self, condition):
        self.shown.append(condition)
        return [condition]

    def denoise(self, state, prior, t_share, features):
        self.states.append((float(t_share[0]), state))
        return self.scale * (features[0][:, 3:4] - 0.5)


@pytest.mark.parametrize("chain", [None, BernoulliChain(10, "cosine")])
def test_a_session_gives_finite_losses_with_gradients_and_never_shows_the_truth(rng, chain):
    truth, prior = boxes(LEFT), boxes(RIGHT) * 0.9
    samples = Samples(torch.rand(2, 1, *SHAPE), prior, 0 * prior, truth, torch.zeros(2, 3))
    network, count = Echo(), 0
    for _ in range(10):
        for terms in session_losses(network, chain, rng, samples):
            network.zero_grad()
            sum(terms.values()).backward()
            assert all(term.isfinite() for term in terms.values()) and network.scale.grad.isfinite()
            count += 1
    assert count > 10
    for condition in network.shown:
        assert condition.shape[1] == CONDITION_CHANNELS
    if chain:
        # States come from the prior and the network's own answers: the left box, which both miss, stays off
        # but where hints hold it.
        off = torch.stack([state[truth > 0].mean() for _, state in network.states])
        assert off.max() < 0.35


def test_the_condition_has_every_channel_in_its_place(rng):
    prior, truth = boxes(RIGHT) * 0.7, boxes(LEFT)
    zoom = torch.tensor([[0.5, -1.0, 0.25]] * 2)
    samples = Samples(torch.rand(2, 1, *SHAPE), prior, boxes(LEFT), truth, zoom)
    hints, mask = SessionHints(prior), boxes(RIGHT)
    give_hint(hints, mask, truth, rng)
    c = condition_of(samples, mask, hints)
    for channel, part in enumerate((samples.image, prior, boxes(LEFT), mask)):
        assert torch.equal(c[:, channel : channel + 1], part)
    assert torch.equal(c[:, 4:8], hints.channels) and torch.equal(c[:, 8:9], hints.newest)
    assert torch.equal(c[:, 9:, 0, 0, 0], zoom)
