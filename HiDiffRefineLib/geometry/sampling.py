"""Resampling between grids, on any device: the one place where voxels of one grid become those of another."""

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.geometry.grids import Grid


def resample(
    array: torch.Tensor, source: np.ndarray, target: Grid, mode: str = "bilinear", outside: str = "zeros"
) -> torch.Tensor:
    """Values of `array` at the samples of a target grid.

    Args:
        array: (C, k, j, i) float tensor.
        source: 4×4 ijk_to_ras of `array`.
        target: where to sample.
        mode: "bilinear" (trilinear in 3-D) or "nearest".
        outside: "zeros", or "reflection" of the source at its border.

    Returns:
        (C, *target.shape_kji) on the array's device.
    """
    target_to_source = np.linalg.inv(source) @ target.ijk_to_ras
    # Voxel index n of N becomes 2 n / (N - 1) - 1 for grid_sample with aligned corners.
    scale = 2.0 / np.maximum(np.array(array.shape[:0:-1], float) - 1, 1)
    matrix = np.diag([*scale, 1.0]) @ target_to_source
    matrix[:3, 3] -= 1.0
    matrix = torch.as_tensor(matrix[:3], dtype=torch.float32, device=array.device)
    k, j, i = (torch.arange(n, dtype=torch.float32, device=array.device) for n in target.shape_kji)
    coordinates = (
        matrix[:, 0] * i[None, None, :, None]
        + matrix[:, 1] * j[None, :, None, None]
        + matrix[:, 2] * k[:, None, None, None]
        + matrix[:, 3]
    )
    return F.grid_sample(array[None], coordinates[None], mode=mode, padding_mode=outside, align_corners=True)[
        0
    ]


def resample_labelmap(labelmap: np.ndarray, source: np.ndarray, target: Grid) -> np.ndarray:
    """Nearest-neighbour resampling of an integer labelmap (k, j, i) below 2^24; zero outside."""
    tensor = torch.from_numpy(labelmap.astype(np.float32))[None]
    return resample(tensor, source, target, mode="nearest")[0].numpy().astype(labelmap.dtype)
