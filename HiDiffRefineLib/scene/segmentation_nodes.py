"""Segmentation nodes: made for a volume, and what their segments say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import slicer
import vtk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.labelmaps import Box, mask_of
from HiDiffRefineLib.scene.matrices import to_world
from HiDiffRefineLib.volumes.labels import TISSUE, Label
from HiDiffRefineLib.volumes.provenance import NAME, PARAMETERS, TYPE
from HiDiffRefineLib.volumes.seg_nrrd import codes_in, terminology_entry
from HiDiffRefineLib.volumes.volume import Volume

BINARY_LABELMAP = "Binary labelmap"
_Logic = slicer.vtkSlicerSegmentationsModuleLogic


def new_segmentation(volume_node, name: str):
    """An empty segmentation with the geometry of a volume, under the same transform."""
    node = volume_node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    return node


def segment_ids(node) -> list[str]:
    """In the order in which Slicer lists them."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def segment_name(node, segment_id: str) -> str:
    """What the user calls it."""
    return node.GetSegmentation().GetSegment(segment_id).GetName()


def add_segments(node, labels: Sequence[Label]) -> list[str]:
    """Empty segments with names, colours and terminology of a model's labels; their IDs."""
    ids = []
    for label in labels:
        color = [channel / 255 for channel in label.color]
        ids.append(node.GetSegmentation().AddEmptySegment("", label.name, color))
        segment = node.GetSegmentation().GetSegment(ids[-1])
        segment.SetTag(segment.GetTerminologyEntryTagName(), terminology_entry(label))
    return ids


def mark(node, segment_id: str, completed: bool, made: Mapping[str, str] | None = None) -> None:
    """Says in the segment that it is in progress or completed, and how it was made, if that changed.

    Args:
        made: tags, as `provenance.made_here` gives them.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    for tag, value in (made or {}).items():
        segment.SetTag(tag, value)
    _Logic.SetSegmentStatus(segment, _Logic.Completed if completed else _Logic.InProgress)


def label_of(node, segment_id: str, value: int) -> Label:
    """What a segment says of itself; without a tag on how it was made, it was drawn by hand."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    tags = {TYPE: "MANUAL"}
    for name in (segment.GetTerminologyEntryTagName(), TYPE, NAME, PARAMETERS):
        text = vtk.mutable("")
        if segment.GetTag(name, text):
            tags[name] = str(text)
    together = "".join(f"{name}:{text}|" for name, text in tags.items())
    category, kind, modifier, region, region_modifier = codes_in(together)
    color = tuple(round(255 * channel) for channel in segment.GetColor())
    label = Label(value, segment.GetName(), color, category or TISSUE, kind or TISSUE, modifier, together)
    return replace(label, region=region, region_modifier=region_modifier)


def ijk_to_local(node, volume: Volume) -> np.ndarray:
    """4×4 from (i, j, k, 1) of the volume to a segmentation's own RAS, under whatever transform it is."""
    return np.linalg.inv(to_world(node)) @ volume.ijk_to_ras


def segment_mask(node, segment_id: str, volume: Volume) -> tuple[Box, np.ndarray] | None:
    """A segment's voxels; see `labelmaps.mask_of`.

    Raises:
        VolumeError: another geometry than the volume's, or no labelmap.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP:
        raise VolumeError(
            f"'{segment.GetName()}' is a surface, not a labelmap.",
            "In the Segmentations module, under Representations, make 'Binary labelmap' the source.",
        )
    return mask_of(image, segment.GetLabelValue(), ijk_to_local(node, volume), volume.array.shape)


def stamp(node, segment_id: str) -> tuple[int, int] | None:
    """Changes whenever a segment's voxels may have; None if there is no such segment, or nothing in it."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY_LABELMAP) if segment else None
    return (image.GetMTime(), segment.GetLabelValue()) if image else None


def whole_mask(node, segment_id: str, volume: Volume) -> np.ndarray:
    """`segment_mask` on the whole volume, bool (k, j, i)."""
    mask = np.zeros(volume.array.shape, bool)
    found = segment_mask(node, segment_id, volume)
    if found is not None:
        box, part = found
        mask[box] = part
    return mask
