"""A scalar volume: an array with the affine that places it in the patient."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Volume:
    """A 3-D scalar image or labelmap.

    Args:
        array: shape (k, j, i) = (slice, row, column).
        ijk_to_ras: 4×4 float64, from (i, j, k, 1) in voxels to RAS millimetres (voxel centres).
        name: shown to the user; no path.
        modality: DICOM's code, for instance CT or MR; empty where the file does not say.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    name: str = ""
    modality: str = ""

    @property
    def spacing_kji(self) -> np.ndarray:
        """Voxel size in mm along (k, j, i)."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)[::-1]

    def like(self, array: np.ndarray, name: str = "") -> "Volume":
        """Another array (k, j, i) on this volume's grid."""
        return Volume(array, self.ijk_to_ras, name or self.name)

    def same_grid(self, other: "Volume") -> bool:
        """Whether another volume has the same voxels in the same places, but for rounding (1e-3 mm)."""
        same_shape = self.array.shape == other.array.shape
        return same_shape and np.allclose(self.ijk_to_ras, other.ijk_to_ras, rtol=0, atol=1e-3)
