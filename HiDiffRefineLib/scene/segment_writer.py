"""Writes masks into a segmentation node through the logic of the Segment Editor.

The logic keeps what Slicer promises to users of the editor: labelmaps that segments share, and undo. Each
write says which voxels come and which go, and touches no other. To write whole regions, or into the shared
labelmap, is how voxels of neighbouring segments get lost. What may be changed at all is settled before (see
`masking`).
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
        # Steps of the session that the logic's own history knows: taken back there, they keep in step.
        self.saved = False  # for the edit that goes on
        self._done: list = []
        self._undone: list = []

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

    def changed(self, step, to) -> None:
        """After more or less was taken of it: the step of the session that is now in its place."""
        if self._done and self._done[-1] is step:
            self._done[-1] = to
            self._undone.clear()
        else:
            self.forget_states()

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
