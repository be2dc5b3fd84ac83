"""Writes masks into a segmentation node through the logic of the Segment Editor.

The logic keeps what Slicer promises to users of the editor: labelmaps that segments share. Each write says
which voxels come and which go, and touches no other. To write whole regions, or into the shared labelmap, is
how voxels of neighbouring segments get lost. What may be changed at all is settled before (see `masking`).
"""

import numpy as np
import slicer

from HiDiffRefineLib.geometry.boxes import Box, bounding_box
from HiDiffRefineLib.scene.labelmaps import extent_of, oriented_image


class SegmentWriter:
    """A logic of the Segment Editor on one segmentation, set so that other segments keep their voxels."""

    def __init__(self, segmentation_node, volume_node):
        self.node = segmentation_node
        scene = segmentation_node.GetScene()
        self._settings = scene.AddNode(_settings())
        self._settings.SetAndObserveSegmentationNode(segmentation_node)
        self._settings.SetAndObserveSourceVolumeNode(volume_node)
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(scene)
        self.logic.SetSegmentEditorNode(self._settings)

    def write(
        self, segment_id: str, box: Box, before: np.ndarray, after: np.ndarray, ijk_to_ras: np.ndarray
    ) -> None:
        """Changes a segment, if it is still there, in a box from one mask (bool, k, j, i) to another.

        Args:
            ijk_to_ras: 4×4 of the whole grid, in the segmentation's own RAS.
        """
        if self.node.GetSegmentation().GetSegment(segment_id) is None:
            return
        for flips, mode in (
            (before & ~after, self.logic.ModificationModeRemove),
            (after & ~before, self.logic.ModificationModeAdd),
        ):
            tight = bounding_box(flips)
            if tight is None:
                continue
            inside = tuple(
                slice(b.start + t.start, b.start + t.stop) for b, t in zip(box, tight, strict=True)
            )
            image = oriented_image(flips[tight], inside, ijk_to_ras)
            extent = extent_of(inside)
            self.logic.ModifySegmentByLabelmap(self.node, segment_id, image, mode, extent, False, False)

    def close(self) -> None:
        """Takes the settings out of the scene."""
        if self._settings.GetScene() is not None:
            self._settings.GetScene().RemoveNode(self._settings)


def _settings():
    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetOverwriteMode(node.OverwriteNone)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node
