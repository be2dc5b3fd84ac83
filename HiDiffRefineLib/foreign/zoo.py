"""Segmentors in the layout of MONAI's Model Zoo: configs/inference.json or .yaml, metadata.json, models/."""

import inspect
from pathlib import Path

from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.foreign.model import OF_MR, SOFT_TISSUE, Foreign, Given, lacking, unmapped
from HiDiffRefineLib.foreign.references import Configuration, read_mapping
from HiDiffRefineLib.foreign.transforms import After, Before, Call, read_after, read_before

CONFIGURATIONS = ("inference.json", "inference.yaml", "inference.yml")
_NETWORKS = "monai.networks.nets."
# Names that arguments had in former versions of MONAI.
_FORMER_NAMES = {"dimensions": "spatial_dims"}
_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR"}


def read_zoo(folder: Path, given: Given) -> Foreign:
    """The segmentor of a bundle's folder.

    Raises:
        BundleError: asks for what is missing; names what has no counterpart here.
    """
    configs = folder / "configs"
    path = next((configs / name for name in CONFIGURATIONS if (configs / name).is_file()), None)
    if path is None:
        raise BundleError(
            f"'{folder.name}' has no configs/inference.json or .yaml.", "Choose a bundle's whole folder."
        )
    configuration = Configuration(read_mapping(path), path.name)
    metadata = read_mapping(configs / "metadata.json") if (configs / "metadata.json").is_file() else {}
    network, arguments = _network(configuration)
    before = read_before(configuration, list(given.spacing_ijk_mm) if given.spacing_ijk_mm else None)
    if before.spacing_ijk_mm is None:
        raise lacking("what voxel size the network works at", "--spacing I,J,K in mm, for instance 1.5,1.5,2")
    if not any(step["step"] == "resample" for step in before.steps):
        before.steps.insert(0, {"step": "resample", "interpolation": "linear"})
    after = read_after(configuration)
    channels = _channels(after, arguments["out_channels"], given)
    labels = _labels(metadata, channels, arguments["out_channels"], given)
    if after.pieces_of is not None and sorted(after.pieces_of) != list(range(1, len(labels) + 1)):
        raise unmapped(f"KeepLargestConnectedComponent of the labels {after.pieces_of} alone")
    modality = _modality(metadata, given)
    patch_ijk, windows = _windows(configuration, given)
    return Foreign(
        layout="MONAI bundle",
        about=metadata,
        modality=modality,
        labels=labels,
        network=(network, arguments),
        order=(2, 1, 0),  # MONAI's arrays are (i, j, k)
        channels=channels,
        spacing_kji_mm=before.spacing_ijk_mm[::-1],
        patch_kji=patch_ijk[::-1],
        intensity=_intensity(before, modality),
        imported=_imported(before, after, windows),
        weights=_weights(folder),
        notes=_notes(before, channels, arguments["out_channels"]),
    )


def _network(configuration: Configuration) -> tuple[str, dict]:
    from HiDiffRefineLib.networks.imported import NAMES

    entry = configuration.find("network_def", "network", "net", "model")
    if not isinstance(entry, dict) or "_target_" not in entry:
        raise BundleError(
            f"{configuration.file} describes no network at network_def.",
            "Write its class of monai.networks.nets there, as _target_, with its arguments.",
        )
    target = str(configuration.plain(entry["_target_"], "network_def._target_"))
    name = target.removeprefix(_NETWORKS)
    if name not in NAMES:
        raise unmapped(f"The network {target}", f"Those that can: {', '.join(NAMES)} of monai.networks.nets.")
    arguments = {
        _FORMER_NAMES.get(key, key): configuration.plain(value, f"network_def.{key}")
        for key, value in entry.items()
        if not key.startswith("_")
    }
    import monai.networks.nets as nets  # longer to import than torch

    own = inspect.signature(getattr(nets, name)).parameters
    for key, wanted, says in (
        ("spatial_dims", 3, "in {} dimensions"),
        ("in_channels", 1, "of {} images at once"),
        ("out_channels", None, ""),
    ):
        value = arguments.get(key, own[key].default if key in own else wanted)
        if not isinstance(value, int) or (wanted is not None and value != wanted):
            raise unmapped(f"A network {says.format(value)}" if says else f"{name} without {key}")
        if key in own:
            arguments[key] = value
    return name, arguments


def _channels(after: After, count: int, given: Given) -> str:
    channels = given.channels or after.channels or ("sigmoid" if count == 1 else None)
    if channels is None:
        raise lacking("whether the network's channels exclude each other", "--channels softmax or sigmoid")
    if channels == "softmax" and count == 1:
        raise unmapped("A softmax of a single channel", "Add --channels sigmoid.")
    return channels


def _formats(metadata: dict, which: str) -> dict:
    """What metadata.json says of the first input or output."""
    formats = metadata.get("network_data_format")
    formats = formats.get(which) if isinstance(formats, dict) else None
    first = next(iter(formats.values()), None) if isinstance(formats, dict) else None
    return first if isinstance(first, dict) else {}


def _modality(metadata: dict, given: Given) -> str:
    told = _formats(metadata, "inputs")
    modality = given.modality or _MODALITIES.get(str(told.get("modality", "")).upper())
    if modality is None and told.get("format") == "hounsfield":
        modality = "CT"
    if modality is None:
        raise lacking("what kind of image the network is for", "--modality CT or MR")
    return modality


def _labels(metadata: dict, channels: str, count: int, given: Given) -> list[str]:
    names = list(given.labels or [])
    expected = count - 1 if channels == "softmax" else count
    if not names:
        told = _formats(metadata, "outputs").get("channel_def")
        told = told if isinstance(told, dict) else {}
        first = count - expected
        names = [str(told.get(str(value), "")).strip() for value in range(first, count)]
        if not all(names) or len(set(names)) < len(names):
            names = []
    if len(names) != expected:
        said = f"; {len(names)} were given" if given.labels else ""
        raise lacking(
            f"what the {expected} labels of the network are{said}", "--labels NAME NAME ..., in order"
        )
    return names


def _windows(configuration: Configuration, given: Given) -> tuple[list[int], dict]:
    entry = configuration.find("inferer")
    target = str(entry.get("_target_", "")) if isinstance(entry, dict) else ""
    name = target.rpartition(".")[2]
    if name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
        if given.patch_ijk is None:
            raise lacking("how large the network's windows are (no SlidingWindowInferer)", "--patch I,J,K")
        entry = {}
    call = Call(name, "inferer", configuration, dict(entry))
    roi = list(given.patch_ijk) if given.patch_ijk else call.get("roi_size")
    roi = [roi] * 3 if isinstance(roi, int) else roi
    good = isinstance(roi, list) and len(roi) == 3
    if not good or not all(isinstance(size, int) and 1 <= size <= 512 for size in roi):
        raise unmapped(f"{name} with roi_size = {roi}", "Add --patch I,J,K in voxels.")
    call.only("cval", 0, 0.0)
    call.only("sigma_scale", 0.125)
    call.only("with_coord", False)
    call.only("mode", "constant", "gaussian")
    call.only("padding_mode", "constant", "replicate", "reflect", "circular")
    windows = {
        "overlap": call.number("overlap", 0.25),
        "blend": call.get("mode", "constant"),
        "padding": call.get("padding_mode", "constant"),
    }
    return roi, windows


def _intensity(before: Before, modality: str) -> dict:
    if modality == "MR":
        return OF_MR
    window = next((step for step in before.steps if step["step"] == "range"), None)
    return {"rule": "hu_window", "low": window["low"], "high": window["high"]} if window else SOFT_TISSUE


def _imported(before: Before, after: After, windows: dict) -> dict:
    block = {"from": "MONAI bundle", "steps": before.steps, "windows": windows}
    if before.axes:
        block["axes"] = before.axes
    if after.largest_component:
        block["largest_component"] = True
    return block


def _weights(folder: Path) -> Path:
    models = folder / "models"
    for name in ("model.pt", "model.safetensors"):
        if (models / name).is_file():
            return models / name
    others = sorted(path for path in models.glob("*") if path.suffix in (".pt", ".pth", ".safetensors"))
    if len(others) == 1:
        return others[0]
    if (models / "model.ts").is_file():
        return models / "model.ts"
    held = ", ".join(path.name for path in others) or "none"
    raise BundleError(
        f"'{folder.name}' has no models/model.pt or model.ts (other weights: {held}).",
        "Put its weights there; those of the Model Zoo come with `python -m monai.bundle download`.",
    )


def _notes(before: Before, channels: str, count: int) -> list[str]:
    notes = []
    if before.axes is None:
        notes.append("It sees images along the axes that they are stored in, as it was made to.")
    if channels == "sigmoid" and count > 1:
        notes.append("Its labels may overlap; here the likeliest one takes a voxel.")
    return notes
