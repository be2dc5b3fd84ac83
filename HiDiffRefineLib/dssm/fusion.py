"""The Feature Fusion Module: image features and the noisy label latent inform each other."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from HiDiffRefineLib.networks.blocks import ResidualBlock, down, resized


class FeatureFusion(nn.Module):
    """Gated sum of both, channel attention (squeeze and excitation, arXiv 1709.01507), a residual block.

    Guides the generative module and gives label features to the semantic head: the two uses that the paper's
    abstract names. The gate and the rest are ours.

    Args:
        features: channels of the pixel features; also the width here.
        latent: channels of the label latent. labels: classes, background included.
        stride_kji: from the features' grid to the latent's.
        kernel_kji: odd. embedding: width of the step embedding.
    """

    def __init__(
        self,
        features: int,
        latent: int,
        labels: int,
        stride_kji: Sequence[int],
        kernel_kji: Sequence[int],
        embedding: int,
    ):
        super().__init__()
        self.from_pixels = down(features, features, stride_kji)
        self.from_latent = nn.Conv3d(latent, features, 1)
        self.gate = nn.Conv3d(features + latent + labels, features, 1)
        self.film = nn.Linear(embedding, features)
        self.squeeze, self.excite = nn.Linear(features, features // 4), nn.Linear(features // 4, features)
        self.block = ResidualBlock(features, kernel_kji, embedding)
        self.to_head = nn.Conv3d(features, features, 1)
        # Training starts from the head's own answer.
        nn.init.zeros_(self.to_head.weight)
        nn.init.zeros_(self.to_head.bias)

    def forward(
        self, pixels: torch.Tensor, latent: torch.Tensor, given: torch.Tensor, step: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Guidance (B, features, …) on the latent's grid, and label features (B, features, …) on the pixels'.

        Args:
            pixels: (B, features, k, j, i).
            latent: (B, latent, …) on its coarser grid.
            given: (B, labels, k, j, i), the head's probabilities.
            step: (B, embedding).
        """
        image = self.from_pixels(pixels)
        latent, given = latent.to(image.dtype), given.to(image.dtype)
        given = F.adaptive_avg_pool3d(given, image.shape[2:])
        gate = self.gate(torch.cat([image, latent, given], dim=1)) + self.film(step)[:, :, None, None, None]
        gate = torch.sigmoid(gate)
        fused = gate * image + (1 - gate) * self.from_latent(latent)
        attention = torch.sigmoid(self.excite(F.silu(self.squeeze(fused.mean((2, 3, 4))))))
        guidance = self.block(fused * attention[:, :, None, None, None], step)
        return guidance, resized(self.to_head(guidance), pixels)


class PixelGuidance(nn.Module):
    """What guides the generative module where there is no fusion (an ablation): the pixel features alone."""

    def __init__(self, features: int, stride_kji: Sequence[int]):
        super().__init__()
        self.from_pixels = down(features, features, stride_kji)

    def forward(self, pixels, latent, given, step) -> tuple[torch.Tensor, torch.Tensor]:
        """As `FeatureFusion`; the label features are zero."""
        return self.from_pixels(pixels), torch.zeros_like(pixels)
