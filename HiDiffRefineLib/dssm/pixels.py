"""Pixel features: the encoder-decoder in whose output the decision boundaries are learnt."""

from collections.abc import Sequence

import torch
from torch import nn

from HiDiffRefineLib.networks.blocks import ResidualBlock, down, resized


class PixelFeatures(nn.Module):
    """A small U-Net from image to features, at the resolution of its first level.

    Args:
        in_channels: of the image.
        channels: per level, multiples of 8; the first is that of the features.
        strides: (k, j, i) per level; the first leads from the image's grid to the features'.
        kernel_kji: of all levels; flat for 2-D.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernel_kji: Sequence[int],
    ):
        super().__init__()
        # Where the first level keeps the grid, it looks around.
        first = [k if s == 1 else s for k, s in zip(kernel_kji, strides[0], strict=True)]
        padding = tuple(k // 2 if s == 1 else 0 for k, s in zip(kernel_kji, strides[0], strict=True))
        self.stem = nn.Conv3d(in_channels, channels[0], tuple(first), tuple(strides[0]), padding)
        pairs = list(zip(channels[:-1], channels[1:], strict=True))
        self.downs = nn.ModuleList(down(a, b, s) for (a, b), s in zip(pairs, strides[1:], strict=True))
        self.encoders = nn.ModuleList(ResidualBlock(c, kernel_kji) for c in channels)
        self.ups = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairs)
        self.decoders = nn.ModuleList(ResidualBlock(a, kernel_kji) for a, _ in pairs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, k, j, i), sides divisible by the product of the strides → (B, channels[0], …)."""
        x = self.encoders[0](self.stem(image))
        levels = [x]
        for reduce, encode in zip(self.downs, self.encoders[1:], strict=True):
            x = encode(reduce(x))
            levels.append(x)
        for n in reversed(range(len(self.ups))):
            x = self.decoders[n](levels[n] + resized(self.ups[n](x), levels[n]))
        return x
