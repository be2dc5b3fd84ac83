"""A table node of how large segments are; Slicer shows it, saves it with the scene and writes it as CSV."""

from collections.abc import Generator

import numpy as np
import vtk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.segmentation_nodes import mask_slabs, segment_ids, segment_name
from HiDiffRefineLib.scene.volume_nodes import volume_of
from HiDiffRefineLib.volumes.volume_table import cut_values, millilitres_per_voxel, volume_text

# By which a segmentation refers to its table, in saved scenes too.
ROLE = "HiDiffRefine.volumes"
COLUMNS = {"segment": vtk.vtkStringArray, "voxels": vtk.vtkIntArray, "ml": vtk.vtkDoubleArray}
COLUMNS |= {"volume": vtk.vtkStringArray, "cut": vtk.vtkStringArray}  # as a user reads it


def measured(segmentation_node, volume_node) -> Generator[None, None, object]:
    """A row for each segment in the segmentation's table, which is made where there is none.

    None comes now and then: the user interface may look at its user meanwhile.

    Returns:
        vtkMRMLTableNode.

    Raises:
        VolumeError: no segment, or one that is no labelmap on the volume's voxels.
    """
    volume = volume_of(volume_node)
    size, rows = millilitres_per_voxel(volume.ijk_to_ras), []
    for segment_id in segment_ids(segmentation_node):
        voxels, cut = 0, False
        for box, mask in mask_slabs(segmentation_node, segment_id, volume):
            voxels += np.count_nonzero(mask)
            cut = cut or bool(cut_values(mask, box, volume.array.shape))
            yield
        name, ml = segment_name(segmentation_node, segment_id), voxels * size
        rows.append((name, voxels, ml, volume_text(ml, cut), "yes" if cut else ""))
    if not rows:
        raise VolumeError("There is no segment to measure yet.", "Make one first, steps 2 and 3.")
    table = vtk.vtkTable()
    for (name, kind), values in zip(COLUMNS.items(), zip(*rows, strict=True), strict=True):
        column = kind()
        column.SetName(name)
        for value in values:
            column.InsertNextValue(value)
        table.AddColumn(column)
    node = _table_of(segmentation_node)
    node.SetAndObserveTable(table)
    return node


def _table_of(segmentation_node):
    node = segmentation_node.GetNodeReference(ROLE)
    if node is None:
        name = f"{segmentation_node.GetName()} volumes"
        node = segmentation_node.GetScene().AddNewNodeByClass("vtkMRMLTableNode", name)
        segmentation_node.SetNodeReferenceID(ROLE, node.GetID())
    return node
