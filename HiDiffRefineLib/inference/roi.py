"""A region of interest: a cube along R, A and S, in a volume of any orientation."""

from dataclasses import dataclass

import numpy as np

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid

# What a region must hold of a volume along each of its axes, mm: less shows no anatomy.
SMALLEST_MM = 10


@dataclass(frozen=True)
class RegionOfInterest:
    """A cube.

    Args:
        center_ras: R, A, S in mm.
        radius_mm: half the cube's side.
    """

    center_ras: tuple[float, float, float]
    radius_mm: float

    def bounds_ras(self) -> np.ndarray:
        """(2, 3) RAS mm."""
        center = np.array(self.center_ras, float)
        return np.stack([center - self.radius_mm, center + self.radius_mm])

    def box(self, volume: Grid) -> tuple[slice, slice, slice]:
        """Slices (k, j, i) of the voxels of a volume that hold the cube.

        Raises:
            VolumeError: the cube holds too little of the volume.
        """
        box = voxel_box(volume, self.bounds_ras())
        part = part_of(volume, box)
        extent_kji = np.array(part.shape_kji) * part.spacing_kji
        enough = np.minimum(np.array(volume.shape_kji) * volume.spacing_kji, SMALLEST_MM)
        if (extent_kji < enough).any() or not self.holds(part).any():
            low, high = volume.bounds_ras()
            raise VolumeError(
                f"The region around {_point(self.center_ras)} holds too little of the image.",
                f"The image reaches from {_point(low)} to {_point(high)} (R, A, S in mm).",
            )
        return box

    def holds(self, grid: Grid) -> np.ndarray:
        """Which samples of a grid lie in the cube, (k, j, i) bool."""
        indices_kji = np.indices(grid.shape_kji, dtype=np.float32)
        low, high = self.bounds_ras()
        inside = np.ones(grid.shape_kji, bool)
        for axis in range(3):
            row = grid.ijk_to_ras[axis]
            position = sum(row[n] * indices_kji[2 - n] for n in range(3)) + row[3]
            inside &= (position >= low[axis]) & (position <= high[axis])
        return inside


def _point(ras) -> str:
    return "(" + ", ".join(f"{x:.0f}" for x in ras) + ")"
