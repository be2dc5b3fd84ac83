"""Masks in boxes of a volume's grid ↔ labelmaps of segments, which lie on the same lattice of voxels."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import Box
from HiDiffRefineLib.scene.matrices import as_array, as_matrix

# A labelmap less than a twentieth of a voxel beside the image's lattice lies on it: files round.
LATTICE_TOLERANCE = 0.05


def oriented_image(mask: np.ndarray, box: Box, ijk_to_ras: np.ndarray) -> slicer.vtkOrientedImageData:
    """A mask (k, j, i) of a box as an image.

    Args:
        ijk_to_ras: 4×4 of the whole grid, in the segmentation's own RAS.
    """
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*extent_of(box))
    image.SetImageToWorldMatrix(as_matrix(ijk_to_ras))
    voxels = np.ascontiguousarray(mask, np.uint8).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR))
    return image


def extent_of(box: Box) -> list[int]:
    """First and last index along i, j and k, as VTK wants it."""
    return [index for side in box[::-1] for index in (side.start, side.stop - 1)]


def mask_of(
    image: slicer.vtkOrientedImageData | None, value: int, ijk_to_ras: np.ndarray, around: Box
) -> tuple[Box, np.ndarray] | None:
    """The voxels of one value, inside a box of a grid.

    Args:
        image: a segment's labelmap, perhaps shared by segments of other values.
        ijk_to_ras: 4×4 of the grid, in the segmentation's own RAS.
        around: slices (k, j, i) of the grid.

    Returns:
        slices (k, j, i) of the grid and the mask there, bool; None if the image does not reach into the box.

    Raises:
        VolumeError: the image has another lattice than the grid.
    """
    if image is None or image.IsEmpty() or not image.GetPointData().GetScalars():
        return None
    extent = np.array(image.GetExtent()).reshape(3, 2)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(np.ptp(extent, axis=1)[::-1] + 1)
    lattice = _lattice(image, ijk_to_ras)
    if lattice is None:
        if not (array == value).any():
            return None  # what was saved empty has lost its geometry
        raise VolumeError(
            "The segmentation has another geometry than the volume.",
            "In the Segment Editor press the cube beside the volume ('Specify geometry'), choose this volume"
            " as source geometry and press OK.",
        )
    turn, shift = lattice
    # Axis n of the grid is axis source[n] of the image, perhaps backwards: Slicer loads a volume with
    # left-handed axes the other way round than its segmentation.
    source = np.abs(turn).argmax(1)
    sign = turn[range(3), source]
    ends = np.sort(sign[:, None] * extent[source] + shift[:, None], axis=1)
    array = array.T.transpose(source)[tuple(slice(None, None, s) for s in sign)].T
    starts, stops = ends[::-1, 0], ends[::-1, 1] + 1
    low = np.maximum(starts, [side.start for side in around])
    high = np.minimum(stops, [side.stop for side in around])
    if (low >= high).any():
        return None
    inside = tuple(slice(a, b) for a, b in zip(low - starts, high - starts, strict=True))
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return box, array[inside] == value


def within(found: tuple[Box, np.ndarray] | None, box: Box) -> np.ndarray:
    """What `mask_of` gave, in another box of the grid; bool of its shape."""
    result = np.zeros([side.stop - side.start for side in box], bool)
    if found is not None:
        paste(result, box, found)
    return result


def paste(part: np.ndarray, box: Box, found: tuple[Box, np.ndarray]) -> None:
    """Puts a mask of one box into that of another, where both boxes overlap."""
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, found[0], strict=True)]
    if all(side.start < side.stop for side in common):
        here, there = (
            tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(common, origin, strict=True))
            for origin in (box, found[0])
        )
        part[here] = found[1][there]


def _lattice(
    image: slicer.vtkOrientedImageData, ijk_to_ras: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """3×3 and (3,), int: indices ijk of the grid are the first times those of the image plus the second.

    None if the voxels of both do not lie on one lattice.
    """
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_grid = np.linalg.inv(ijk_to_ras) @ as_array(matrix)
    rounded = np.round(to_grid)
    size = np.abs(image.GetExtent()).max() + 1
    difference = np.abs(to_grid - rounded)
    # Small turns add up along the image.
    if (
        difference[:3, :3].max() * size + difference[:3, 3].max() > LATTICE_TOLERANCE
        or not (np.abs(rounded[:3, :3]).sum(0) == 1).all()
    ):
        return None
    return rounded[:3, :3].astype(int), rounded[:3, 3].astype(int)
