"""Whole editing sessions as the product runs them, for a batch on the training device.

Hints are given one after another, each on the network's own last mask; an answer goes into the mask by the
merge of the product: changes the hint's way alone, linked to it. Every answer is a step of learning. The
prior stays the chain's terminal law throughout, and states are drawn from it or from the network's own
answers, never from the truth: where the prior is confidently wrong, such a state would give the truth away.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.bernoulli import BernoulliChain, clamp_prior, draw
from HiDiffRefineLib.inference.hint_channels import CLICK_SIGMA_KJI, bump
from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.inference.refiner import condition
from HiDiffRefineLib.training.edit_samples import Samples
from HiDiffRefineLib.training.simulated_user import NEAR_SIGMA_KJI, SCRIBBLE_REACH, depth, stroke
from HiDiffRefineLib.training.targets import flood, voxel

# Where clicks lie: deep in the error, anywhere in it, at its border, near its deepest place (even outside).
# Shares that lie anywhere, at the border, near; the others lie deep.
ANYWHERE_SHARE, BORDER_SHARE, NEAR_SHARE = 0.15, 0.08, 0.12
# How far from it "near" is, in voxels of the plane.
NEAR = 3.0
STROKE_SHARE = 0.25
# Share of hints that confirm what is right already: nothing is to change.
IDLE_SHARE = 0.04
# Sessions: share without hints, the most hints, share in which the answer before any hint is taken over.
UNHINTED_SHARE, MOST_HINTS, REFINED_FIRST_SHARE = 0.08, 10, 0.35
# Share of the answers that are the chain's first step; the others go further along a schedule.
TERMINAL_SHARE, SCHEDULE_LENGTHS, MOST_STEPS = 0.6, (2, 3, 4), 2
# Changes are linked within this many voxels (k, j, i), pieces of errors within as many steps of flooding.
LINK_KJI, LINK_STEPS = (1, 2, 2), 40
NEAR_WEIGHT = 4.0
# Around the piece that a hint points at, cross-entropy counts a voxel as one over the piece's size, at least
# this one, up to so many voxels (k, j, i) beyond it. The Dice coefficient of what is changed has half a say:
# where a piece is hard to hit, it is best off with every voxel that is wrong in one of five cases.
SMALLEST_PIECE, AROUND_KJI = 100, (3, 7, 7)
CHANGE_WEIGHT = 0.5


class SessionHints:
    """The hints given so far to a batch; all (B, 1, k, j, i) but for `channels` (B, 4, …).

    Attributes:
        channels: see `inference.hint_channels`.
        newest: the last hint as drawn, positive or negative.
        clamped, value: voxels that hints hold, and what at.
        near: 0…1, how close a hint is.
        positive, given: (B, 1, 1, 1, 1) of the last hint, 0. or 1.
        held: voxels of the last hint.
        piece: the piece of the error that it points at. error: all error of its kind.
    """

    def __init__(self, like: torch.Tensor):
        self.channels = like.new_zeros(len(like), 4, *like.shape[2:])
        self.newest, self.value, self.near, self.held, self.piece, self.error = (
            torch.zeros_like(like) for _ in range(6)
        )
        self.clamped = torch.zeros_like(like, dtype=torch.bool)
        self.positive = self.given = like.new_zeros(len(like), 1, 1, 1, 1)

    def hold(self, mask: torch.Tensor) -> torch.Tensor:
        """A mask or probability with the hinted voxels at their values."""
        return torch.where(self.clamped, self.value, mask)


def give_hint(hints: SessionHints, mask: torch.Tensor, truth: torch.Tensor, rng: np.random.Generator) -> None:
    """Adds one hint to every sample; where the mask is right, one that changes nothing."""
    batch, shape, device = len(mask), mask.shape[2:], mask.device
    error = (mask != truth).float()
    deep = depth(error)
    noise = torch.rand_like(error)
    place = torch.rand(batch, 1, 1, 1, 1, device=device)
    anywhere, border = place < ANYWHERE_SHARE, place > 1 - BORDER_SHARE
    beside = ((place >= ANYWHERE_SHARE) & (place < ANYWHERE_SHARE + NEAR_SHARE)).flatten()
    score = torch.where(anywhere, noise, torch.where(border, noise * (deep == 1), deep + noise)) * error
    flat = score.flatten(1).argmax(1)
    center = voxel(flat, shape)
    side = (truth == truth.flatten(1).gather(1, flat[:, None]).view(-1, 1, 1, 1, 1)).float()
    around = bump(shape, center, (NEAR / 2, NEAR, NEAR))[:, None] > 0.6
    moved = (noise * side * around).flatten(1).argmax(1)
    flat = torch.where(beside, moved, flat)
    # A mask that is right, and now and then any other: a place inside it, or outside near its border.
    inside = truth if rng.random() < 0.5 else F.max_pool3d(truth, (3, 7, 7), 1, (1, 3, 3)) - truth
    idle_place = (torch.rand_like(error) * inside * (1 - error)).flatten(1)
    idle = (error.flatten(1).amax(1) == 0) | (torch.rand(batch, device=device) < IDLE_SHARE)
    idle = idle & (idle_place.amax(1) > 0)
    flat = torch.where(idle, idle_place.argmax(1), flat)
    given = idle | (error.flatten(1).amax(1) > 0)
    center = voxel(flat, shape)
    positive = truth.flatten(1).gather(1, flat[:, None])[:, 0] > 0.5
    here = torch.zeros_like(error).flatten(1).scatter_(1, flat[:, None], 1.0).view_as(error)
    stroked = rng.random() < STROKE_SHARE
    if stroked:
        reach = float(rng.integers(*SCRIBBLE_REACH))
        line = stroke(deep, truth, center, positive, reach, bool(rng.random() < 0.5))
        held = torch.maximum(here, line)
        drawn = held
    else:
        held, drawn = here, bump(shape, center, CLICK_SIGMA_KJI)[:, None]
    told = given.view(-1, 1, 1, 1, 1).float()
    sign = positive.view(-1, 1, 1, 1, 1).float()
    drawn, held = drawn * told, held * told
    first = 2 if stroked else 0
    pair = torch.cat([drawn * sign, drawn * (1 - sign)], 1)
    hints.channels = hints.channels.clone()
    hints.channels[:, first : first + 2] = torch.maximum(hints.channels[:, first : first + 2], pair)
    hints.newest = drawn * (2 * sign - 1)
    hints.clamped = hints.clamped | (held > 0)
    hints.value = torch.where(held > 0, sign, hints.value)
    hints.near = torch.maximum(hints.near, bump(shape, center, NEAR_SIGMA_KJI)[:, None] * told)
    hints.positive, hints.given, hints.held = sign, told, held
    hints.error = error * torch.where(sign > 0.5, truth, 1 - truth)
    hints.piece = flood(held, hints.error, LINK_STEPS)


def merged(hints: SessionHints, mask: torch.Tensor, probability: torch.Tensor) -> torch.Tensor:
    """The mask after an edit: changes the newest hint's way that are linked to it."""
    grows = hints.positive > 0.5
    change = torch.where(
        grows, (probability > 0.5) & (mask < 0.5), (probability <= 0.5) & (mask > 0.5)
    ).float()
    k, j, i = LINK_KJI
    seed = F.max_pool3d(hints.held, (2 * k + 1, 2 * j + 1, 2 * i + 1), 1, LINK_KJI)
    linked = flood(seed, change, LINK_STEPS)
    after = torch.where(grows, torch.maximum(mask, linked), mask * (1 - linked))
    return hints.hold(torch.where(hints.given > 0.5, after, mask))


def condition_of(samples: Samples, mask: torch.Tensor, hints: SessionHints) -> torch.Tensor:
    """The encoder's input, as the product makes it."""
    parts = samples.image, samples.prior, samples.others, mask, hints.channels, hints.newest, samples.zoom
    return condition(*parts)


def session_losses(
    network, chain: BernoulliChain | None, rng: np.random.Generator, samples: Samples
) -> Iterator[dict[str, torch.Tensor]]:
    """The named losses of each answer of a session, the mean over its reverse steps.

    No gradient passes from an answer to the one before: each is followed by a step of the optimiser.

    Args:
        chain: None for the plain refiner.
        rng: alike on every device that trains together: sessions of other lengths would wait for each other.
    """
    prior, truth = samples.prior, samples.truth
    mask, hints = (prior > 0.5).float(), SessionHints(prior)
    # Without a hint nothing tells what an empty mask is to become.
    told = mask.flatten(1).any(1).float()
    count = 0 if rng.random() < UNHINTED_SHARE else int(rng.integers(1, rng.integers(1, MOST_HINTS + 1) + 1))
    refined_first = rng.random() < REFINED_FIRST_SHARE
    for n in range(count + 1):
        if n == 0 and count and not refined_first:
            continue
        if n:
            with torch.no_grad():
                give_hint(hints, mask, truth, rng)
            told = hints.given.view(-1)
        held = hints.hold(prior)
        seen = condition_of(samples, mask, hints)
        with autocast(prior.device):
            features = network.encode(seen)
        terms = []
        for logits in answers(network, chain, rng, held, hints, features):
            terms.append(answer_losses(logits, truth, mask, hints, told, n > 0))
        yield {name: torch.stack([each[name] for each in terms]).mean() for name in terms[0]}
        with torch.no_grad():
            probability = torch.sigmoid(logits.detach())
            mask = merged(hints, mask, probability) if n else (probability > 0.5).float()


def answers(network, chain, rng, held, hints, features) -> Iterator[torch.Tensor]:
    """Logits (B, 1, k, j, i) of the plain answer, or of some reverse steps at states the chain reached."""
    if chain is None:
        yield _denoised(network, held, held, 1.0, features)
        return
    state, t = draw(clamp_prior(held), torch.rand_like(held)), chain.steps
    steps = [0]
    if rng.random() >= TERMINAL_SHARE:
        length = int(rng.choice(SCHEDULE_LENGTHS))
        steps = [*chain.timesteps(length), 0][1 : 1 + min(length, MOST_STEPS)]
    for s in steps:
        logits = _denoised(network, state, held, t / chain.steps, features)
        yield logits
        if s > 0:
            own = hints.hold(torch.sigmoid(logits.detach()))
            state, t = draw(chain.step_probability(state, own, held, t, s), torch.rand_like(held)), s


def _denoised(network, state, prior, t_share: float, features) -> torch.Tensor:
    with autocast(prior.device):
        return network.denoise(state, prior, prior.new_full((len(prior),), t_share), features)


def answer_losses(logits, truth, mask, hints: SessionHints, told, hinted: bool) -> dict[str, torch.Tensor]:
    """Cross-entropy and Dice of the mask; after a hint, also of the piece of the error that it points at.

    Of what may change the hint's way, the piece and its surroundings count in `piece` voxel by voxel, so that
    one half is one half; `change` is the Dice of all of it against that piece. What is changed beyond it, and
    not wrong, counts as harm in both; other wrong places count as nothing.

    Args:
        told: (B,) 1. for samples that count.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    probability = torch.sigmoid(logits)
    weight = 1 + NEAR_WEIGHT * hints.near if hinted else torch.ones_like(entropy)
    terms = {"bce": (entropy * weight).flatten(1).mean(1)}
    terms["dice"] = 1 - _dice(probability, truth)
    # Every answer gives the same names, so that logs and devices agree; without a hint these count nothing.
    grows = hints.positive > 0.5
    may = torch.where(grows, mask < 0.5, mask > 0.5).float() * (1 - (hints.error - hints.piece).clamp(0, 1))
    size = hints.piece.flatten(1).sum(1)
    around = may * _widened(hints.piece, AROUND_KJI)
    terms["piece"] = (entropy * around).flatten(1).sum(1) / (size + SMALLEST_PIECE)
    changed = torch.where(grows, probability, 1 - probability) * may
    terms["change"] = CHANGE_WEIGHT * float(hinted) * (1 - _dice(changed, hints.piece))
    return {name: (term * told).sum() / told.sum().clamp(min=1) for name, term in terms.items()}


def _widened(x: torch.Tensor, reach_kji) -> torch.Tensor:
    """Maxima over boxes of so many voxels on each side, of (B, 1, k, j, i)."""
    for axis, reach in enumerate(reach_kji):
        kernel, pad = [1, 1, 1], [0, 0, 0]
        kernel[axis], pad[axis] = 2 * reach + 1, reach
        x = F.max_pool3d(x, kernel, 1, pad)
    return x


def _dice(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(B,) soft Dice, 1 where both are empty."""
    both = (a * b).flatten(1).sum(1)
    return (2 * both + 1) / (a.flatten(1).sum(1) + b.flatten(1).sum(1) + 1)
