"""What the refiner and the parts of DSSM are built of."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm: patches are few a batch, and a window must not depend on its neighbours."""
    return nn.GroupNorm(8, channels)


def same_size(inside: int, outside: int, kernel_kji: Sequence[int], bias: bool = True) -> nn.Conv3d:
    """A convolution that keeps the grid; odd kernels."""
    padding = tuple(n // 2 for n in kernel_kji)
    return nn.Conv3d(inside, outside, tuple(kernel_kji), padding=padding, bias=bias)


def down(inside: int, outside: int, stride_kji: Sequence[int]) -> nn.Conv3d:
    """To a coarser grid. A kernel as large as its stride: a padded 3 would shift features by half a voxel."""
    return nn.Conv3d(inside, outside, tuple(stride_kji), stride=tuple(stride_kji))


def resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Trilinear, onto the grid of another tensor that covers the same space."""
    if x.shape[2:] == like.shape[2:]:
        return x
    return F.interpolate(x, size=like.shape[2:], mode="trilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut; an embedding, if given, shifts and scales between them (FiLM).

    Args:
        channels: a multiple of 8.
        kernel_kji: odd.
        embedding: its width; 0 for none.
    """

    def __init__(self, channels: int, kernel_kji: Sequence[int] = (3, 3, 3), embedding: int = 0):
        super().__init__()
        self.norm1, self.norm2 = norm(channels), norm(channels)
        self.conv1 = same_size(channels, channels, kernel_kji)
        self.conv2 = same_size(channels, channels, kernel_kji)
        self.film = nn.Linear(embedding, 2 * channels) if embedding else None
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor | None = None) -> torch.Tensor:
        """(B, channels, k, j, i), with an embedding (B, its width), to the same shape."""
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.film is not None:
            scale, shift = self.film(embedding)[:, :, None, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return x + self.conv2(F.silu(h))
