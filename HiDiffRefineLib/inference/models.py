"""Networks of a bundle, ready to run on a device."""

from copy import deepcopy

import torch
from torch import nn

from HiDiffRefineLib.bundles import Bundle, load_into, load_weights
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.networks.build import build_network


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes a CUDA GPU, then Apple's, then the CPU.

    Raises:
        ConfigError: the device is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in present.items() if there)
    if not present.get(name, False):
        there = ", ".join(kind for kind, yes in present.items() if yes)
        raise ConfigError(f"There is no device '{name}' that torch can use here.", f"Choose auto or {there}.")
    return torch.device(name)


def load_network(bundle: Bundle, key: str, device: torch.device) -> nn.Module:
    """A network of a bundle with its checked weights, in evaluation mode.

    Raises:
        BundleError: weights missing, damaged or not fitting.
    """
    network = build_network(*bundle.network(key))
    load_into(network, load_weights(bundle, key), bundle)
    return network.to(device, memory_format=torch.channels_last_3d).eval()


def copied(network: nn.Module, device: torch.device) -> nn.Module:
    """A network's copy on another device; takes no memory of the one that it lies on, which may be full."""
    tensors = {
        id(one): nn.Parameter(one.detach().to(device, copy=True), one.requires_grad)
        for one in network.parameters()
    }
    tensors |= {id(one): one.to(device, copy=True) for one in network.buffers()}
    return deepcopy(network, tensors)


def autocast(device: torch.device, cache: bool = True) -> torch.autocast:
    """bfloat16 for convolutions where the device computes it natively, else float32.

    Args:
        cache: keep the weights' bfloat16 copies until the outermost context ends.
    """
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        mkldnn = torch.backends.mkldnn.is_available() and device.type == "cpu"
        native = mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native, cache_enabled=cache)
