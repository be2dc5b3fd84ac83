"""The segmentor: MONAI's DynUNet (the nnU-Net architecture) with residual blocks and GroupNorm."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def residual_unet(labels: int, channels: Sequence[int], strides: Sequence, in_channels: int = 1) -> nn.Module:
    """A residual U-Net from image to class logits.

    Args:
        labels: number of output channels, background included.
        channels: feature channels of each of at least three levels, multiples of 8.
        strides: stride per level, first 1; an int or (k, j, i).
        in_channels: image channels.

    Returns:
        A network (B, in_channels, k, j, i) → logits (B, labels, k, j, i); sizes divisible by the product
        of the strides.
    """
    from monai.networks.nets import DynUNet  # longer to import than torch, and edits don't need it

    strides = [tuple(s) if isinstance(s, (list, tuple)) else s for s in strides]
    # A level not yet halved along k holds slices far thicker than pixels: its kernels are flat.
    kernels = [(1, 3, 3) if isinstance(s, tuple) and s[0] == 1 else 3 for s in strides[1:]] + [3]
    unet = DynUNet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=labels,
        kernel_size=kernels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=list(channels),
        norm_name=("group", {"num_groups": 8}),
        res_block=True,
        deep_supervision=False,
    )
    # DynUNet registers every block twice, which would double the weight file; this is its whole forward pass.
    return nn.Sequential(OrderedDict(body=unet.skip_layers, head=unet.output_block))
