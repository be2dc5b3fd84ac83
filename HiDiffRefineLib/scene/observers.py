"""Observers that are all released together, and what a session observes."""

from collections.abc import Callable, Sequence

import vtk

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.scene.hint_nodes import HintNodes

_GO_ON = "What is left is kept: press 'Start' to go on with it."


class Observers:
    """What is being observed."""

    def __init__(self):
        self._tags: list[tuple[object, int]] = []

    def add(self, observed, event: int | str, callback: Callable) -> None:
        """Calls back at each such event of a VTK object, as VTK does: caller, event's name, data if asked."""
        self._tags.append((observed, observed.AddObserver(event, callback)))

    def release(self) -> None:
        """Observes nothing any more, and holds no node either."""
        for observed, number in self._tags:
            observed.RemoveObserver(number)
        self._tags.clear()


def observe_changes(
    observers: Observers, segmentation_node, hint_nodes: HintNodes, changed: Callable
) -> None:
    """Calls back when segments or hints may have changed."""
    segmentation = segmentation_node.GetSegmentation()
    for event in (
        segmentation.SourceRepresentationModified,
        segmentation.SegmentAdded,
        segmentation.SegmentRemoved,
        segmentation.SegmentModified,  # the only one that the editor's undo sends
    ):
        observers.add(segmentation, event, changed)
    strokes = hint_nodes.strokes.GetSegmentation()
    observers.add(strokes, strokes.SourceRepresentationModified, changed)
    for points in (hint_nodes.positive, hint_nodes.negative):
        observers.add(points, points.PointPositionDefinedEvent, changed)
        observers.add(points, points.PointRemovedEvent, changed)


def observe_end(observers: Observers, nodes: Sequence, gone: Callable) -> None:
    """Calls back when the scene closes, one of the nodes is removed, or the image or its place changes.

    Args:
        nodes: volume and segmentation first.
        gone: gets a `SessionError` that says why, None where the scene closes.
    """
    volume_node, segmentation_node, *_ = nodes
    scene = volume_node.GetScene()
    for node in (volume_node, segmentation_node):
        why = SessionError(f"'{node.GetName()}' was moved by a transform: that ended the session.", _GO_ON)
        observers.add(node, node.TransformModifiedEvent, lambda *_, why=why: gone(why))
    why = SessionError(f"'{volume_node.GetName()}' shows another image now: that ended the session.", _GO_ON)
    observers.add(volume_node, volume_node.ImageDataModifiedEvent, lambda *_, why=why: gone(why))
    observers.add(scene, scene.StartCloseEvent, lambda *_: gone(None))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(_scene, _event, node):
        if node in nodes:
            gone(SessionError(f"'{node.GetName()}' was removed: that ended the session.", _GO_ON))

    observers.add(scene, scene.NodeAboutToBeRemovedEvent, removed)
