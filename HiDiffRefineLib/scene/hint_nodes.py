"""The nodes on which the user places hints: two point lists, and a segmentation for strokes.

They are saved with the scene. A point's description names its segment and its place in time; a point without
one is new. Strokes have two segments, + and −, for each segment that they speak of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Painted, bounds_ras
from HiDiffRefineLib.hints.naming import (
    LIST,
    SIGNS,
    list_name,
    point_description,
    point_told,
    stroke_id,
    stroke_owner,
)
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.scene.labelmaps import oriented_image
from HiDiffRefineLib.scene.own_nodes import mark_own
from HiDiffRefineLib.scene.segmentation_nodes import count_voxels, ijk_to_local, segment_ids, segment_mask
from HiDiffRefineLib.volumes.volume import Volume

# Unlike the colours of organs and of uncertainty. Those who see them alike have the signs.
COLORS = {True: (0.0, 0.75, 1.0), False: (1.0, 0.2, 0.9)}
GLYPHS = {
    True: slicer.vtkMRMLMarkupsDisplayNode.ThickCross2D,
    False: slicer.vtkMRMLMarkupsDisplayNode.Dash2D,
}
# By which a segmentation refers to its hints, in saved scenes too.
ROLES = ("HiDiffRefine.positive", "HiDiffRefine.negative", "HiDiffRefine.strokes")


@dataclass(frozen=True)
class HintNodes:
    """Positive and negative points (vtkMRMLMarkupsFiducialNode), and strokes (vtkMRMLSegmentationNode)."""

    positive: object
    negative: object
    strokes: object

    def __iter__(self):
        return iter((self.positive, self.negative, self.strokes))


def hint_nodes_of(segmentation_node) -> HintNodes | None:
    """The hint nodes that were made for a segmentation; None if one of them is missing."""
    nodes = [segmentation_node.GetNodeReference(role) for role in ROLES]
    return None if None in nodes else HintNodes(*nodes)


def new_hint_nodes(volume_node, segmentation_node) -> HintNodes:
    """Empty hint nodes for a segmentation of a volume, under the volume's transform."""
    scene = volume_node.GetScene()
    points = [
        scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", list_name(positive))
        for positive in (True, False)
    ]
    strokes = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{LIST} strokes")
    for node in (*points, strokes):
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    mark_own(strokes)
    # After the transform: Slicer takes the difference of both nodes' transforms into the geometry.
    strokes.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for node, positive in zip(points, (True, False), strict=True):
        display = node.GetDisplayNode()
        display.SetSelectedColor(COLORS[positive])
        display.SetActiveColor(COLORS[positive])
        display.SetGlyphType(GLYPHS[positive])
        display.SetGlyphScale(4.0)
        display.SetPointLabelsVisibility(False)
    for role, node in zip(ROLES, (*points, strokes), strict=True):
        segmentation_node.SetNodeReferenceID(role, node.GetID())
    return HintNodes(*points, strokes)


def reopen(nodes: HintNodes, volume_node) -> None:
    """Takes the nodes along to where the volume is now, and makes strokes possible on those from a file.

    What was saved empty has lost its geometry there.
    """
    for node in nodes:
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    nodes.strokes.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for name in segment_ids(nodes.strokes):
        if not count_voxels(nodes.strokes, name):
            nodes.strokes.GetSegmentation().RemoveSegment(name)


def make_room(nodes: HintNodes, segment_id: str) -> None:
    """Segments for strokes on a segment, where there are none yet."""
    segmentation = nodes.strokes.GetSegmentation()
    for positive in (True, False):
        if segmentation.GetSegment(stroke_id(segment_id, positive)) is None:
            name = f"{SIGNS[positive]} stroke"
            segmentation.AddEmptySegment(stroke_id(segment_id, positive), name, COLORS[positive])


def new_hints(nodes: HintNodes, segment_id: str, known: Iterable[Hint], volume: Volume) -> list[Hint]:
    """What the user has placed since: points without a description of ours, and paint beyond the known.

    Args:
        known: the segment's hints so far, in order of time.
    """
    hints: list[Hint] = []
    for positive, node in ((True, nodes.positive), (False, nodes.negative)):
        for n in _defined(node):
            if _told(node, n) is None:
                hints.append(Click(_world(node, n), positive))
    painted = [hint for hint in known if isinstance(hint, Painted)]
    for positive in (True, False):
        paint = _paint(nodes, segment_id, positive, volume)
        if paint is not None:
            mask, grid = paint
            mask = mask & (hint_labels(painted, grid) != (1 if positive else -1))
            if mask.any():
                hints.append(Painted(mask, grid.ijk_to_ras, positive))
    return hints


def removed_hints(nodes: HintNodes, segment_id: str, known: Sequence[Hint]) -> list[int]:
    """Places in a segment's list of clicks whose points the user has deleted since `show_hints`."""
    there = {
        node.GetNthControlPointDescription(n)
        for node in (nodes.positive, nodes.negative)
        for n in _defined(node)
    }
    clicks = [n for n, hint in enumerate(known) if isinstance(hint, Click)]
    return [n for n in clicks if point_description(n, segment_id) not in there]


def drop_new_points(nodes: HintNodes) -> None:
    """Removes points that no hint has come of."""
    for node in (nodes.positive, nodes.negative):
        for n in reversed(_defined(node)):
            if _told(node, n) is None:
                node.RemoveNthControlPoint(n)


def saved_hints(nodes: HintNodes, segment_id: str, volume: Volume) -> list[Hint]:
    """A segment's hints from an earlier session: strokes, then points in order of time."""
    hints: list[Hint] = []
    for positive in (True, False):
        paint = _paint(nodes, segment_id, positive, volume)
        if paint is not None and paint[0].any():
            hints.append(Painted(paint[0], paint[1].ijk_to_ras, positive))
    points = []
    for positive, node in ((True, nodes.positive), (False, nodes.negative)):
        for n in _defined(node):
            told = _told(node, n)
            if told and told[1] == segment_id:
                points.append((told[0], Click(_world(node, n), positive)))
    return hints + [click for _, click in sorted(points, key=lambda point: point[0])]


def show_hints(
    nodes: HintNodes, hints: Mapping[str, Iterable[Hint]], selected: str | None, volume: Volume
) -> None:
    """Makes the nodes show these hints and no others, but for points that are new.

    Args:
        hints: by segment ID, in order of time.
        selected: the segment whose hints are visible.
    """
    points = {True: nodes.positive, False: nodes.negative}
    wanted = {True: [], False: []}
    for segment_id, told in hints.items():
        for number, hint in enumerate(told):
            if isinstance(hint, Click):
                visible = segment_id == selected
                point = (point_description(number, segment_id), tuple(hint.point_ras), visible)
                wanted[hint.positive].append(point)
        _show_strokes(nodes, segment_id, [hint for hint in told if isinstance(hint, Painted)], volume)
    for positive, node in points.items():
        _show_points(node, wanted[positive])
    display = nodes.strokes.GetDisplayNode()
    for name in segment_ids(nodes.strokes):
        display.SetSegmentVisibility(name, stroke_owner(name) == selected)


def _show_points(node, wanted: list[tuple[str, tuple, bool]]) -> None:
    taken = [n for n in _defined(node) if _told(node, n)]
    there = [
        (
            node.GetNthControlPointDescription(n),
            tuple(_world(node, n)),
            bool(node.GetNthControlPointVisibility(n)),
        )
        for n in taken
    ]
    if there == wanted:
        return
    # Not all at once: while the user places points, Slicer keeps one without a position as a preview.
    for n in reversed(taken):
        node.RemoveNthControlPoint(n)
    for description, point, visible in wanted:
        n = node.AddControlPointWorld(vtk.vtkVector3d(*point))
        node.SetNthControlPointDescription(n, description)
        node.SetNthControlPointVisibility(n, visible)
        # A hint stays where it was meant: undo takes it back.
        node.SetNthControlPointLocked(n, True)


def _show_strokes(nodes: HintNodes, segment_id: str, painted: list[Painted], volume: Volume) -> None:
    grid = Grid(volume.array.shape, volume.ijk_to_ras)
    for positive in (True, False):
        paint = _paint(nodes, segment_id, positive, volume)
        corners = [bounds_ras(hint) for hint in painted]
        if paint is not None and paint[0].any():
            corners.append(paint[1].bounds_ras())
        if not corners:
            continue
        make_room(nodes, segment_id)
        # Only there: a whole CT would take a tenth of a second.
        box = voxel_box(grid, np.stack([np.min(corners, (0, 1)), np.max(corners, (0, 1))]))
        mask = hint_labels(painted, part_of(grid, box)) == (1 if positive else -1)
        image = oriented_image(mask, box, ijk_to_local(nodes.strokes, volume))
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.SetBinaryLabelmapToSegment(
            image, nodes.strokes, stroke_id(segment_id, positive), logic.MODE_REPLACE
        )


def _paint(
    nodes: HintNodes, segment_id: str, positive: bool, volume: Volume
) -> tuple[np.ndarray, Grid] | None:
    name = stroke_id(segment_id, positive)
    if nodes.strokes.GetSegmentation().GetSegment(name) is None:
        return None
    found = segment_mask(nodes.strokes, name, volume)
    if found is None:
        return None
    box, mask = found
    return mask, part_of(Grid(volume.array.shape, volume.ijk_to_ras), box)


def _defined(node) -> list[int]:
    defined = slicer.vtkMRMLMarkupsNode.PositionDefined
    count = node.GetNumberOfControlPoints()
    return [n for n in range(count) if node.GetNthControlPointPositionStatus(n) == defined]


def _told(node, n: int) -> tuple[int, str] | None:
    return point_told(node.GetNthControlPointDescription(n) or "")


def _world(node, n: int) -> list[float]:
    point = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(n, point)
    return point
