"""Training configurations: JSON files checked field by field."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from HiDiffRefineLib.errors import ConfigError


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, for how long.

    Args:
        task: "segmentor", "plain_refiner", "refiner" or "collaborate".
        bundle: name or folder of the bundle whose network, spacing and labels are trained.
        cases: packed case archives, one for a segmentor, any number for a refiner.
        output: folder for checkpoint, curves and log.
        folds, fold: fold f of n leaves out every n-th case from f on; fold null trains on all.
        minutes: the learning-rate schedule ends after this long (or after `iterations`, if sooner).
        iterations: upper bound of optimiser steps.
        batch: patches a step. learning_rate, weight_decay: of AdamW. ema: decay of the averaged weights.
        seed: of weights, patches and chain.
        precision: Lightning Fabric's, e.g. "bf16-mixed" or "32-true".
        devices: how many accelerators.
        compile: whether to run the network through torch.compile.
        warm_start: weights to start from, a .safetensors file.
        priors: for refiners, archives of out-of-fold priors that belong to `cases`.
        segmentor: for "collaborate", weights of the segmentor to train along.
        collaboration: for "collaborate", the weight w of the refiner's loss in the segmentor's.
    """

    task: str
    bundle: str
    cases: tuple[str, ...]
    output: str
    folds: int = 4
    fold: int | None = None
    minutes: float = 60.0
    iterations: int = 1_000_000
    batch: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    ema: float = 0.999
    seed: int = 0
    precision: str = "bf16-mixed"
    devices: int = 1
    compile: bool = True
    warm_start: str | None = None
    priors: tuple[str, ...] = ()
    segmentor: str | None = None
    collaboration: float = 0.0


def read_config(path: Path, overrides: list[str] = ()) -> TrainConfig:
    """A configuration file with "field=JSON value" overrides.

    Raises:
        ConfigError: unreadable file, unknown or missing field.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no object of fields")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no readable JSON configuration: {error}.", "Mend the file.") from error
    for override in overrides:
        key, _, value = override.partition("=")
        try:
            values[key] = json.loads(value)
        except json.JSONDecodeError:
            values[key] = value
    known = {f.name for f in fields(TrainConfig)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{path}: unknown field '{unknown[0]}'.", f"Known: {', '.join(sorted(known))}.")
    try:
        for key in {"cases", "priors"} & set(values):
            # --set cases=one.npy.xz gives a single text.
            values[key] = (values[key],) if isinstance(values[key], str) else tuple(values[key])
        return TrainConfig(**values)
    except TypeError as error:
        raise ConfigError(f"{path}: {error}.", "Mend that field.") from error
