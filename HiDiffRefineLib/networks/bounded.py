"""Layers whose streams stay of order one, however deep and however long they are trained.

Pre-norm blocks add to a stream that nothing normalises: its largest activation reached 4e3 in one refiner and
2.6e6 in others, whose bfloat16 gradients were not finite in up to 90 % of the steps. Here every convolution
is followed by a norm, and so is every sum by an activation.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from HiDiffRefineLib.networks.blocks import same_size

GROUPS = 8
# The second norm of a block starts this small: a block begins close to the identity.
BRANCH = 0.2


class Norm(nn.GroupNorm):
    """GroupNorm, written out where it is compiled.

    Statistics of each channel first, then of its group: in channels-last memory both passes read along the
    memory and fuse with the activation that follows, where the library's kernel re-lays the tensor out.
    """

    def __init__(self, channels: int):
        super().__init__(GROUPS, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        variance, mean = torch.var_mean(x.float(), dim=(2, 3, 4), correction=0)
        variance, mean = (each.unflatten(1, (GROUPS, -1)) for each in (variance, mean))
        middle = mean.mean(2, keepdim=True)
        spread = (variance + (mean - middle) ** 2).mean(2, keepdim=True)
        scale = torch.rsqrt(spread + self.eps) * self.weight.view(1, GROUPS, -1)
        shift = self.bias.view(1, GROUPS, -1) - middle * scale
        scale, shift = (each.flatten(1)[:, :, None, None, None] for each in (scale, shift))
        return (x.float() * scale + shift).to(x.dtype)


class Scaled(nn.Sequential):
    """A convolution and a norm: into another width, or to a coarser grid.

    Args:
        stride_kji: of a kernel as large: a padded 3 would shift features by half a voxel.
    """

    def __init__(self, inside: int, outside: int, stride_kji: Sequence[int] = (1, 1, 1)):
        kernel = tuple(stride_kji)
        super().__init__(nn.Conv3d(inside, outside, kernel, stride=kernel, bias=False), Norm(outside))


class PostNormBlock(nn.Module):
    """Two convolutions beside a shortcut, normalised before they meet it; the sum is activated.

    Args:
        channels: a multiple of 8.
        embedding: width of an embedding that scales and shifts between the convolutions (FiLM); 0 for none.
        second_kji: kernel of the second convolution, odd.
    """

    def __init__(self, channels: int, embedding: int = 0, second_kji: Sequence[int] = (3, 3, 3)):
        super().__init__()
        self.conv1, self.norm1 = same_size(channels, channels, (3, 3, 3), bias=False), Norm(channels)
        self.conv2, self.norm2 = same_size(channels, channels, second_kji, bias=False), Norm(channels)
        nn.init.constant_(self.norm2.weight, BRANCH)
        self.film = nn.Linear(embedding, 2 * channels) if embedding else None
        if self.film is not None:
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor | None = None) -> torch.Tensor:
        """(B, channels, k, j, i), with an embedding (B, its width), to the same shape."""
        h = self.norm1(self.conv1(x))
        if self.film is not None:
            scale, shift = self.film(embedding)[:, :, None, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return F.silu(x + self.norm2(self.conv2(F.silu(h))))


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Every voxel as eight. The gradient of trilinear upsampling took a quarter of a training step."""
    b, c, k, j, i = x.shape
    x = x[:, :, :, None, :, None, :, None].expand(b, c, k, 2, j, 2, i, 2)
    return x.reshape(b, c, 2 * k, 2 * j, 2 * i).contiguous(memory_format=torch.channels_last_3d)
