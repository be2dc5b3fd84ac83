"""From a volume node to what the library computes with."""

import numpy as np
import slicer
import slicer.util
import vtk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.matrices import as_array, to_world
from HiDiffRefineLib.volumes.checks import check_grid, check_place
from HiDiffRefineLib.volumes.volume import Volume


def volume_of(node) -> Volume:
    """A scalar volume node as a volume, in the world's RAS. The voxels are the node's own, not a copy.

    Raises:
        VolumeError: no voxels, more than one component a voxel, a transform that is not linear or that
            shears, or a grid that `check_grid` refuses.
    """
    name = node.GetName() or ""
    image = node.GetImageData()
    if image is None or not image.GetPointData().GetScalars():
        raise VolumeError(f"'{name}' holds no image.", "Load it again, or choose another volume.")
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(
            f"'{name}' has {image.GetNumberOfScalarComponents()} values in each voxel.",
            "Choose a volume of one value a voxel: for colours, one channel; for a sequence, one frame.",
        )
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    check_place(as_array(matrix))
    ijk_to_world = to_world(node) @ as_array(matrix)
    check_place(ijk_to_world)
    spacing = np.linalg.norm(ijk_to_world[:3, :3], axis=0)
    check_grid(image.GetDimensions(), spacing, ijk_to_world[:3, :3] / np.where(spacing > 0, spacing, 1))
    return Volume(slicer.util.arrayFromVolume(node), ijk_to_world, name, modality_of(node))


def modality_of(node) -> str:
    """DICOM's code as the database told it when the volume was loaded; empty where it came from a file."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    return hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
