"""Stage 1: the plain refiner, and the Bernoulli refiner trained on the states it will meet.

States are never built from the truth: where the prior is confidently wrong, a state drawn from q(y_t | y_0)
gives the truth away and the network learns to copy it. They come from the prior (t = T, half of the training)
or from the model's own answers along an inference schedule. Hints are given over several rounds, each on the
model's own answer to those before (RITM, arXiv 2102.06583); the prior stays the chain's terminal law
throughout, with the hints in it.
"""

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
from HiDiffRefineLib.networks import build_network
from HiDiffRefineLib.training.cases import load_cases, split_cases
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.loop import fit, make_fabric
from HiDiffRefineLib.training.patches import batches
from HiDiffRefineLib.training.priors import load_priors
from HiDiffRefineLib.training.refiner_patches import RefinerPatches
from HiDiffRefineLib.training.simulated_user import NEAR_WEIGHT, Hints, give_hint
from HiDiffRefineLib.training.validation import print_dice, prior_maps, refined_maps

TERMINAL_SHARE = 0.5
SCHEDULE_LENGTHS = (2, 3, 4, 10)
# Numbers of reverse steps that held-out cases are looked at with.
VALIDATED_STEPS = (1, 2, 3, 4, 10)
KL_WEIGHT = 0.1
# Share of batches without any hint, and the most hints a batch is given one after the other.
UNHINTED_SHARE, MOST_ROUNDS = 0.35, 6


def train_refiner(config: TrainConfig) -> None:
    """Trains the refiner (task "refiner") or its plain twin (task "plain_refiner")."""
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    training, held_out = paired_sets(config)
    seed = config.seed + fabric.global_rank
    patches = RefinerPatches(training, bundle.patch_size_kji, seed)
    chain = BernoulliChain(bundle.settings["chain"]["T"], bundle.settings["chain"]["schedule"])
    rng = np.random.default_rng(seed)
    plain = config.task == "plain_refiner"

    def loss(network, batch):
        return plain_loss(network, rng, *batch) if plain else chain_loss(network, chain, rng, *batch)

    network = build_network(*bundle.network(config.task))
    network = fit(
        fabric,
        config,
        network,
        batches(patches, config.batch, config.workers, fabric.device),
        loss,
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


def plain_loss(network, rng, image, prior, others, truth) -> dict[str, torch.Tensor]:
    """One pass from the soft prior to the mask, after some rounds of hints."""

    def answer(mask, hints):
        held = hints.hold(prior)
        features = network.encode(condition(image, prior, others, mask, hints.channels))
        return network.denoise(held, held, prior.new_ones(len(prior)), features)

    mask, hints = edited(lambda mask, hints: torch.sigmoid(answer(mask, hints)), rng, prior, truth)
    return mask_loss(answer(mask, hints), truth, hints.near)


def chain_loss(network, chain: BernoulliChain, rng, image, prior, others, truth) -> dict[str, torch.Tensor]:
    """A reverse step, after some rounds of hints, at a state that the chain itself reached; all samples of
    the batch at the same t."""

    def encode(mask, hints):
        return network.encode(condition(image, prior, others, mask, hints.channels))

    def denoise(state, t, features, hints):
        share = prior.new_full((len(prior),), t / chain.steps)
        return network.denoise(state, hints.hold(prior), share, features)

    def walk(features, hints, steps, most):
        """The state and t after some of the reverse steps, and the last answer."""
        held, y0_hat = hints.hold(prior), None
        state, t = draw(clamp_prior(held), torch.rand_like(held)), chain.steps
        for s in steps[1 : 1 + most]:
            y0_hat = hints.hold(torch.sigmoid(denoise(state, t, features, hints)))
            if s > 0:
                state = draw(chain.step_probability(state, y0_hat, held, t, s), torch.rand_like(held))
                t = s
        return state, t, y0_hat

    def answer(mask, hints):
        steps = [*chain.timesteps(int(rng.integers(1, 3))), 0]
        return walk(encode(mask, hints), hints, steps, len(steps))[-1]

    mask, hints = edited(answer, rng, prior, truth)
    features = encode(mask, hints)
    steps, most = [chain.steps, 0], 0
    if rng.random() >= TERMINAL_SHARE:
        steps = [*chain.timesteps(int(rng.choice(SCHEDULE_LENGTHS))), 0]
        most = int(rng.integers(1, len(steps) - 1))
    with torch.no_grad():
        state, t, _ = walk([f.detach() for f in features], hints, steps, most)
    logits = denoise(state, t, features, hints)
    y0_hat = torch.sigmoid(logits)
    divergence = posterior_kl(chain, state, truth, y0_hat, hints.hold(prior), t, t - 1).mean()
    return mask_loss(logits, truth, hints.near) | {"kl": KL_WEIGHT * divergence}


def edited(answer, rng, prior, truth) -> tuple[torch.Tensor, Hints]:
    """An editing session in which the last hint is still to be answered.

    Args:
        answer: (mask, hints) → probability, the network's.
        prior, truth: (B, 1, k, j, i).

    Returns:
        the mask that the last hint was given on, and all hints; for some batches no hint at all.
    """
    mask, hints = (prior > 0.5).float(), Hints(prior)
    empty = not mask.flatten(1).any(1).all()
    # Without a hint nothing tells what an empty mask is to become.
    rounds = int(rng.integers(1, MOST_ROUNDS + 1)) if empty or rng.random() >= UNHINTED_SHARE else 0
    for n in range(rounds):
        if n > 0:
            with torch.no_grad():
                mask = hints.hold((answer(mask, hints) > 0.5).float())
        give_hint(hints, mask, truth, rng)
    return mask, hints


_dice = DiceLoss(sigmoid=True)


def mask_loss(logits: torch.Tensor, truth: torch.Tensor, near: torch.Tensor) -> dict[str, torch.Tensor]:
    """Binary cross-entropy, which keeps the probabilities honest, and Dice, which minds small objects.

    Args:
        near: 0…1, how close a hint is; there the cross-entropy counts more.
    """
    weight = 1 + NEAR_WEIGHT * near
    return {"bce": F.binary_cross_entropy_with_logits(logits, truth, weight), "dice": _dice(logits, truth)}
