"""Stage 1: the plain refiner, and the Bernoulli refiner trained on the states it will meet.

A sample is a whole editing session: an answer without hints, then one after every hint, each hint given on
the model's own answer to those before (RITM, arXiv 2102.06583); every answer is a step of learning. The prior
stays the chain's terminal law throughout, with the hints in it. States are never built from the truth: where
the prior is confidently wrong, a state drawn from q(y_t | y_0) gives the truth away and the network learns to
copy it. They come from the prior (t = T, at least half of the answers) or from the model's own answers along
an inference schedule.
"""

from collections.abc import Iterator
from functools import partial
from glob import glob
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from HiDiffRefineLib.bernoulli import BernoulliChain, clamp_prior, draw, posterior_kl
from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.inference.refiner import Region, condition, plain_refinement, reverse_steps
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import load_cases, split_cases
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.loop import fit, make_fabric, mean_terms
from HiDiffRefineLib.training.patches import batches
from HiDiffRefineLib.training.priors import load_priors
from HiDiffRefineLib.training.refiner_patches import RefinerPatches
from HiDiffRefineLib.training.simulated_user import NEAR_WEIGHT, Hints, give_hint
from HiDiffRefineLib.training.validation import print_dice, prior_maps, refined_maps

# Share of answers that are one step from the chain's start; the others take up to MOST_STEPS of a schedule.
TERMINAL_SHARE = 0.5
SCHEDULE_LENGTHS, MOST_STEPS = (2, 3, 4, 10), 3
# Numbers of reverse steps that held-out cases are looked at with.
VALIDATED_STEPS = (1, 2, 3, 4, 10)
KL_WEIGHT = 0.1
# Share of sessions without any hint, and the most hints of a session.
UNHINTED_SHARE, MOST_HINTS = 0.15, 10


def train_refiner(config: TrainConfig) -> None:
    """Trains the refiner (task "refiner") or its plain twin (task "plain_refiner")."""
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    training, held_out = paired_sets(config)
    seed = config.seed + fabric.global_rank
    patches = RefinerPatches(training, bundle.patch_size_kji, seed, config.empty_share, config.set_exponent)
    chain = BernoulliChain(bundle.settings["chain"]["T"], bundle.settings["chain"]["schedule"])
    # The same on every GPU: sessions of different lengths would wait for each other.
    rng = np.random.default_rng(config.seed)
    plain = config.task == "plain_refiner"

    def losses(network, batch):
        return plain_losses(network, rng, *batch) if plain else chain_losses(network, chain, rng, *batch)

    network = build_network(*bundle.network(config.task))
    network = fit(
        fabric,
        config,
        network,
        batches(patches, config.batch, config.workers, fabric.device),
        losses,
        ("encode", "denoise"),
        (network.encoder, network.denoiser),
    )
    if fabric.global_rank == 0:
        # Without a prior there is nothing to compare.
        for pairs in [pairs for pairs in held_out if pairs and pairs[0][1] is not None]:
            print_refinement(
                network.eval(), None if plain else chain, bundle.patch_size_kji, fabric.device, pairs
            )


def print_refinement(network, chain: BernoulliChain | None, patch_kji, device, pairs) -> None:
    """Prints Dice over held-out (case, prior) pairs: the prior's, and the plain refiner's (no chain) or the
    chain's with several numbers of steps."""
    if chain is None:
        answers = {"plain refiner": partial(plain_refinement, network)}
    else:
        answers = {f"{n} steps": partial(last_answer, network, chain, n) for n in VALIDATED_STEPS}
    print_dice("prior", ((case, prior_maps(case, prior)) for case, prior in pairs))
    for name, answer in answers.items():
        maps = partial(refined_maps, patch_kji, device, answer)
        print_dice(name, ((case, maps(case, prior)) for case, prior in pairs))


def last_answer(network, chain: BernoulliChain, steps: int, region: Region) -> torch.Tensor:
    """The probability after `steps` reverse steps."""
    *_, answer = reverse_steps(network, chain, region, steps, seed=0)
    return answer


def paired_sets(config: TrainConfig) -> tuple[list[list], list[list]]:
    """(case, out-of-fold prior) pairs to train on and held out, a list for each of config.cases."""
    training, held_out = [], []
    for archive, pattern in zip(config.cases, config.priors, strict=True):
        cases = load_cases(Path(archive))
        priors = dict.fromkeys(case.name for case in cases) if not pattern else {}
        for file in sorted(glob(pattern)):
            priors |= load_priors(Path(file))
        for part, pairs in zip(
            split_cases(cases, config.folds, config.fold),
            (training, held_out),
            strict=True,
        ):
            if missing := [case.name for case in part if case.name not in priors]:
                raise ConfigError(
                    f"There is no prior of {missing[0]} in {pattern}.",
                    "Train a segmentor on every fold first.",
                )
            pairs.append([(case, priors[case.name]) for case in part])
    return training, held_out


def plain_losses(network, rng, image, prior, others, truth) -> Iterator[dict[str, torch.Tensor]]:
    """One pass from the soft prior to the mask, for every hint of a session."""

    def answers(mask, hints):
        held = hints.hold(prior)
        features = network.encode(condition(image, prior, others, mask, hints.channels))
        yield network.denoise(held, held, prior.new_ones(len(prior)), features), {}

    return session_losses(answers, rng, prior, truth)


def chain_losses(
    network, chain: BernoulliChain, rng, image, prior, others, truth
) -> Iterator[dict[str, torch.Tensor]]:
    """Some reverse steps for every hint of a session, at states that the chain itself reached; all samples of
    the batch at the same t."""

    def answers(mask, hints):
        held = hints.hold(prior)
        features = network.encode(condition(image, prior, others, mask, hints.channels))
        state, t = draw(clamp_prior(held), torch.rand_like(held)), chain.steps
        for s in schedule(chain, rng):
            share = prior.new_full((len(prior),), t / chain.steps)
            logits = network.denoise(state, held, share, features)
            y0_hat = torch.sigmoid(logits)
            yield logits, {"kl": KL_WEIGHT * posterior_kl(chain, state, truth, y0_hat, held, t, t - 1)}
            if s > 0:
                own = hints.hold(y0_hat.detach())
                state = draw(chain.step_probability(state, own, held, t, s), torch.rand_like(held))
                t = s

    return session_losses(answers, rng, prior, truth)


def schedule(chain: BernoulliChain, rng: np.random.Generator) -> list[int]:
    """The step indices that an answer goes down to, one for each reverse step; 0 ends the chain."""
    if rng.random() < TERMINAL_SHARE:
        return [0]
    length = int(rng.choice(SCHEDULE_LENGTHS))
    return [*chain.timesteps(length), 0][1 : 1 + min(length, MOST_STEPS)]


def session_losses(answers, rng, prior, truth) -> Iterator[dict[str, torch.Tensor]]:
    """The loss of each answer of an editing session, the mean over its reverse steps.

    No gradient passes from an answer to the one before, so each may be followed by a step of the optimiser:
    several times as many steps as with one for the whole session, at the same price.

    Args:
        answers: (mask, hints) → (logits, further terms of that shape) of each reverse step.
        prior, truth: (B, 1, k, j, i).
    """
    mask, hints = (prior > 0.5).float(), Hints(prior)
    # Without a hint nothing tells what an empty mask is to become.
    told = mask.flatten(1).any(1)
    count = hint_count(rng)
    # The first hint is given on the prior's mask, or on what the refiner made of it.
    refined_first = rng.random() < 0.5
    for n in range(count + 1):
        if n > 0:
            give_hint(hints, mask, truth, rng)
            told = torch.ones_like(told)
        steps = []
        for logits, further in answers(mask, hints):
            steps.append(mask_loss(logits, truth, hints.near, told))
            steps[-1] |= {name: _mean(term, told) for name, term in further.items()}
        yield mean_terms(steps)
        if n > 0 or refined_first:
            mask = hints.hold((logits.detach() > 0).float())


def hint_count(rng: np.random.Generator) -> int:
    """How many hints a session has: few more often than many, since every session begins with its first."""
    return 0 if rng.random() < UNHINTED_SHARE else int(rng.integers(1, rng.integers(1, MOST_HINTS + 1) + 1))


_dice = DiceLoss(sigmoid=True, reduction="none")


def mask_loss(
    logits: torch.Tensor, truth: torch.Tensor, near: torch.Tensor, told: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Binary cross-entropy, which keeps the probabilities honest, and Dice, which minds small objects.

    Args:
        near: 0…1, how close a hint is; there the cross-entropy counts more.
        told: (B,) bool, the samples that count.
    """
    weight = 1 + NEAR_WEIGHT * near
    bce = F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="none")
    return {"bce": _mean(bce, told), "dice": _mean(_dice(logits, truth), told)}


def _mean(values: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """Mean over the samples that count; 0 where none does."""
    return (values.flatten(1).mean(1) * told).sum() / told.sum().clamp(min=1)
