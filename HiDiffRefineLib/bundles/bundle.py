"""Model bundles on disk: finding them and reading what they say about themselves.

A bundle is a folder in MONAI's bundle layout:
    configs/metadata.json    MONAI's fields and the block "hidiffrefine" (schema.json)
    models/*.safetensors     weights, fp16, checked by SHA-256 at load (weights.py)
    docs/README.md           model card
    LICENSE                  licence and attribution of the weights
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from HiDiffRefineLib.bundles.schema import METADATA_FILE, read_metadata
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.volumes.labels import Code, Label

# The name by which a user asks for the refiner without a segmentor, on images of any kind.
REFINER_ONLY = "refiner-only"
# Of any folder that `_bundle_folders` lists: no path leads elsewhere.
_NAME = re.compile(r"[^./\\:\0][^/\\:\0]*")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose metadata has been checked; its weights are read later, by load_weights.

    Args:
        name: the folder's name, which addresses the bundle.
        folder: absolute path of the bundle.
        metadata: content of configs/metadata.json.
    """

    name: str
    folder: Path
    metadata: dict = field(repr=False, hash=False)

    @property
    def settings(self) -> dict:
        """The block "hidiffrefine"; schema.json describes its fields."""
        return self.metadata["hidiffrefine"]

    @property
    def kind(self) -> str:
        """What the bundle does: "segmentor" or "refiner"."""
        return self.settings["kind"]

    @property
    def research_only(self) -> bool:
        """True where the training data's terms allow research use only."""
        return self.settings["research_only"]

    @property
    def refined_without_hints(self) -> bool:
        """Whether a segmentor's masks go through the refiner before anybody has given a hint."""
        return self.settings.get("refined_without_hints", True)

    @property
    def patch_size_kji(self) -> tuple[int, int, int]:
        """Voxels of one network input along (k, j, i)."""
        return tuple(int(size) for size in self.settings["patch_size_kji"])

    @property
    def working_spacing_kji_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm along (k, j, i) that a segmentor works at."""
        return tuple(float(size) for size in self.settings["working_spacing_kji_mm"])

    @property
    def labels(self) -> tuple[Label, ...]:
        """What a segmentor's label values mean; empty for a refiner, which knows no classes."""
        return tuple(_label(entry) for entry in self.settings.get("labels", ()))

    def network(self, key: str) -> tuple[str, dict]:
        """Name of the network the weights `key` belong to, and its constructor's arguments.

        Raises:
            BundleError: the bundle has no such network.
        """
        networks = self.settings["networks"]
        if key not in networks:
            raise BundleError(
                f"The model bundle '{self.name}' has no network '{key}'.", f"It has: {', '.join(networks)}."
            )
        return networks[key]["name"], dict(networks[key]["arguments"])


def models_folder() -> Path:
    """The folder bundles are looked up in: HIDIFF_MODELS, or models/ within the library or beside it."""
    if named := os.environ.get("HIDIFF_MODELS"):
        return Path(named)
    library = Path(__file__).parents[1]
    within = library / "models"  # as a wheel installs them
    return within if within.is_dir() else library.parent / "models"


def load_bundle(name_or_path: str | Path) -> Bundle:
    """A bundle by its name in the models folder, or by the path of its folder; `REFINER_ONLY` is the refiner.

    A name wins over a folder of the same name in the current directory; write ./name for the latter.

    Raises:
        BundleError: no such bundle, or metadata that cannot be used.
    """
    text = "refiner" if name_or_path == REFINER_ONLY else str(name_or_path)
    named = models_folder() / text
    folder = named if _NAME.fullmatch(text) and os.path.isdir(named) else Path(text)
    if not text or not os.path.isdir(folder):  # unlike Path.is_dir, never raises
        known = ", ".join(path.name for path in _bundle_folders()) or "none"
        raise BundleError(
            f"There is no model bundle '{text}'.",
            f"Bundles in {models_folder()}: {known}. Or give the path of a bundle's folder.",
        )
    folder = folder.resolve()
    return Bundle(folder.name, folder, read_metadata(folder))


def refiner_of(bundle: Bundle) -> Bundle:
    """The class-agnostic refiner that a segmentor's bundle names; a refiner's is its own.

    Raises:
        BundleError: no such bundle.
    """
    return bundle if bundle.kind == "refiner" else load_bundle(bundle.settings["refiner"])


def list_bundles() -> tuple[list[Bundle], list[BundleError]]:
    """All bundles of the models folder by name, and what is wrong with those that cannot be used.

    A broken bundle must neither hide the others nor go unseen, hence two lists.
    """
    bundles, errors = [], []
    for folder in _bundle_folders():
        try:
            bundles.append(load_bundle(folder))
        except BundleError as error:
            errors.append(error)
    return bundles, errors


def _bundle_folders() -> list[Path]:
    return sorted(path.parent.parent for path in models_folder().glob(f"*/{METADATA_FILE}"))


def _label(entry: dict) -> Label:
    return Label(
        value=int(entry["value"]),
        name=entry["name"],
        color=tuple(int(part) for part in entry["color"]),
        category=Code(*entry["category"]),
        type=Code(*entry["type"]),
        modifier=Code(*entry["modifier"]) if entry["modifier"] else None,
        region=Code(*entry["region"]) if entry.get("region") else None,
    )
