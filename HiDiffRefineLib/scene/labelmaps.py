"""Masks in boxes of a volume's grid ↔ labelmaps of segments, which lie on the same lattice of voxels."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import Box
from HiDiffRefineLib.geometry.lattice import laid
from HiDiffRefineLib.scene.matrices import as_array, as_matrix


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


def has_voxels(image) -> bool:
    """Whether a segment's representation, if it has any, holds voxels."""
    return image is not None and not image.IsEmpty() and bool(image.GetPointData().GetScalars())


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
        VolumeError: the image has another lattice than the grid, or several values in each voxel.
    """
    if not has_voxels(image):
        return None
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(
            f"A segment's labelmap has {image.GetNumberOfScalarComponents()} values in each voxel.",
            "Load the segmentation from its file again, or remove this segment.",
        )
    extent = np.array(image.GetExtent()).reshape(3, 2)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(np.ptp(extent, axis=1)[::-1] + 1)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_ras = as_array(matrix)
    to_ras[:3, 3] += to_ras[:3, :3] @ extent[:, 0]
    # Slicer loads a volume with left-handed axes the other way round than its segmentation.
    found = laid(array, to_ras, ijk_to_ras)
    if found is None:
        if not (array == value).any():
            return None  # what was saved empty has lost its geometry
        raise VolumeError(
            "The segmentation has another geometry than the volume.",
            "In the Segment Editor press the cube beside the volume ('Specify geometry'), choose this volume"
            " as source geometry and press OK.",
        )
    array, starts = found
    stops = starts + array.shape
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
