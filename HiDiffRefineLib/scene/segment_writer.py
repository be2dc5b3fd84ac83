"""Writes masks into a segmentation node through the logic of the Segment Editor.

The logic keeps what Slicer promises to users of the editor: labelmaps that segments share. Each write says
which voxels come and which go, and touches no other. To write whole regions, or into the shared labelmap, is
how voxels of neighbouring segments get lost. What may be changed at all is settled before (see `masking`).

Where segments are shown in 3-D, the logic makes a written segment's surface anew at each write: half a second
for a large organ, at every preview. Here surfaces stay as they are until `update_surfaces`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import slicer

from HiDiffRefineLib.geometry.boxes import Box, bounding_box
from HiDiffRefineLib.scene.labelmaps import extent_of, has_voxels, oriented_image
from HiDiffRefineLib.scene.segmentation_nodes import BINARY_LABELMAP, free_value

SURFACE = "Closed surface"
# Of labelmaps as Slicer makes them.
MOST_VALUE = 255


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
        self._stale: set[str] = set()  # segments whose surfaces are older than their voxels
        self._written_at = 0.0

    def write(
        self, segment_id: str, box: Box, before: np.ndarray, after: np.ndarray, ijk_to_ras: np.ndarray
    ) -> None:
        """Changes a segment, if it is still there, in a box from one mask (bool, k, j, i) to another.

        Args:
            ijk_to_ras: 4×4 of the whole grid, in the segmentation's own RAS.
        """
        if self.node.GetSegmentation().GetSegment(segment_id) is None:
            return
        with self._surface_kept(segment_id):
            self._write(segment_id, box, before, after, ijk_to_ras)

    @property
    def stale_s(self) -> float | None:
        """How long surfaces are older than their voxels, since the last write; None if none is."""
        return time.monotonic() - self._written_at if self._stale else None

    def update_surfaces(self) -> None:
        """Makes the surfaces anew that are older than their voxels, and no others."""
        segmentation = self.node.GetSegmentation()
        segments = [segmentation.GetSegment(segment_id) for segment_id in self._stale]
        self._stale.clear()
        shown = [
            segment for segment in segments if segment is not None and segment.GetRepresentation(SURFACE)
        ]
        for segment in shown:
            segment.RemoveRepresentation(SURFACE)
        if shown:
            segmentation.CreateRepresentation(SURFACE, False)  # where there is none

    def _write(
        self, segment_id: str, box: Box, before: np.ndarray, after: np.ndarray, ijk_to_ras: np.ndarray
    ) -> None:
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
            self._fit_value(segment_id)
            image = oriented_image(flips[tight], inside, ijk_to_ras)
            extent = extent_of(inside)
            self.logic.ModifySegmentByLabelmap(self.node, segment_id, image, mode, extent, False, False)

    def _fit_value(self, segment_id: str) -> None:
        """Gives an empty segment a label value of 8 bits: Slicer loses the first voxels of larger ones."""
        segment = self.node.GetSegmentation().GetSegment(segment_id)
        empty = not has_voxels(segment.GetRepresentation(BINARY_LABELMAP))
        if empty and segment.GetLabelValue() > MOST_VALUE:
            segment.SetLabelValue(free_value(self.node))

    @contextmanager
    def _surface_kept(self, segment_id: str) -> Iterator[None]:
        """Takes a segment's surface from the logic's eyes meanwhile."""
        segment = self.node.GetSegmentation().GetSegment(segment_id)
        surface = segment.GetRepresentation(SURFACE)
        if surface is None:
            yield
            return
        segment.RemoveRepresentation(SURFACE)
        try:
            yield
        finally:
            segment.AddRepresentation(SURFACE, surface)
            self._stale.add(segment_id)
            self._written_at = time.monotonic()

    def close(self) -> None:
        """Takes the settings out of the scene; surfaces are up to date then."""
        scene = self.node.GetScene()
        if scene is not None and not scene.IsClosing():
            self.update_surfaces()
        if self._settings.GetScene() is not None:
            self._settings.GetScene().RemoveNode(self._settings)


def _settings():
    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetOverwriteMode(node.OverwriteNone)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node
