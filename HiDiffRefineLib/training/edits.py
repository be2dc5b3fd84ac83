"""From a configuration to a trained refiner: volumes onto the device, then editing sessions on them."""

from glob import glob
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.networks.edit_refiner import EditRefiner
from HiDiffRefineLib.training.cases import Case, load_cases, split_cases
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.device_volumes import DeviceVolume, device_volume
from HiDiffRefineLib.training.edit_samples import EditSamples
from HiDiffRefineLib.training.head_maps import load_head_maps
from HiDiffRefineLib.training.loop import load_half, make_fabric
from HiDiffRefineLib.training.priors import load_priors
from HiDiffRefineLib.training.session_loop import fit_sessions

# Label maps of heads are packed at 1 mm along R, A, S.
MAP_TO_RAS = np.eye(4)


def train_edits(config: TrainConfig) -> None:
    """Trains the refiner (task "edits") or its plain twin (task "plain_edits") on editing sessions.

    The fold that is held out is never read by the training; `config.network` has the network's arguments.
    """
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    network = EditRefiner(**config.network)
    if config.warm_start:
        load_half(network, config.warm_start)
    sets = training_sets(config, fabric.device)
    weights = [config.set_weights.get(Path(archive).name, 1.0) for archive in (*config.cases, *config.maps)]
    samples = EditSamples(sets, weights, bundle.patch_size_kji, fabric.device, config.seed)
    chain = BernoulliChain(bundle.settings["chain"]["T"], bundle.settings["chain"]["schedule"])
    fit_sessions(
        fabric,
        network,
        samples,
        None if config.task == "plain_edits" else chain,
        Path(config.output),
        minutes=config.minutes,
        batch=config.batch,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        ema=config.ema,
        steps=config.iterations,
        seed=config.seed,
        compiled=config.compile,
        log=_printer(fabric),
    )


def training_sets(config: TrainConfig, device: torch.device) -> list[list[DeviceVolume]]:
    """The volumes of config.cases, then those of config.maps, without the fold that is held out."""
    rng, sets = np.random.default_rng(config.seed), []
    patterns = config.priors or ("",) * len(config.cases)
    for archive, pattern in zip(config.cases, patterns, strict=True):
        cases, _ = split_cases(load_cases(Path(archive)), config.folds, config.fold)
        priors = {}
        for file in sorted(glob(pattern)):
            priors |= load_priors(Path(file))
        if pattern and (missing := [case.name for case in cases if case.name not in priors]):
            fault = f"There is no prior of {missing[0]} in {pattern}."
            raise ConfigError(fault, "Train a segmentor on every fold first.")
        sets.append([device_volume(case, device, rng, priors.get(case.name)) for case in cases])
    for archive in config.maps:
        heads = load_head_maps(Path(archive)).heads
        cases = [Case(head.name, None, head.structures, MAP_TO_RAS) for head in heads]
        sets.append([device_volume(case, device, rng) for case in cases])
    return sets


def _printer(fabric: Fabric):
    return (lambda line: print(line, flush=True)) if fabric.global_rank == 0 else (lambda line: None)
