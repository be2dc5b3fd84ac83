"""What a session asks to be computed, and of whom: an engine in this process, or that of a worker process."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from HiDiffRefineLib.bundles import Bundle, load_bundle, refiner_of
from HiDiffRefineLib.inference.messages import Progress, Request
from HiDiffRefineLib.volumes.volume import Volume


class Engine(Protocol):
    """A volume in front of models. It knows nothing of a session but what a request says."""

    volume: Volume
    bundle: Bundle
    mode: str
    refiner_bundle: Bundle

    def run(self, request: Request, progress: Progress, wait: bool) -> Iterator:
        """The answers that `messages` promises for a request; close the iterator to cancel.

        Args:
            progress: called as it goes.
            wait: if not, None comes while nothing is new.

        Raises:
            HiDiffRefineError: what cannot be computed, as a sentence.
        """

    def close(self) -> None:
        """Gives back what it holds."""


class Models(Protocol):
    """A bundle that engines can be made of, one a volume: a `Pipeline`, or a worker's."""

    bundle: Bundle
    mode: str
    refiner_bundle: Bundle

    def open(self, volume: Volume) -> Engine:
        """An engine for a volume."""


@dataclass
class LocalModels:
    """A bundle's models in this process, on the best device. torch is imported when they are first used.

    Args:
        mode: what gives the prior: "segmentor", or "dssm" for the one-shot answer.
    """

    bundle: Bundle
    mode: str = "segmentor"

    @cached_property
    def refiner_bundle(self) -> Bundle:
        """The class-agnostic refiner that the bundle names, or is."""
        return refiner_of(self.bundle)

    def open(self, volume: Volume) -> "LazyEngine":
        """An engine for a volume."""
        return LazyEngine(volume, self)


@dataclass(eq=False)
class LazyEngine:
    """A `LocalEngine` that is made when it has something to do."""

    volume: Volume
    models: LocalModels

    @property
    def bundle(self) -> Bundle:
        """What the volume is in front of."""
        return self.models.bundle

    @property
    def mode(self) -> str:
        """What gives the prior."""
        return self.models.mode

    @property
    def refiner_bundle(self) -> Bundle:
        """The refiner's."""
        return self.models.refiner_bundle

    @cached_property
    def made(self) -> Engine:
        """The engine itself."""
        from HiDiffRefineLib.inference.models import choose_device
        from HiDiffRefineLib.inference.pipeline import Pipeline

        return Pipeline(self.bundle, choose_device(), self.models.mode).open(self.volume)

    def run(self, request: Request, progress: Progress, wait: bool) -> Iterator:
        """See `Engine`."""
        return self.made.run(request, progress, wait)

    def close(self) -> None:
        """Forgets the models."""
        self.__dict__.pop("made", None)


def model_name(models: Models | Engine) -> str:
    """What a journal, and the note of how a segment was made, call the models: priors differ by mode."""
    return models.bundle.name if models.mode == "segmentor" else f"{models.bundle.name} ({models.mode})"


def bundle_and_mode(name: str) -> tuple[str, str]:
    """Back from a `model_name`."""
    bundle, _, mode = name.removesuffix(")").partition(" (")
    return bundle, mode or "segmentor"


def models_of(bundle: "str | Path | Models") -> Models:
    """Models by what `load_bundle` takes; what is none of it is taken for models."""
    return LocalModels(load_bundle(bundle)) if isinstance(bundle, str | Path) else bundle
