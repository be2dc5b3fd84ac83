"""Grids in RAS millimetres: a shape (k, j, i) with the affine from (i, j, k, 1) to RAS."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Sample positions in space.

    Args:
        shape_kji: number of samples along (k, j, i).
        ijk_to_ras: 4×4 float64, from (i, j, k, 1) to RAS mm.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    @cached_property
    def ras_to_ijk(self) -> np.ndarray:
        """4×4 float64, from (R, A, S, 1) in mm to (i, j, k, 1)."""
        return np.linalg.inv(self.ijk_to_ras)

    @property
    def spacing_kji(self) -> np.ndarray:
        """Distance between samples in mm along (k, j, i)."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)[::-1]

    @property
    def center_ras(self) -> np.ndarray:
        """RAS mm of the grid's middle."""
        middle_ijk = (np.array(self.shape_kji[::-1]) - 1) / 2
        return self.ijk_to_ras[:3, :3] @ middle_ijk + self.ijk_to_ras[:3, 3]

    def bounds_ras(self) -> np.ndarray:
        """(2, 3) RAS mm: lowest and highest corner of the box that holds every voxel, to its outer edge."""
        i, j, k = (np.array([-0.5, n - 0.5]) for n in self.shape_kji[::-1])
        corners = np.array([(*c, 1.0) for c in product(i, j, k)]) @ self.ijk_to_ras.T
        return np.stack([corners[:, :3].min(0), corners[:, :3].max(0)])


def centered_grid(center_ras: np.ndarray, shape_kji, spacing_kji, linear: np.ndarray | None = None) -> Grid:
    """A grid around a point, its axes along R, A and S.

    Args:
        center_ras: (3,) RAS mm of the grid's middle.
        shape_kji: samples along (k, j, i) = (S, A, R).
        spacing_kji: mm along (k, j, i).
        linear: optional 3×3 applied to the offsets in mm (rotation, scale, flip).
    """
    directions = np.diag(np.asarray(spacing_kji, float)[::-1])
    if linear is not None:
        directions = linear @ directions
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = directions
    middle_ijk = (np.array(shape_kji[::-1]) - 1) / 2
    ijk_to_ras[:3, 3] = np.asarray(center_ras, float) - directions @ middle_ijk
    return Grid(tuple(int(n) for n in shape_kji), ijk_to_ras)


def covering_grid(bounds_ras: np.ndarray, spacing_kji) -> Grid:
    """The grid along R, A, S of a given spacing (mm) that covers the box `bounds_ras` (2, 3)."""
    extent_kji = (bounds_ras[1] - bounds_ras[0])[::-1]
    shape_kji = np.maximum(np.ceil(extent_kji / np.asarray(spacing_kji) - 1e-6), 1).astype(int)
    return centered_grid(bounds_ras.mean(0), shape_kji, spacing_kji)
