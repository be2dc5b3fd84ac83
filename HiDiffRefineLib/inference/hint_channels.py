"""Hints as the refiner sees them: four channels on a region's grid."""

from collections.abc import Sequence

import torch

# Channels: positive clicks, negative clicks, positive scribbles, negative scribbles.
HINT_CHANNELS = 4
POSITIVE_CLICK, NEGATIVE_CLICK, POSITIVE_SCRIBBLE, NEGATIVE_SCRIBBLE = range(HINT_CHANNELS)
# A click spreads as a Gaussian of this width in voxels (k, j, i): one voxel in 442 368 is easily overlooked.
CLICK_SIGMA_KJI = (1.0, 2.0, 2.0)


def bump(shape_kji: Sequence[int], center_kji: torch.Tensor, sigma_kji: Sequence[float]) -> torch.Tensor:
    """Gaussians of height 1 around one point a sample.

    Args:
        shape_kji: voxels.
        center_kji: (B, 3), in voxels.
        sigma_kji: widths in voxels.

    Returns:
        float32 (B, *shape_kji).
    """
    k, j, i = (
        torch.exp(-0.5 * ((torch.arange(size, device=center_kji.device) - center[:, None]) / sigma) ** 2)
        for size, center, sigma in zip(shape_kji, center_kji.T, sigma_kji, strict=True)
    )
    return k[:, :, None, None] * j[:, None, :, None] * i[:, None, None, :]
