"""Writes masks into a segmentation node through the logics of the Segment Editor and of segmentations.

These keep what Slicer promises to users of the editor: labelmaps that segments share. Each write says which
voxels come and which go, and touches no other; a large one, that of the whole segment as the node has it but
for those. To write whole regions, or into the shared labelmap, is how voxels of neighbouring segments get
lost. What may be changed at all is settled before (see `masking`).

Where segments are shown in 3-D, the logic makes a written segment's surface anew at each write: half a second
for a large organ, at every preview. Here surfaces stay as they are until `update_surfaces`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import slicer

from HiDiffRefineLib.geometry.boxes import Box, bounding_box, hull, voxels_in
from HiDiffRefineLib.scene.labelmaps import extent_of, has_voxels, mask_of, oriented_image, within
from HiDiffRefineLib.scene.segmentation_nodes import BINARY_LABELMAP, free_value

SURFACE = "Closed surface"
# Of labelmaps as Slicer makes them.
MOST_VALUE = 255
# Slicer takes so many times as long to remove a voxel's worth of box, or to add it, as to replace it. A large
# change, of 5 million voxels, would keep the user waiting for .1 s.
SLOWER_TO_REMOVE, SLOWER_TO_ADD = 4.0, 1.5
EVERYWHERE = (slice(-(2**30), 2**30),) * 3
_Logic = slicer.vtkSlicerSegmentationsModuleLogic


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
        changed = before != after
        gone, come = _part(changed & before, box), _part(changed & after, box)
        if gone is None and come is None:
            return
        self._fit_value(segment_id)
        there = self._mask(segment_id, ijk_to_ras)
        whole = box if there is None else hull([box, there[0]])
        if _work(gone, SLOWER_TO_REMOVE) + _work(come, SLOWER_TO_ADD) > voxels_in(whole):
            mask = within(there, whole)
            here = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, whole, strict=True))
            np.copyto(mask[here], after, where=changed)
            image = oriented_image(mask, whole, ijk_to_ras)
            _Logic.SetBinaryLabelmapToSegment(image, self.node, segment_id, _Logic.MODE_REPLACE)
            return
        modes = self.logic.ModificationModeRemove, self.logic.ModificationModeAdd
        for part, mode in zip((gone, come), modes, strict=True):
            if part is not None:
                image, extent = oriented_image(part[1], part[0], ijk_to_ras), extent_of(part[0])
                self.logic.ModifySegmentByLabelmap(self.node, segment_id, image, mode, extent, False, False)

    def _mask(self, segment_id: str, ijk_to_ras: np.ndarray) -> tuple[Box, np.ndarray] | None:
        """What the node shows of a segment, wherever it is; see `labelmaps.mask_of`."""
        segment = self.node.GetSegmentation().GetSegment(segment_id)
        image = segment.GetRepresentation(BINARY_LABELMAP)
        return mask_of(image, segment.GetLabelValue(), ijk_to_ras, EVERYWHERE)

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


def _part(flips: np.ndarray, box: Box) -> tuple[Box, np.ndarray] | None:
    """What flips in a box, in the smallest one around it; None if nothing does."""
    tight = bounding_box(flips)
    if tight is None:
        return None
    inside = (slice(b.start + t.start, b.start + t.stop) for b, t in zip(box, tight, strict=True))
    return tuple(inside), flips[tight]


def _work(part: tuple[Box, np.ndarray] | None, slower: float) -> float:
    return 0.0 if part is None else slower * voxels_in(part[0])


def _settings():
    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetOverwriteMode(node.OverwriteNone)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node
