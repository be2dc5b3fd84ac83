"""Stage 1: the plain refiner, and the Bernoulli refiner trained on the states it will meet.

States are never built from the truth: where the prior is confidently wrong, a state drawn from q(y_t | y_0)
gives the truth away and the network learns to copy it. They come from the prior (t = T, half of the training)
or from the model's own answers along an inference schedule.
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
from HiDiffRefineLib.training.validation import print_dice, prior_maps, refined_maps

TERMINAL_SHARE = 0.5
SCHEDULE_LENGTHS = (2, 3, 4, 10)
# Numbers of reverse steps that held-out cases are looked at with.
VALIDATED_STEPS = (1, 2, 3, 4, 10)
KL_WEIGHT = 0.1


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
        return plain_loss(network, *batch) if plain else chain_loss(network, chain, rng, *batch)

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
        for pairs in filter(None, held_out):
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
        priors = {}
        for part in sorted(glob(pattern)):
            priors |= load_priors(Path(part))
        for cases, pairs in zip(
            split_cases(load_cases(Path(archive)), config.folds, config.fold),
            (training, held_out),
            strict=True,
        ):
            if missing := [case.name for case in cases if case.name not in priors]:
                raise ConfigError(
                    f"There is no prior of {missing[0]} in {pattern}.",
                    "Train a segmentor on every fold first.",
                )
            pairs.append([(case, priors[case.name]) for case in cases])
    return training, held_out


def plain_loss(network, image, prior, others, truth) -> dict[str, torch.Tensor]:
    """One pass from the soft prior to the mask."""
    features = network.encode(condition(image, prior, others))
    return mask_loss(network.denoise(prior, prior, prior.new_ones(len(prior)), features), truth)


def chain_loss(network, chain: BernoulliChain, rng, image, prior, others, truth) -> dict[str, torch.Tensor]:
    """A reverse step at a state that the chain itself reached, all samples of the batch at the same t."""
    features = network.encode(condition(image, prior, others))
    state, t = draw(clamp_prior(prior), torch.rand_like(prior)), chain.steps

    def denoise(features):
        return network.denoise(state, prior, prior.new_full((len(prior),), t / chain.steps), features)

    if rng.random() >= TERMINAL_SHARE:
        steps = [*chain.timesteps(int(rng.choice(SCHEDULE_LENGTHS))), 0]
        fixed = [f.detach() for f in features]
        with torch.no_grad():
            for s in steps[1 : 1 + rng.integers(1, len(steps) - 1)]:
                y0_hat = torch.sigmoid(denoise(fixed))
                state = draw(chain.step_probability(state, y0_hat, prior, t, s), torch.rand_like(prior))
                t = s
    logits = denoise(features)
    divergence = posterior_kl(chain, state, truth, torch.sigmoid(logits), prior, t, t - 1).mean()
    return mask_loss(logits, truth) | {"kl": KL_WEIGHT * divergence}


_dice = DiceLoss(sigmoid=True)


def mask_loss(logits: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """Binary cross-entropy, which keeps the probabilities honest, and Dice, which minds small objects."""
    return {"bce": F.binary_cross_entropy_with_logits(logits, truth), "dice": _dice(logits, truth)}
