"""From a volume node to what the library computes with, and a volume node for what it found out."""

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.inference.messages import Doubt
from HiDiffRefineLib.scene.matrices import as_array, as_matrix, to_world
from HiDiffRefineLib.scene.own_nodes import mark_own
from HiDiffRefineLib.volumes.checks import check_grid, check_place
from HiDiffRefineLib.volumes.volume import Volume

DOUBT_NAME = "HiDiffRefine uncertainty"


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
    return Volume(slicer.util.arrayFromVolume(node), ijk_to_world, name, _modality(node))


def show_doubt(doubt: Doubt, volume_node, node=None):
    """An uncertainty map as a volume node: the given one, or a new one, 0 (sure) to 1 (undecided)."""
    if node is None:
        node = volume_node.GetScene().AddNewNodeByClass("vtkMRMLScalarVolumeNode", DOUBT_NAME)
        mark_own(node)
    image = vtk.vtkImageData()
    image.SetDimensions(*doubt.values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(doubt.values.ravel(), deep=True))
    # In the world's RAS, so it needs no parent transform.
    node.SetIJKToRASMatrix(as_matrix(doubt.grid.ijk_to_ras))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()  # before there is an image: Slicer would count its grey values
    node.SetAndObserveImageData(image)
    display.SetWindowLevelMinMax(0, 1)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeIron")
    # What is sure stays clear of colour.
    display.SetThreshold(0.1, 1)
    display.SetApplyThreshold(True)
    return node


def _modality(node) -> str:
    """DICOM's code as the database told it when the volume was loaded; empty where it came from a file."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    return hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
