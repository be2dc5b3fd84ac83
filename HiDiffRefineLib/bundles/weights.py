"""Weights of a bundle: safetensors on disk, ours fp16, checked by SHA-256, float32 in memory.

Nothing is ever unpickled: a safetensors file is a JSON header and raw numbers.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from HiDiffRefineLib.bundles.bundle import Bundle, load_bundle
from HiDiffRefineLib.bundles.schema import METADATA_FILE, check_metadata
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.volumes.new_files import write_whole

if TYPE_CHECKING:
    import torch

_REINSTALL = "Install the bundle again; do not use the file."


def load_weights(bundle: Bundle, key: str, device: "str | torch.device" = "cpu") -> "dict[str, torch.Tensor]":
    """The state dictionary of one network of a bundle.

    The file is read once and the digest is taken of the very bytes that are parsed, so a file that changes
    in between cannot slip through.

    Args:
        bundle: from load_bundle.
        key: "segmentor", "refiner" or "plain_refiner".
        device: where the tensors go.

    Returns:
        tensors by name; floating ones as float32, integer and bool ones as stored.

    Raises:
        BundleError: weights not listed, missing, truncated, changed, outside the bundle or not safetensors.
    """
    import safetensors
    import safetensors.torch

    blob = _read_checked(bundle, key)
    try:
        state = safetensors.torch.load(blob)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise BundleError(
            f"{_file(bundle, key)} of the model bundle '{bundle.name}' is not a safetensors file ({error}).",
            _REINSTALL,
        ) from error
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).to(device)
        for name, tensor in state.items()
    }


def load_into(network: "torch.nn.Module", state: "dict[str, torch.Tensor]", bundle: Bundle) -> None:
    """Puts weights into a network that must fit them exactly.

    Raises:
        BundleError: a tensor is missing, left over or of another shape. The network is then half filled and
            must not be used.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        fault = (str(error).splitlines()[1:] or [str(error)])[0].strip()  # torch lists one fault a line
        kind = type(network).__name__
        raise BundleError(
            f"The weights of the model bundle '{bundle.name}' do not fit its {kind}: {fault}",
            "Use the bundle with the version of HiDiffRefine it was made for, or install it again.",
        ) from error


def write_weights(
    folder: str | Path, key: str, state_dict: "dict[str, torch.Tensor]", half: bool = True
) -> None:
    """Stores a network's weights in a bundle and enters their size and SHA-256 in its metadata.

    A crash between the two writes leaves a file that load_weights refuses, never one it takes by mistake.

    Args:
        folder: the bundle's folder, with a valid metadata.json.
        key: one of the bundle's networks; names the file, models/<key>.safetensors.
        state_dict: tensors by name; integer and bool ones are stored as they are.
        half: floating ones as fp16; if not, as they are.

    Raises:
        BundleError: unknown key, or, of fp16, a value that fp16 cannot hold (NaN, infinite, beyond ±65504).
    """
    import safetensors.torch

    bundle = load_bundle(folder)
    bundle.network(key)
    blob = safetensors.torch.save({name: _stored(name, one, half) for name, one in state_dict.items()})
    file = f"models/{key}.safetensors"
    (bundle.folder / file).parent.mkdir(parents=True, exist_ok=True)
    write_whole(bundle.folder / file, blob)
    entry = {"file": file, "sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}
    update_settings(folder, weights={**bundle.settings["weights"], key: entry})


def update_settings(folder: str | Path, **changes: object) -> Bundle:
    """Changes fields of a bundle's block "hidiffrefine", for instance steps=4, if the result is valid.

    Raises:
        BundleError: the bundle or a new value breaks the schema; the file is then left as it was.
    """
    bundle = load_bundle(folder)
    metadata = {**bundle.metadata, "hidiffrefine": {**bundle.settings, **changes}}
    check_metadata(metadata, bundle.name)
    text = json.dumps(metadata, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(bundle.folder / METADATA_FILE, text.encode("utf-8"))
    return load_bundle(folder)


def _file(bundle: Bundle, key: str) -> str:
    weights = bundle.settings["weights"]
    if key not in weights:
        raise BundleError(
            f"The model bundle '{bundle.name}' carries no weights '{key}'.",
            f"It carries: {', '.join(weights) or 'none yet'}. Train the network, or install the full bundle.",
        )
    return weights[key]["file"]


def _read_checked(bundle: Bundle, key: str) -> bytes:
    file = _file(bundle, key)
    entry = bundle.settings["weights"][key]
    path = (bundle.folder / file).resolve()  # follows links: they may not lead outside either
    if not path.is_relative_to(bundle.folder.resolve()):
        raise BundleError(
            f"{METADATA_FILE} of the model bundle '{bundle.name}' points outside the bundle: {file}.",
            _REINSTALL,
        )
    size = int(entry["bytes"])
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno()).st_size
            blob = stream.read() if found == size else b""
    except OSError as error:
        raise BundleError(
            f"{file} of the model bundle '{bundle.name}' cannot be read: {error.strerror or 'unreadable'}.",
            "Install the bundle again.",
        ) from error
    if found != size:
        if _is_lfs_pointer(path):
            raise BundleError(
                f"{file} of the model bundle '{bundle.name}' is a Git LFS pointer, not the weights.",
                "Run `git lfs pull` in the repository.",
            )
        how = "truncated" if found < size else "longer than it should be"
        raise BundleError(
            f"{file} of the model bundle '{bundle.name}' is {how} ({found} bytes, not {size}).", _REINSTALL
        )
    if hashlib.sha256(blob).hexdigest() != entry["sha256"]:
        raise BundleError(
            f"{file} of the model bundle '{bundle.name}' is not the published file (SHA-256 differs).",
            _REINSTALL,
        )
    return blob


def _is_lfs_pointer(path: Path) -> bool:
    """Whether Git left a few lines of text in place of the file, as it does without Git LFS."""
    with path.open("rb") as stream:
        return stream.read(40).startswith(b"version https://git-lfs")


def _stored(name: str, tensor: "torch.Tensor", half: bool) -> "torch.Tensor":
    # A copy in any case: safetensors refuses tensors that share memory, as tied weights do.
    tensor = tensor.detach().cpu().clone().contiguous()
    if not half or not tensor.is_floating_point():
        return tensor
    found = tensor.half()
    if not found.isfinite().all():
        raise BundleError(
            f"The weights '{name}' hold a value that fp16 cannot store ({tensor.abs().max().item():g}).",
            "Train with weight decay or a lower learning rate: such weights have diverged.",
        )
    return found
