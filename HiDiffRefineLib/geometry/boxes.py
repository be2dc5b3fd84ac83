"""Boxes of voxels: the part of a grid that a region in space touches."""

import math
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from HiDiffRefineLib.geometry.grids import Grid

Box = tuple[slice, slice, slice]


def object_bounds_ras(mask: np.ndarray, ijk_to_ras: np.ndarray, share: float = 0.999) -> np.ndarray:
    """Box (2, 3) RAS mm around the voxels of a mask, stray ones left out.

    Args:
        mask: (k, j, i) bool, not empty.
        ijk_to_ras: 4×4 of the mask's grid.
        share: part of the voxels that the box must hold along each axis, so that a few islands far away
            don't blow it up.
    """
    ijk = np.argwhere(mask)[:, ::-1]
    points = ijk @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    half_voxel = np.abs(ijk_to_ras[:3, :3]).sum(1) / 2
    tail = (1 - share) / 2
    low, high = np.quantile(points, [tail, 1 - tail], axis=0, method="nearest")
    return np.stack([low - half_voxel, high + half_voxel])


def bounding_box(mask: np.ndarray) -> Box | None:
    """The smallest box that holds a bool mask (k, j, i); None if it is empty."""
    # Whole planes at a time: along rows it takes nine times as long.
    plane = mask.any(axis=0)
    sides = [mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0)]
    if not sides[0].any():
        return None
    ends = [np.flatnonzero(side)[[0, -1]] for side in sides]
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


def voxel_box(grid: Grid, bounds_ras: np.ndarray) -> Box:
    """Slices (k, j, i) of the voxels of `grid` whose centres can lie inside the box (2, 3) in RAS mm."""
    corners = np.array([(*c, 1.0) for c in product(*bounds_ras.T)])
    ijk = (corners @ grid.ras_to_ijk.T)[:, :3]
    low = np.floor(ijk.min(0)).astype(int)[::-1]
    high = np.ceil(ijk.max(0)).astype(int)[::-1] + 1
    low, high = np.clip([low, high], 0, grid.shape_kji)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def slabs(box: Box, voxels: int) -> list[Box]:
    """A box cut across k into boxes of about so many voxels, of one slice at least."""
    k, j, i = box
    step = max(1, voxels // ((j.stop - j.start) * (i.stop - i.start)))
    return [(slice(n, min(n + step, k.stop)), j, i) for n in range(k.start, k.stop, step)]


def whole_box(shape_kji: Sequence[int]) -> Box:
    """All of a grid."""
    return tuple(slice(0, n) for n in shape_kji)


def hull(boxes: Iterable[Box]) -> Box:
    """The smallest box around boxes."""
    sides = zip(*boxes, strict=True)
    return tuple(slice(min(s.start for s in side), max(s.stop for s in side)) for side in map(list, sides))


def voxels_in(box: Box) -> int:
    """How many voxels a box has."""
    return math.prod(side.stop - side.start for side in box)


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have a voxel in common."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def part_of(grid: Grid, box: Box) -> Grid:
    """The grid of a box of voxels of `grid`."""
    ijk_to_ras = grid.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ np.array([s.start for s in box[::-1]], float)
    return Grid(tuple(s.stop - s.start for s in box), ijk_to_ras)
