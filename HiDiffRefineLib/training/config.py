"""Training configurations: JSON files checked field by field."""

import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import get_args, get_origin, get_type_hints

from HiDiffRefineLib.errors import ConfigError

_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
_KINDS[dict] = "an object"


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, for how long.

    Args:
        task: "segmentor", "dssm", "plain_refiner", "refiner", "edits", "plain_edits" or "collaborate".
        bundle: name or folder of the bundle whose network, spacing and labels are trained.
        cases: packed case archives, one for a segmentor or DSSM, any number for a refiner.
        maps: for "edits", archives of label maps of heads, of which images are made.
        set_weights: for "edits", archive's file name → how often it is drawn from; 1 where none is given.
        synthetic: for a segmentor, whether the archive holds label maps of heads, of which images are made.
        output: folder for checkpoint, curves and log.
        folds, fold: fold f of n leaves out every n-th case from f on; fold null trains on all.
        minutes: the learning-rate schedule ends after this long (or after `iterations`, if sooner).
        iterations: upper bound of optimiser steps.
        batch: patches a step. workers: processes that draw them; 0 draws them in between.
        learning_rate, weight_decay: of AdamW. ema: decay of the averaged weights.
        seed: of weights, patches and chain.
        precision: Lightning Fabric's, e.g. "bf16-mixed" or "32-true".
        devices: how many accelerators.
        compile: whether to run the network through torch.compile.
        warm_start: weights to start from, a .safetensors file.
        priors: for refiners, archives of out-of-fold priors that belong to `cases`; "" where there are none
            and the truth is corrupted instead.
        segmentor: for "collaborate", weights of the segmentor to train along.
        collaboration: for "collaborate", the weight w of the refiner's loss in the segmentor's.
        network: for "edits", arguments of the network; for "dssm", those that differ from the bundle's:
            {"discriminative": true} trains the twin with tau 0, {"fusion": false} the ablation without
            Feature Fusion Module.
        empty_share: for refiners, the share of samples whose prior is empty.
        set_exponent: for refiners, a set is drawn by its number of labels to this power.
        recycling: for "dssm", the share of samples whose state is the network's own, not the truth's.
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
    workers: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    ema: float = 0.999
    seed: int = 0
    precision: str = "bf16-mixed"
    devices: int = 1
    compile: bool = True
    warm_start: str | None = None
    priors: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    set_weights: dict = field(default_factory=dict)
    synthetic: bool = False
    segmentor: str | None = None
    collaboration: float = 0.0
    network: dict = field(default_factory=dict)
    empty_share: float = 0.2
    set_exponent: float = 0.5
    recycling: float = 0.5


def read_config(path: Path, overrides: list[str] = ()) -> TrainConfig:
    """A configuration file with "field=JSON value" overrides.

    Raises:
        ConfigError: missing or unreadable file, a field that is unknown, missing or of the wrong type.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no object of fields")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no readable JSON configuration: {error}.", "Mend the file.") from error
    for override in overrides:
        key, _, value = override.partition("=")
        try:
            values[key] = json.loads(value)
        except json.JSONDecodeError:
            values[key] = value
    kinds = get_type_hints(TrainConfig)
    if unknown := sorted(set(values) - set(kinds)):
        raise ConfigError(f"{path}: unknown field '{unknown[0]}'.", f"Known: {', '.join(sorted(kinds))}.")
    needed = {f.name for f in fields(TrainConfig) if f.default is f.default_factory is MISSING}
    if missing := sorted(needed - set(values)):
        raise ConfigError(f"{path} lacks the field '{missing[0]}'.", "Add it.")
    return TrainConfig(**{key: _typed(path, key, value, kinds[key]) for key, value in values.items()})


def _typed(path: Path, field: str, value, kind):
    """A JSON value as a field's annotation asks for it; refused where it can't be."""
    if get_origin(kind) is tuple:
        # --set cases=one.npy.xz gives a single text.
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(one, str) for one in values):
            return tuple(values)
        wanted = "a list of texts"
    else:
        kinds = get_args(kind) or (kind,)
        # JSON has one kind of number; Python counts true as one.
        if type(value) in kinds or (float in kinds and type(value) is int):
            return value
        wanted = " or ".join(_KINDS[one] for one in kinds)
    raise ConfigError(
        f"{path}: the field '{field}' must be {wanted}, not {json.dumps(value)}.", "Mend that field."
    )
