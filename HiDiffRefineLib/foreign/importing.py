"""A segmentor from elsewhere becomes a bundle like ours; from a folder or a zip."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from HiDiffRefineLib.bundles.bundle import Bundle, load_bundle, models_folder
from HiDiffRefineLib.bundles.schema import METADATA_FILE, check_metadata
from HiDiffRefineLib.bundles.weights import write_weights
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.foreign.model import Foreign, Given
from HiDiffRefineLib.foreign.nnunet import read_nnunet
from HiDiffRefineLib.foreign.weights import read_weights
from HiDiffRefineLib.foreign.zoo import CONFIGURATIONS, read_zoo
from HiDiffRefineLib.volumes.labels import nameless_label
from HiDiffRefineLib.volumes.new_files import not_written, write_whole

if TYPE_CHECKING:
    from torch import nn

# The largest bundle of the Model Zoo unpacks to 2 GB.
_MAX_UNPACKED_BYTES = 8 << 30
_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "license.txt", "docs/license.txt", "docs/LICENSE")
# The panel shows them; a stranger's metadata may be of any length.
_LONGEST_TEXT = 600
_UNTOLD = "not told"


def import_bundle(
    source: str | Path, given: Given | None = None, name: str | None = None, models: Path | None = None
) -> Bundle:
    """Makes a bundle of a segmentor from elsewhere, which runs no code of it.

    Args:
        source: a folder or .zip, of the layout of MONAI's Model Zoo or of nnU-Net v2's results.
        given: what its files don't say.
        name: of the new bundle's folder; None for that of the source.
        models: where the folder comes to lie; None for `models_folder`.

    Raises:
        BundleError: asks for what is missing, names what can't be used, or there is such a bundle already.
        FileError: it can't be written.
    """
    source, given, models = Path(source), given or Given(), models or models_folder()
    with _unpacked(source) as folder:
        found = _read(_root(folder, source), given)
        name = name or (found[0].name if source.suffix != ".zip" else source.stem)
        target = models / name
        if not name.strip(". ") or target.parent != models:
            raise BundleError(f"'{name}' is no name for a bundle.", "Choose another one with --name.")
        if target.exists():
            raise BundleError(
                f"There is a bundle '{name}' already.", "Choose another name with --name, or remove that one."
            )
        return _written(*found, target)


def _written(folder: Path, foreign: Foreign, target: Path) -> Bundle:
    network = _loaded(foreign)
    licence = next((folder / one for one in _LICENCES if (folder / one).is_file()), None)
    metadata = _metadata(foreign, target.name, _UNTOLD if licence is None else "see its LICENSE")
    check_metadata(metadata, target.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Hidden beside it until it is whole.
        with TemporaryDirectory(prefix=".", dir=target.parent) as temporary:
            new = Path(temporary) / target.name
            for part in ("configs", "docs"):
                (new / part).mkdir(parents=True)
            text = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
            write_whole(new / METADATA_FILE, text.encode("utf-8"))
            write_weights(new, "segmentor", network.state_dict(), half=False)
            write_whole(new / "docs" / "README.md", _card(foreign, metadata).encode("utf-8"))
            if licence:
                shutil.copyfile(licence, new / "LICENSE")
            else:
                told = f"Licence of the weights: {metadata['hidiffrefine']['license']}.\n"
                write_whole(new / "LICENSE", told.encode("utf-8"))
            new.rename(target)
    except OSError as error:
        raise not_written((target,), error) from error
    return load_bundle(target)


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """The folder itself, or that which a zip is unpacked to for the while."""
    if source.is_dir():
        yield source.resolve()
        return
    if not source.is_file() or not zipfile.is_zipfile(source):
        raise BundleError(
            f"'{source.name}' is no folder and no zip file.", "Choose a bundle's folder or zip."
        )
    with TemporaryDirectory() as temporary, zipfile.ZipFile(source) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED_BYTES:
            raise BundleError(
                f"'{source.name}' unpacks to more than 8 GiB.", "Unpack it and choose the folder."
            )
        try:
            archive.extractall(temporary)  # which lets no name lead outside
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise BundleError(f"'{source.name}' can't be unpacked ({error}).", "Get it again.") from error
        yield Path(temporary)


def _root(folder: Path, source: Path) -> Path:
    """The folder within that has one of the two layouts."""
    zoo = [path.parent.parent for name in CONFIGURATIONS for path in folder.rglob(f"configs/{name}")]
    nnunet = [path.parent for path in folder.rglob("plans.json") if (path.parent / "dataset.json").is_file()]
    roots = sorted(set(zoo + nnunet), key=lambda path: (len(path.parts), path))
    if not roots:
        raise BundleError(
            f"'{source.name}' is neither a MONAI bundle (configs/inference.json or .yaml) nor results of"
            " nnU-Net v2 (plans.json and dataset.json).",
            "Choose the folder that has these files.",
        )
    if len(roots) > 1 and roots[0] != folder:
        names = ", ".join(path.relative_to(folder).as_posix() for path in roots)
        raise BundleError(f"'{source.name}' holds several models: {names}.", "Choose the folder of one.")
    return roots[0]


def _read(root: Path, given: Given) -> tuple[Path, Foreign]:
    reads = read_nnunet if (root / "plans.json").is_file() else read_zoo
    return root, reads(root, given)


def _loaded(foreign: Foreign) -> "nn.Module":
    """The network with its weights, as the bundle will build it."""
    from HiDiffRefineLib.networks.build import build_network
    from HiDiffRefineLib.networks.imported import Imported, without_twins

    name, arguments = foreign.network
    network = build_network("bare", {"network": name, "arguments": arguments})
    state = read_weights(foreign.weights)
    state = {name: tensor for name, tensor in state.items() if not foreign.left_out(name)}
    try:
        told = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        fault = (str(error).splitlines()[1:] or [str(error)])[0].strip()
        raise _unfitting(foreign, fault) from error
    # A second name of weights that are there under their first one.
    missing = [one for one in told.missing_keys if not one.startswith("skip_layers.")]
    if missing or told.unexpected_keys:
        lacks = f"it lacks '{missing[0]}'" if missing else f"it has '{told.unexpected_keys[0]}' too many"
        raise _unfitting(foreign, lacks)
    return Imported(without_twins(network), foreign.order, foreign.channels)


def _unfitting(foreign: Foreign, fault: str) -> BundleError:
    return BundleError(
        f"{foreign.weights.name} does not fit the {foreign.network[0]} that its files describe: {fault}.",
        "Check that weights and configuration belong together.",
    )


def _metadata(foreign: Foreign, name: str, licence: str) -> dict:
    about = {key: _text(value) for key, value in foreign.about.items() if isinstance(value, str)}
    labels = [
        replace(nameless_label(n), name=_text(label)[:64]) for n, label in enumerate(foreign.labels, start=1)
    ]
    outputs = {"0": "background"} | {str(label.value): label.name for label in labels}
    untested = (
        f"Imported from a {foreign.layout} on {date.today():%Y-%m-%d}; not evaluated with HiDiffRefine."
    )
    return {
        "version": "0.1.0",
        "changelog": {"0.1.0": f"imported from a {foreign.layout}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"safetensors": version("safetensors")},
        "name": about.get("name") or name,
        "task": about.get("task") or f"Segmentation of {', '.join(foreign.labels)}"[:_LONGEST_TEXT],
        "description": about.get("description") or _UNTOLD,
        "authors": about.get("authors") or _UNTOLD,
        "copyright": about.get("copyright") or _UNTOLD,
        "network_data_format": {
            "inputs": {"image": {"type": "image", "modality": foreign.modality, "num_channels": 1}},
            "outputs": {"pred": {"type": "probabilities", "channel_def": outputs}},
        },
        "hidiffrefine": {
            "kind": "segmentor",
            "license": about.get("license") or licence,
            "intended_use": about.get("intended_use")
            or "A first mask for a person to check and correct. Not a medical device.",
            "limits": " ".join([untested, *foreign.notes]),
            "training_data": [],
            "research_only": True,  # unless its licence says more, which a person has to read
            "modality": foreign.modality,
            "working_spacing_kji_mm": [float(one) for one in foreign.spacing_kji_mm],
            "patch_size_kji": [int(one) for one in foreign.patch_kji],
            "intensity": foreign.intensity,
            "imported": foreign.imported,
            "refined_without_hints": False,  # the refiner has never seen its masks
            "networks": {
                "segmentor": {
                    "name": "imported",
                    "arguments": {
                        "network": foreign.network[0],
                        "arguments": foreign.network[1],
                        "order": list(foreign.order),
                        "channels": foreign.channels,
                    },
                }
            },
            "weights": {},
            "labels": [
                {
                    "value": label.value,
                    "name": label.name,
                    "color": list(label.color),
                    "category": ["SCT", "123037004", "Anatomical Structure"],
                    "type": [label.type.scheme, label.type.value, label.type.meaning],
                    "modifier": None,
                }
                for label in labels
            ],
            "refiner": "refiner",
            "validation": None,
        },
    }


def _card(foreign: Foreign, metadata: dict) -> str:
    settings, source = metadata["hidiffrefine"], foreign.about.get("data_source")
    lines = [
        f"# {metadata['name']}",
        "Research use only, unless its licence says more.",
        metadata["task"],
        metadata["description"],
        f"Trained on: {_text(source) if isinstance(source, str) and source.strip() else _UNTOLD}.",
        f"Limits: {settings['limits']}",
    ]
    return "\n\n".join(lines) + "\n"


def _text(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT]
