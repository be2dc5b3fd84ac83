"""The label latent: a mask as a small continuous map on a coarser grid, and how noise enters it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from HiDiffRefineLib.networks.blocks import ResidualBlock, down, same_size

# Steps of the chain; as many as inference takes at most.
STEPS = 4
# A_T. Not 0: the chain starts at sqrt(A_T) E_lab(p_d), which is to say something of the first answer.
LAST_SIGNAL = 0.1


def signal() -> torch.Tensor:
    """A_t for t = 0 … STEPS, float32: linear from 1 to `LAST_SIGNAL`.

    The chain is l_t = sqrt(A_t) l_0 + sqrt(1 - A_t) ε, ε standard normal (DDPM, arXiv 2006.11239, eq. 4).
    """
    return torch.linspace(1, LAST_SIGNAL, STEPS + 1, dtype=torch.float32)


def timesteps(steps: int) -> list[int]:
    """The t of each of 1 … STEPS inference steps, evenly from STEPS down; after the last comes 0."""
    return [round(STEPS * n / steps) for n in range(steps, 0, -1)]


class LabelEncoder(nn.Module):
    """E_lab: class probabilities (B, labels, k, j, i) → latent (B, latent, …) in -1…1.

    Args:
        labels: classes, background included.
        latent: channels.
        width: channels in between.
        stride_kji: from the features' grid to the latent's.
        kernel_kji: odd.
    """

    def __init__(
        self, labels: int, latent: int, width: int, stride_kji: Sequence[int], kernel_kji: Sequence[int]
    ):
        super().__init__()
        self.reduce, self.mix = down(labels, width, stride_kji), same_size(width, latent, kernel_kji)

    def forward(self, probabilities: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return torch.tanh(self.mix(F.silu(self.reduce(probabilities))))


class LabelDecoder(nn.Module):
    """D_lab: latent → class logits (B, labels, k, j, i) on the features' grid; else as `LabelEncoder`."""

    def __init__(
        self, labels: int, latent: int, width: int, stride_kji: Sequence[int], kernel_kji: Sequence[int]
    ):
        super().__init__()
        self.mix = same_size(latent, width, kernel_kji)
        self.enlarge = nn.ConvTranspose3d(width, labels, tuple(stride_kji), tuple(stride_kji))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.enlarge(F.silu(self.mix(latent)))


class Generator(nn.Module):
    """The generative module: noisy latent and guidance → the clean latent (x0-prediction).

    Args:
        latent: channels of the latent. width: of the guidance.
        kernel_kji: odd. embedding: width of the step embedding.
    """

    def __init__(self, latent: int, width: int, kernel_kji: Sequence[int], embedding: int):
        super().__init__()
        self.join = nn.Conv3d(latent + width, width, 1)
        self.block1 = ResidualBlock(width, kernel_kji, embedding)
        self.block2 = ResidualBlock(width, kernel_kji, embedding)
        self.out = same_size(width, latent, kernel_kji)

    def forward(self, latent: torch.Tensor, guidance: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """(B, latent, …), (B, width, …) and the step's embedding (B, …) → (B, latent, …) in -1…1."""
        x = self.join(torch.cat([latent.to(guidance.dtype), guidance], dim=1))
        return torch.tanh(self.out(F.silu(self.block2(self.block1(x, step), step))))
