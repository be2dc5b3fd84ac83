"""Resampling between grids, on any device: the one place where voxels of one grid become those of another."""

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.geometry.boxes import Box, whole_box
from HiDiffRefineLib.geometry.grids import Grid

# Slices of the target sampled at a time: coordinates of a whole CT at once would take gigabytes.
SLAB = 32


def resample(
    array: torch.Tensor,
    source: np.ndarray,
    target: Grid,
    mode: str = "bilinear",
    outside: str = "zeros",
    warp_ras: torch.Tensor | None = None,
    part: Box | None = None,
) -> torch.Tensor:
    """Values of `array` at the samples of a target grid.

    A voxel reaches to its outer edge, half a voxel beyond its centre, as in ITK and 3D Slicer.

    Args:
        array: (C, k, j, i) float tensor.
        source: 4×4 ijk_to_ras of `array`.
        target: where to sample.
        mode: "bilinear" (trilinear in 3-D) or "nearest".
        outside: "zeros", or "reflection" of the source at its border.
        warp_ras: (*target.shape_kji, 3) RAS mm, from each sample to the place where its value is taken.
        part: slices (k, j, i) of the target to sample, with start and stop; None for all. The values are
            those that all of it would have there, to the last bit.

    Returns:
        (C, *target.shape_kji), or of the part's shape, on the array's device.
    """
    # Voxel index n of N becomes 2 n / (N - 1) - 1 for grid_sample with aligned corners.
    sizes = np.maximum(np.array(array.shape[:0:-1], float), 2)
    ras_to_unit = np.diag([*(2 / (sizes - 1)), 1.0]) @ np.linalg.inv(source)
    matrix = ras_to_unit @ target.ijk_to_ras
    matrix[:3, 3] -= 1.0
    matrix = torch.as_tensor(matrix[:3], dtype=torch.float32, device=array.device)
    bend = torch.as_tensor(ras_to_unit[:3, :3].T, dtype=torch.float32, device=array.device)
    edge = torch.as_tensor(sizes / (sizes - 1), dtype=torch.float32, device=array.device)
    part = part or whole_box(target.shape_kji)
    k, j, i = (torch.arange(s.start, s.stop, dtype=torch.float32, device=array.device) for s in part)
    plane = matrix[:, 0] * i[None, :, None] + matrix[:, 1] * j[:, None, None] + matrix[:, 3]
    result = array.new_empty(len(array), len(k), len(j), len(i))
    for start in range(0, len(k), SLAB):
        coordinates = plane + matrix[:, 2] * k[start : start + SLAB, None, None, None]
        if warp_ras is not None:
            coordinates = coordinates + warp_ras[start : start + SLAB] @ bend
        if outside == "zeros":
            coordinates = torch.where(coordinates.abs() <= edge, coordinates.clamp(-1, 1), coordinates)
        result[:, start : start + SLAB] = F.grid_sample(
            array[None], coordinates[None], mode=mode, padding_mode=outside, align_corners=True
        )[0]
    return result


def resample_labelmap(labelmap: np.ndarray, source: np.ndarray, target: Grid) -> np.ndarray:
    """Nearest-neighbour resampling of an integer labelmap (k, j, i) below 2^24; zero outside."""
    tensor = torch.from_numpy(labelmap.astype(np.float32))[None]
    return resample(tensor, source, target, mode="nearest")[0].numpy().astype(labelmap.dtype)
