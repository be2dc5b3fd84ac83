"""A scalar volume: an array with the affine that places it in the patient."""

from dataclasses import dataclass

import numpy as np

from HiDiffRefineLib.geometry.lattice import laid
from HiDiffRefineLib.volumes.nifti_forms import NiftiForms


@dataclass(frozen=True)
class Volume:
    """A 3-D scalar image or labelmap.

    Args:
        array: shape (k, j, i) = (slice, row, column).
        ijk_to_ras: 4×4 float64, from (i, j, k, 1) in voxels to RAS millimetres (voxel centres).
        name: shown to the user; no path.
        modality: DICOM's code, for instance CT or MR; empty where the file does not say.
        forms: both places in the header of a NIfTI file, which files made of it keep.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    name: str = ""
    modality: str = ""
    forms: NiftiForms | None = None

    @property
    def spacing_kji(self) -> np.ndarray:
        """Voxel size in mm along (k, j, i)."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)[::-1]

    def like(self, array: np.ndarray, name: str = "") -> "Volume":
        """Another array (k, j, i) on this volume's grid."""
        return Volume(array, self.ijk_to_ras, name or self.name)


def laid_on(volume: Volume, mask: Volume) -> np.ndarray | None:
    """A mask on the grid of a volume, where its voxels are voxels of it; None where they are not.

    3D Slicer saves a segmentation cropped to its segments: the same voxels in the same places, but fewer.
    Of an empty one it saves a single voxel of no meaning. Other programs flip axes or swap them.

    Returns:
        labels (k, j, i) of the volume's shape, 0 beyond the mask's grid; None also where labels lie outside.
    """
    result = np.zeros(volume.array.shape, mask.array.dtype)
    if mask.array.size == 1 and not mask.array.any():
        return result
    found = laid(mask.array, mask.ijk_to_ras, volume.ijk_to_ras)
    if found is None:
        return None
    array, first = found
    last = first + array.shape
    low, high = np.maximum(first, 0), np.minimum(last, volume.array.shape)
    inside = array[
        tuple(slice(*side) for side in zip(low - first, np.maximum(high, low) - first, strict=True))
    ]
    if np.count_nonzero(inside) != np.count_nonzero(array):
        return None
    if inside.size:
        result[tuple(slice(*side) for side in zip(low, high, strict=True))] = inside
    return result
