"""Masks as they were before their first edit: a line around each, to be compared with what became of it."""

from typing import TYPE_CHECKING

import slicer

from HiDiffRefineLib.scene import segmentation_nodes as segmentations
from HiDiffRefineLib.scene.labelmaps import oriented_image
from HiDiffRefineLib.scene.own_nodes import mark_own

if TYPE_CHECKING:
    from HiDiffRefineLib.scene.scene_session import SceneSession

NAME = "HiDiffRefine before"
WHITE = (1.0, 1.0, 1.0)


class BeforeNode:
    """A segmentation node of a session, which is neither listed nor saved.

    Args:
        session: its segmentation node gets the line of its selected segment, once that is edited.
    """

    def __init__(self, session: "SceneSession"):
        self._session = session
        self._of: dict[str, str] = {}  # IDs in this node, by those in the session's
        self._hidden: str | None = None  # a segment of the session's node, of which the mask before is seen
        self._node = None

    def remember(self) -> None:
        """Keeps the selected segment's mask, if none is kept yet: an edit is about to change it."""
        session = self._session
        segment_id = session.selected
        if segment_id in self._of:
            return
        if self._node is None:
            self._node = new_line_node(session.node, NAME)
        layer = session.session.state.layers[session.session.selected]
        self._of[segment_id] = ""
        if layer.box is not None:
            to_local = segmentations.ijk_to_local(session.node, session.volume)
            image = oriented_image(layer.mask[layer.box], layer.box, to_local)
            name = session.session.selected
            self._of[segment_id] = self._node.AddSegmentFromBinaryLabelmapRepresentation(image, name, WHITE)

    @property
    def there(self) -> bool:
        """Whether the selected segment was edited, so that there is something to compare."""
        return self._session.selected in self._of

    @property
    def compared(self) -> bool:
        """Whether the mask before is seen in the place of the one that is."""
        return self._hidden is not None

    def follow(self) -> None:
        """Shows the line of the selected segment, and no other."""
        if self._hidden not in (None, self._session.selected):
            self.compare(False)
        for segment_id, own_id in self._of.items():
            display = self._node.GetDisplayNode()
            visible = segment_id == self._session.selected
            if own_id and display.GetSegmentVisibility(own_id) != visible:
                display.SetSegmentVisibility(own_id, visible)

    def compare(self, on: bool) -> None:
        """Shows the mask before in the place of the one that is, or the line again."""
        display = self._session.node.GetDisplayNode()
        if on and self.there and not self.compared and self._visible(self._session.selected):
            self._hidden = self._session.selected
            display.SetSegmentVisibility(self._hidden, False)
        elif not on and self.compared:
            segment_id, self._hidden = self._hidden, None
            if self._session.node.GetSegmentation().GetSegment(segment_id) is not None:
                display.SetSegmentVisibility(segment_id, True)
        if self._node is not None:
            own = self._node.GetDisplayNode()
            own.SetOpacity2DFill(display.GetOpacity2DFill())
            own.SetVisibility2DFill(self.compared)

    def _visible(self, segment_id: str) -> bool:
        """Whether a segment is there, and seen."""
        node = self._session.node
        there = node.GetSegmentation().GetSegment(segment_id) is not None
        return there and node.GetDisplayNode().GetSegmentVisibility(segment_id)

    def close(self) -> None:
        """Takes the node out of the scene."""
        scene = self._session.node.GetScene()
        if scene is not None:
            self.compare(False)
        if self._node is not None:
            remove_line_node(self._node)
        self._node = None
        self._of.clear()


def new_line_node(beside, name: str):
    """A segmentation node of lines around segments, in the place of another, neither listed nor saved."""
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    mark_own(node)
    node = beside.GetScene().AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(beside.GetTransformNodeID())
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetVisibility2DFill(False)
    display.SetVisibility3D(False)
    return node


def remove_line_node(node) -> None:
    """Takes it out of the scene, if it is still there."""
    scene = node.GetScene()
    if scene is not None:
        scene.RemoveNode(node.GetDisplayNode())
        scene.RemoveNode(node)
