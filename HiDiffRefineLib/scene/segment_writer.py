"""Writes masks into a segmentation node through the logic of the Segment Editor.

The logic keeps what Slicer promises to users of the editor: masking, "Modify other segments", labelmaps that
segments share, and its own undo. Each write says which voxels come and which go, and touches no other. To
write whole regions, or into the shared labelmap, is how voxels of neighbouring segments get lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import slicer

from HiDiffRefineLib.scene.labelmaps import Box, extent_of, mask_of, oriented_image
from HiDiffRefineLib.session.blocks import bounding_box


class SegmentWriter:
    """The Segment Editor's logic on one segmentation.

    Args:
        editor_node: the editor's settings; masking is taken from there.
    """

    def __init__(self, editor_node, segmentation_node, volume_node):
        self.editor_node = editor_node
        self.node = segmentation_node
        editor_node.SetAndObserveSegmentationNode(segmentation_node)
        editor_node.SetAndObserveSourceVolumeNode(volume_node)
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(segmentation_node.GetScene())
        self.logic.SetSegmentEditorNode(editor_node)
        # Steps of the session that the logic's own history knows: taken back there, they keep in step.
        self.saved = False  # for the edit that goes on
        self._done: list = []
        self._undone: list = []

    def write(
        self, segment_id: str, box: Box, before: np.ndarray, after: np.ndarray, ijk_to_ras: np.ndarray
    ) -> None:
        """Changes a segment in a box from one mask (bool, k, j, i, the box's shape) to another.

        Args:
            ijk_to_ras: 4×4 of the whole grid, in the segmentation's own RAS.
        """
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

    def save_state(self) -> None:
        """Before an edit first changes something: the logic remembers all segments as they are."""
        self.logic.SaveStateForUndo()
        self.saved = True
        self._undone.clear()

    def edited(self, step) -> None:
        """After it: which step of the session it was."""
        if self.saved:
            self._done.append(step)
        self.saved = False

    def forget_states(self) -> None:
        """After a change that the logic's history knows nothing of, which it would take back too."""
        self.logic.ClearUndoState()
        self.saved = False
        self._done.clear()
        self._undone.clear()

    def undo(self, step) -> None:
        """Takes a step of the session back, if the logic knows it."""
        if self._done and self._done[-1] is step and self.logic.CanUndo():
            self.logic.Undo()
            self.undone(step)

    def redo(self, step) -> None:
        """Does a step again, if the logic took it back."""
        if self._undone and self._undone[-1] is step and self.logic.CanRedo():
            self.logic.Redo()
            self.redone(step)

    def undone(self, step) -> None:
        """Keeps count of a step that the logic took back, for us or for the user."""
        if self._done and self._done[-1] is step:
            self._undone.append(self._done.pop())

    def redone(self, step) -> None:
        """Keeps count of a step that the logic did again."""
        if self._undone and self._undone[-1] is step:
            self._done.append(self._undone.pop())

    @contextmanager
    def unmasked(self) -> Iterator[None]:
        """Writes go wherever they must, and other segments keep their voxels even there.

        For what was in the scene before: undo must bring back what a mask has been laid over since.
        """
        node = self.editor_node
        before = node.GetMaskMode(), node.GetSourceVolumeIntensityMask(), node.GetOverwriteMode()
        node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        node.SourceVolumeIntensityMaskOff()
        node.SetOverwriteMode(node.OverwriteNone)
        try:
            yield
        finally:
            node.SetMaskMode(before[0])
            node.SetSourceVolumeIntensityMask(before[1])
            node.SetOverwriteMode(before[2])

    def masked(self, array: np.ndarray, ijk_to_ras: np.ndarray) -> np.ndarray | None:
        """Voxels (k, j, i) that the editor's masking keeps from being changed; None if it keeps none.

        Args:
            array: the volume's voxels.
            ijk_to_ras: 4×4 of its grid, in the segmentation's own RAS.
        """
        node, masked = self.editor_node, None
        if node.GetMaskMode() != slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere:
            self.logic.UpdateReferenceGeometryImage()
            self.logic.ResetModifierLabelmapToDefault()
            self.logic.UpdateMaskLabelmap()
            masked = np.zeros(array.shape, bool)
            box, part = mask_of(self.logic.GetMaskLabelmap(), 1, ijk_to_ras, array.shape)
            masked[box] = part
        if node.GetSourceVolumeIntensityMask():
            low, high = node.GetSourceVolumeIntensityMaskRange()
            outside = (array < low) | (array > high)
            masked = outside if masked is None else masked | outside
        return masked
