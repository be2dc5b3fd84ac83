"""Networks by name for segmentors from elsewhere. Only those listed here: a bundle runs no code."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.networks.plain_unet import PlainConvUNet

# Of `monai.networks.nets`: from one image to logits of every class in every voxel.
NAMES = (
    "AttentionUnet",
    "BasicUNet",
    "DynUNet",
    "SegResNet",
    "SegResNetDS",
    "SwinUNETR",
    "UNet",
    "UNETR",
    "VNet",
)
# Arguments of former versions of MONAI that say nothing of the weights.
FORMER = {"SwinUNETR": ("img_size",)}


class Imported(nn.Module):
    """A network behind our order of axes and our channels.

    Args:
        network: (B, 1, *axes) → logits (B, C, *axes).
        order: which of (k, j, i) is each of its axes.
        channels: "softmax", background first, or "sigmoid", each label by itself and no background.
    """

    def __init__(self, network: nn.Module, order: Sequence[int], channels: str):
        super().__init__()
        self.network = network
        self.there = (0, 1, *(2 + axis for axis in order))
        self.back = tuple(self.there.index(axis) for axis in range(5))
        self.channels = channels

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 1, k, j, i) → logits (B, labels, k, j, i), background first.

        Beside a background of logit 0, sigmoids become a softmax in which a label wins where its sigmoid is
        above .5 and above every other's.
        """
        found = self.network(image.permute(self.there)).permute(self.back)
        return nn.functional.pad(found, (0,) * 6 + (1, 0)) if self.channels == "sigmoid" else found


def bare_network(network: str, arguments: dict) -> nn.Module:
    """A new network as its own weights name its parts: one of `NAMES`, or nnU-Net's PlainConvUNet.

    Raises:
        BundleError: another one.
    """
    if network == "PlainConvUNet":
        return PlainConvUNet(**arguments)
    if network not in NAMES:
        raise BundleError(f"The network '{network}' is none that can be used.", f"Known: {', '.join(NAMES)}.")
    import monai.networks.nets as nets  # longer to import than torch, and edits don't need it

    former = FORMER.get(network, ())
    return getattr(nets, network)(**{key: value for key, value in arguments.items() if key not in former})


def without_twins(network: nn.Module) -> nn.Module:
    """A network whose state names every weight once, and none that only training needs."""
    if not hasattr(network, "skip_layers"):
        return network
    # DynUNet registers every block twice; this is its whole forward pass.
    return nn.Sequential(OrderedDict(body=network.skip_layers, head=network.output_block))


def imported(network: str, arguments: dict, order: Sequence[int], channels: str) -> Imported:
    """A network of an imported bundle, see `Imported` and `bare_network`."""
    return Imported(without_twins(bare_network(network, arguments)), order, channels)
