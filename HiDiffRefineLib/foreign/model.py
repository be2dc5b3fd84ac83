"""What is known of a segmentor from elsewhere before it is a bundle, and what its user may add."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from HiDiffRefineLib.errors import BundleError

# What the refiner and the user see of a CT whose network scales it in a way that is no window: soft tissue.
SOFT_TISSUE = {"rule": "hu_window", "low": -160, "high": 240}
OF_MR = {"rule": "percentiles", "low": 0.5, "high": 99.5}


@dataclass(frozen=True)
class Given:
    """What the user says of a segmentor; None where its own files shall tell.

    Args:
        labels: names of its labels in the order of their values, background left out.
        spacing_ijk_mm: voxel size that it works at, along the axes of its image.
        patch_ijk: voxels of a window along the same axes.
        modality: CT or MR.
        channels: "softmax" or "sigmoid".
        fold: of an nnU-Net's results, for instance "0" or "all".
    """

    labels: Sequence[str] | None = None
    spacing_ijk_mm: Sequence[float] | None = None
    patch_ijk: Sequence[int] | None = None
    modality: str | None = None
    channels: str | None = None
    fold: str | None = None


@dataclass(frozen=True)
class Foreign:
    """A segmentor as its files describe it.

    Args:
        layout: what files they are, for instance "MONAI bundle".
        about: what its metadata say of it in words: name, task, description, authors, copyright, ...
        modality: CT or MR.
        labels: names in the order of their values, background left out.
        network: name and arguments for `networks.imported.bare_network`.
        order: which of (k, j, i) is each axis of the network.
        channels: "softmax" or "sigmoid".
        spacing_kji_mm: that it works at.
        patch_kji: voxels of a window.
        intensity: what the refiner and the user see, as in a bundle's metadata.
        imported: the block of that name of a bundle's metadata.
        weights: their file.
        left_out: which of its tensors, by name, the network has no place for.
        notes: sentences about what is not as it was there.
    """

    layout: str
    about: dict
    modality: str
    labels: Sequence[str]
    network: tuple[str, dict]
    order: Sequence[int]
    channels: str
    spacing_kji_mm: Sequence[float]
    patch_kji: Sequence[int]
    intensity: dict
    imported: dict
    weights: Path
    left_out: Callable[[str], bool] = lambda name: False
    notes: list[str] = field(default_factory=list)


def lacking(what: str, option: str) -> BundleError:
    """The question for what the files don't say."""
    return BundleError(f"Its files don't say {what}.", f"Add {option}.")


def unmapped(what: str, remedy: str = "It can't be used here.") -> BundleError:
    """The refusal of what has no counterpart here."""
    return BundleError(f"{what} can't be imported.", remedy)
