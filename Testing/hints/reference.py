"""What hints cover, told voxel by voxel from the definitions, without regard to cost."""

import numpy as np

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Scribble

# Closer to a border than this, in voxels and mm, either answer is right.
BORDER = 1e-4
SAMPLES = 120


def centers_ras(grid: Grid) -> np.ndarray:
    """(k, j, i, 3) RAS mm of every voxel's centre."""
    kji = np.stack(np.meshgrid(*map(np.arange, grid.shape_kji), indexing="ij"), axis=-1)
    return kji[..., ::-1] @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3]


def as_mask(voxels_kji: np.ndarray, grid: Grid) -> np.ndarray:
    mask = np.zeros(grid.shape_kji, bool)
    mask[tuple(voxels_kji.T)] = True
    return mask


def distance_to_line(points: np.ndarray, scribble: Scribble) -> np.ndarray:
    """(...) mm from points (..., 3) RAS mm to a scribble's line."""
    line = scribble.points_ras
    found = np.linalg.norm(points - line[0], axis=-1)
    for start, end in zip(line[:-1], line[1:], strict=True):
        along = end - start
        share = np.clip(((points - start) @ along) / max(along @ along, 1e-30), 0, 1)
        found = np.minimum(found, np.linalg.norm(points - start - share[..., None] * along, axis=-1))
    return found


def voxels_away(points: np.ndarray, voxels_ras: np.ndarray, ijk_to_ras: np.ndarray) -> np.ndarray:
    """(...) from centres (..., 3) to the nearest of points (n, 3), in voxels along the worst axis."""
    inverse = np.linalg.inv(ijk_to_ras)[:3, :3]
    return np.abs((voxels_ras @ inverse.T)[..., None, :] - points @ inverse.T).max(-1).min(-1)


def covered(hint: Hint, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (k, j, i) that the hint must cover, and those that it may cover."""
    centers = centers_ras(grid)
    if isinstance(hint, Click):
        away = voxels_away(hint.point_ras[None], centers, grid.ijk_to_ras)
        return away < 0.5 - BORDER, away < 0.5 + BORDER
    if isinstance(hint, Scribble):
        distance, radius = distance_to_line(centers, hint), hint.width_mm / 2
        ends = np.stack([hint.points_ras[:-1], hint.points_ras[1:]]) if len(hint.points_ras) > 1 else None
        t = np.linspace(0, 1, SAMPLES)[:, None, None]
        samples = hint.points_ras if ends is None else (ends[0] * (1 - t) + ends[1] * t).reshape(-1, 3)
        away = voxels_away(samples, centers, grid.ijk_to_ras)
        steps = 0 if ends is None else (ends[1] - ends[0]) @ np.linalg.inv(grid.ijk_to_ras)[:3, :3].T
        between = np.abs(steps).max() / (SAMPLES - 1) / 2
        return (
            (distance < radius - BORDER) | (away < 0.5 - BORDER),
            (distance < radius + BORDER) | (away < 0.5 + between + BORDER),
        )
    paint = np.argwhere(hint.mask)[:, ::-1] @ hint.ijk_to_ras[:3, :3].T + hint.ijk_to_ras[:3, 3]
    by_center = voxels_away(paint, centers, hint.ijk_to_ras)
    by_paint = voxels_away(paint, centers, grid.ijk_to_ras)
    away = np.minimum(by_center, by_paint)
    return away < 0.5 - BORDER, away < 0.5 + BORDER
