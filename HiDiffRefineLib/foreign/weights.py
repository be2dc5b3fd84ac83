"""Weights that others saved, as tensors by name. Whatever else a file holds is refused or left aside: no code
of a file is run, and no class that it names is made."""

import pickle
import zipfile
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from HiDiffRefineLib.errors import BundleError, is_memory_full

if TYPE_CHECKING:
    import torch

# Under which training programs keep the weights among other things.
_PLACES = ("network_weights", "state_dict", "model", "network", "net", "model_state_dict")
# What wrappers put before every name.
_PREFIXES = ("module.", "_orig_mod.")
_LFS = b"version https://git-lfs"


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    """Tensors by name of a .pt or .pth (torch), .ts (TorchScript) or .safetensors file.

    Raises:
        BundleError: unreadable, without weights, or with more than weights in it.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise BundleError(
                    f"{path.name} is a Git LFS pointer, not the weights.",
                    "Run `git lfs pull` where it came from.",
                )
        return _named_tensors(_content(path), path.name)
    except BundleError:
        raise
    # A file that is damaged or made to harm fails in as many ways as there are layers in torch and zip.
    except Exception as error:
        if is_memory_full(error):
            raise
        why = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise BundleError(
            f"{path.name} can't be read as weights: {why[:200]}.",
            "Save the network's state_dict() with torch.save, or as safetensors.",
        ) from error


def _content(path: Path) -> object:
    if path.suffix == ".safetensors":
        import safetensors.torch

        return safetensors.torch.load_file(path)
    if _is_torchscript(path):
        return _read_torchscript(path)
    import torch

    # nnU-Net's; older versions of torch know no such list, and need none for weights alone.
    logs = torch.serialization.safe_globals(_harmless()) if path.suffix == ".pth" else nullcontext()
    with logs:
        return torch.load(path, map_location="cpu", weights_only=True)


def _harmless() -> list:
    """What nnU-Net's logs beside the weights are made of: numbers of NumPy, of either of its versions."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _named_tensors(content: object, file: str) -> "dict[str, torch.Tensor]":
    import torch

    for _ in range(3):
        place = next((place for place in _PLACES if isinstance(content, dict) and place in content), None)
        if place is None or not isinstance(content[place], dict):
            break
        content = content[place]
    tensors = {}
    if isinstance(content, dict):
        tensors = {str(name): one for name, one in content.items() if isinstance(one, torch.Tensor)}
    if not tensors:
        raise BundleError(
            f"{file} holds no weights by name.", "Save the network's state_dict() with torch.save."
        )
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): one for name, one in tensors.items()}
    return {
        name: (one.float() if one.is_floating_point() else one).contiguous() for name, one in tensors.items()
    }


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_torchscript(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of an archive's modules, by the names that the modules' state_dict would give them.

    `torch.jit.load` would compile and run what the archive holds. This reads its data alone.
    """
    with zipfile.ZipFile(path) as archive:
        name = next(
            name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")
        )
        with archive.open(name) as file:
            return _state_of(_Inert(file, archive, name.removesuffix(".pkl")).load())


class _Record:
    """An object of a class that is not made: its attributes only."""

    def __setstate__(self, state: object) -> None:
        self.state = state


def _state_of(record: object, before: str = "", depth: int = 0) -> "dict[str, torch.Tensor]":
    import torch

    found = {}
    attributes = getattr(record, "state", None)
    if isinstance(record, _Record) and isinstance(attributes, dict) and depth < 100:
        for name, value in attributes.items():
            if isinstance(value, torch.Tensor):
                found[f"{before}{name}"] = value
            else:
                found |= _state_of(value, f"{before}{name}.", depth + 1)
    return found


class _Inert(pickle.Unpickler):
    """Reads the data of a TorchScript archive; knows tensors, lists and records, and no other class."""

    def __init__(self, file, archive: zipfile.ZipFile, folder: str):
        super().__init__(file)
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> object:
        """What stands for a name; refuses what is not of TorchScript's own data."""
        if module.startswith("__torch__"):
            return _Record
        if module == "torch" and name.endswith("Storage"):
            return name
        known = {
            "torch._utils._rebuild_tensor_v2": _tensor,
            "collections.OrderedDict": OrderedDict,
            "torch.jit._pickle.restore_type_tag": lambda value, tag: value,
            "torch.device": lambda *which: None,
        }
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return lambda values: values
        if f"{module}.{name}" not in known:
            raise BundleError(
                f"The TorchScript file holds a '{module}.{name}'.", "Save a state_dict() instead."
            )
        return known[f"{module}.{name}"]

    def persistent_load(self, reference: tuple) -> "torch.Tensor":
        """The flat tensor of a file in the archive."""
        import torch

        kinds = {
            "FloatStorage": torch.float32,
            "HalfStorage": torch.float16,
            "BFloat16Storage": torch.bfloat16,
            "DoubleStorage": torch.float64,
            "LongStorage": torch.int64,
            "IntStorage": torch.int32,
            "BoolStorage": torch.bool,
            "ByteStorage": torch.uint8,
        }
        _, kind, key, *_ = reference
        return torch.frombuffer(bytearray(self.archive.read(f"{self.folder}/{key}")), dtype=kinds[kind])


def _tensor(flat: "torch.Tensor", offset: int, size: tuple, stride: tuple, *_) -> "torch.Tensor":
    return flat.as_strided(size, stride, offset).clone()
