"""Segmentors in the layout of nnU-Net v2's results: plans.json, dataset.json, fold_0/checkpoint_final.pth.

Read without the nnU-Net package.
"""

from collections.abc import Callable
from pathlib import Path

from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.foreign.model import OF_MR, SOFT_TISSUE, Foreign, Given, lacking, unmapped
from HiDiffRefineLib.foreign.references import read_mapping

# nnU-Net: windows overlap by half, and their middle weighs more.
_WINDOWS = {"overlap": 0.5, "blend": "gaussian", "padding": "constant"}
_READERS = {"SimpleITKIO": None, "NibabelIO": None, "NibabelIOWithReorient": "RAS"}
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


def read_nnunet(folder: Path, given: Given) -> Foreign:
    """The segmentor of a folder that holds plans.json, dataset.json and fold_*.

    Raises:
        BundleError: asks for what is missing; names what has no counterpart here.
    """
    plans, dataset = (read_mapping(folder / name) for name in ("plans.json", "dataset.json"))
    name = folder.name.rpartition("__")[2]
    configuration = _configuration(plans, name if name in plans.get("configurations", {}) else "3d_fullres")
    try:
        return _read(folder, plans, dataset, configuration, given)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise BundleError(
            f"plans.json or dataset.json of '{folder.name}' is not as nnU-Net v2 writes it"
            f" ({type(error).__name__}: {str(error)[:100]}).",
            "Take both files from the results of nnU-Net v2.",
        ) from error


def _read(folder: Path, plans: dict, dataset: dict, configuration: dict, given: Given) -> Foreign:
    names = dataset.get("channel_names") or dataset.get("modality")
    if len(names) != 1 or len(configuration["normalization_schemes"]) != 1:
        raise unmapped(f"A network of {len(names)} images at once")
    if len(configuration["patch_size"]) != 3:
        raise unmapped("A configuration in 2 dimensions", "Choose the folder of 3d_fullres.")
    if configuration.get("previous_stage"):
        raise unmapped("The second stage of a cascade", "Choose the folder of 3d_fullres.")
    labels = list(given.labels or _labels(dataset))
    # Axis n of the network is axis order[n] of an array (k, j, i).
    order = [int(axis) for axis in plans.get("transpose_forward", (0, 1, 2))]
    spacing, patch = ([float(one) for one in configuration[key]] for key in ("spacing", "patch_size"))
    scheme = configuration["normalization_schemes"][0]
    modality = given.modality or _modality(str(next(iter(names.values()))), scheme)
    values = plans.get("foreground_intensity_properties_per_channel", {}).get("0", {})
    in_mask = configuration.get("use_mask_for_norm", [False])[0]
    imported = {
        "from": "nnU-Net v2",
        "steps": [
            {"step": "crop", "keep": "nonzero"},
            *_normalised(scheme, values, in_mask),
            {"step": "resample", "interpolation": "cubic"},
        ],
        "windows": _WINDOWS,
    }
    _check_resampling(configuration)
    if axes := _axes(plans):
        imported["axes"] = axes
    network = _network(configuration, len(labels) + 1)
    return Foreign(
        layout="nnU-Net v2",
        about={
            "name": str(plans.get("dataset_name") or dataset.get("name") or folder.name),
            "description": str(dataset.get("description") or ""),
            "data_source": str(dataset.get("reference") or dataset.get("name") or ""),
            "license": str(dataset.get("licence") or dataset.get("license") or ""),
        },
        modality=modality,
        labels=labels,
        network=("PlainConvUNet", network),
        order=order,
        channels="softmax",
        spacing_kji_mm=[spacing[order.index(axis)] for axis in range(3)],
        patch_kji=[int(patch[order.index(axis)]) for axis in range(3)],
        intensity=_intensity(modality, values, scheme),
        imported=imported,
        weights=_checkpoint(folder, given),
        left_out=_left_out(heads=len(network["channels"]) - 1),
        notes=[
            "Without nnU-Net's mirroring at test time, as its option --disable_tta, and of one fold.",
            *([] if axes else ["It sees images along the axes that they are stored in, as it was made to."]),
        ],
    )


def _configuration(plans: dict, name: str) -> dict:
    known = plans.get("configurations")
    if not isinstance(known, dict) or name not in known:
        raise BundleError(
            f"plans.json has no configuration {name}.", "Choose the folder that ends with __3d_fullres."
        )
    found = known[name]
    parents = 0
    while "inherits_from" in found and parents < len(known):
        parents += 1
        parent = known.get(found["inherits_from"], {})
        found = {**parent, **{key: value for key, value in found.items() if key != "inherits_from"}}
    return found


def _labels(dataset: dict) -> list[str]:
    values = {}
    for name, value in dataset["labels"].items():
        if isinstance(value, (list, tuple)):
            raise unmapped(
                f"The region '{name}', a union of labels,", "Train with labels that exclude each other."
            )
        if name != "ignore" and int(value) > 0:
            values[int(value)] = name
    if sorted(values) != list(range(1, len(values) + 1)):
        raise unmapped(f"A set of label values {sorted(values)}")
    return [values[value] for value in sorted(values)]


def _modality(channel: str, scheme: str) -> str:
    if scheme == "CTNormalization" or channel.upper() == "CT":
        return "CT"
    if "MR" in channel.upper() or channel.upper() in ("T1", "T2", "FLAIR"):
        return "MR"
    raise lacking(f"whether its images, '{channel}', are CT or MR", "--modality CT or MR")


def _normalised(scheme: str, values: dict, in_mask: bool) -> list[dict]:
    if scheme == "CTNormalization":
        low, high = values["percentile_00_5"], values["percentile_99_5"]
        given = {"mean": float(values["mean"]), "deviation": max(float(values["std"]), 1e-8)}
        return [
            {"step": "clip", "low": low, "high": high},
            {"step": "standardise", "over": "all", **given},
        ]
    if scheme == "ZScoreNormalization":
        return [{"step": "standardise", "over": "filled" if in_mask else "all"}]
    if scheme == "RescaleTo01Normalization":
        return [{"step": "extent", "to_low": 0.0, "to_high": 1.0}]
    if scheme == "NoNormalization":
        return []
    raise unmapped(f"The normalization {scheme}")


def _intensity(modality: str, values: dict, scheme: str) -> dict:
    if modality == "MR":
        return OF_MR
    if scheme != "CTNormalization":
        return SOFT_TISSUE
    return {"rule": "hu_window", "low": values["percentile_00_5"], "high": values["percentile_99_5"]}


def _check_resampling(configuration: dict) -> None:
    name = configuration.get("resampling_fn_data", "resample_data_or_seg_to_shape")
    arguments = configuration.get("resampling_fn_data_kwargs", {})
    usual = {"is_seg": (False,), "order": (3,), "order_z": (0,), "force_separate_z": (None,)}
    if name != "resample_data_or_seg_to_shape":
        raise unmapped(f"The resampling {name}")
    for key, value in arguments.items():
        if value not in usual.get(key, ()):
            raise unmapped(f"The resampling with {key} = {value}")


def _axes(plans: dict) -> str | None:
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in _READERS:
        raise unmapped(f"The reader {reader}")
    return _READERS[reader]


def _network(configuration: dict, labels: int) -> dict:
    """Arguments of a PlainConvUNet."""
    if "architecture" in configuration:
        kind = configuration["architecture"]["network_class_name"]
        told = dict(configuration["architecture"]["arch_kwargs"])
    else:  # of nnU-Net before 2.4
        kind, kernels = configuration["UNet_class_name"], configuration["conv_kernel_sizes"]
        most, first = configuration["unet_max_num_features"], configuration["UNet_base_num_features"]
        told = {
            "features_per_stage": [min(first * 2**n, most) for n in range(len(kernels))],
            "kernel_sizes": kernels,
            "strides": configuration["pool_op_kernel_sizes"],
            "n_conv_per_stage": configuration["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        }
    if kind.rpartition(".")[2] != "PlainConvUNet":
        raise unmapped(f"The network {kind}", "Only PlainConvUNet can.")
    for key, end in (("conv_op", "Conv3d"), ("norm_op", "InstanceNorm3d"), ("nonlin", "LeakyReLU")):
        if key in told and not str(told[key]).endswith(end):
            raise unmapped(f"A PlainConvUNet with {key} = {told[key]}")
    for key in ("dropout_op", "dropout_op_kwargs", "nonlin_first"):
        if told.get(key):
            raise unmapped(f"A PlainConvUNet with {key} = {told[key]}")
    norm, slope = told.get("norm_op_kwargs") or {}, told.get("nonlin_kwargs") or {}
    if not norm.get("affine", True):
        raise unmapped("A PlainConvUNet without weights of norms")
    channels = [int(one) for one in told["features_per_stage"]]
    return {
        "labels": labels,
        "channels": channels,
        "kernels": [_three(one) for one in told["kernel_sizes"]],
        "strides": [_three(one) for one in told["strides"]],
        "convolutions": _each(told["n_conv_per_stage"], len(channels)),
        "decoder_convolutions": _each(told["n_conv_per_stage_decoder"], len(channels) - 1),
        "bias": bool(told.get("conv_bias", True)),
        "eps": float(norm.get("eps", 1e-5)),
        "slope": float(slope.get("negative_slope", 0.01)),
    }


def _each(count: int | list[int], levels: int) -> list[int]:
    return [count] * levels if isinstance(count, int) else [int(one) for one in count]


def _three(size: int | list[int]) -> list[int]:
    return [size] * 3 if isinstance(size, int) else [int(one) for one in size]


def _checkpoint(folder: Path, given: Given) -> Path:
    folds = sorted(path.name for path in folder.glob("fold_*") if path.is_dir())
    wanted = f"fold_{given.fold}" if given.fold is not None else None
    if wanted is None and len(folds) > 1:
        raise lacking(f"which fold to take of {', '.join(folds)}", "--fold, for instance --fold 0")
    chosen = wanted or (folds[0] if folds else "fold_0")
    for name in _CHECKPOINTS:
        if (folder / chosen / name).is_file():
            return folder / chosen / name
    raise BundleError(
        f"'{folder.name}' has no {chosen}/{_CHECKPOINTS[0]}.",
        f"Folds that are there: {', '.join(folds) or 'none'}.",
    )


def _left_out(heads: int) -> Callable[[str], bool]:
    """Twins under a second name, and heads of deep supervision, which only training needs."""
    head = f"decoder.seg_layers.{heads - 1}."

    def left_out(name: str) -> bool:
        if ".all_modules." in name or name.startswith("decoder.encoder."):
            return True
        return name.startswith("decoder.seg_layers.") and not name.startswith(head)

    return left_out
