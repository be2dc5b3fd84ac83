"""Segmentation nodes: made for a volume, and what their segments say."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import Box, slabs, whole_box
from HiDiffRefineLib.scene.labelmaps import has_voxels, mask_of, within
from HiDiffRefineLib.scene.matrices import to_world
from HiDiffRefineLib.volumes.labels import TISSUE, Label
from HiDiffRefineLib.volumes.provenance import NAME, PARAMETERS, TYPE, VOXELS, parameters_in
from HiDiffRefineLib.volumes.seg_nrrd import codes_in, legible, terminology_entry
from HiDiffRefineLib.volumes.volume import Volume

# At a time, in a few milliseconds: the user interface waits meanwhile.
_READ_VOXELS = 8_000_000
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
    """What the user calls it; empty where it has no name."""
    return legible(node.GetSegmentation().GetSegment(segment_id).GetName() or "")


def add_segment(node, name: str, label: Label | None, segment_id: str = "") -> str:
    """An empty segment, with the colour and terminology of a model's label if it is one; its ID."""
    segmentation = node.GetSegmentation()
    if label is None:
        segment_id = segmentation.AddEmptySegment(segment_id, name)
    else:
        color = [channel / 255 for channel in label.color]
        segment_id = segmentation.AddEmptySegment(segment_id, name, color)
        segment = segmentation.GetSegment(segment_id)
        segment.SetTag(segment.GetTerminologyEntryTagName(), terminology_entry(label))
    # Slicer takes a value that no segment has, but voxels may: of values that their file names nowhere.
    if count_voxels(node, segment_id):
        segment = segmentation.GetSegment(segment_id)
        voxels = segment.GetRepresentation(BINARY_LABELMAP).GetPointData().GetScalars()
        segment.SetLabelValue(free_value(node, np.unique(vtk_to_numpy(voxels)).tolist()))
    return segment_id


def free_value(node, others: Iterable[int] = ()) -> int:
    """The least label value that no segment has, and that is none of `others`."""
    segmentation = node.GetSegmentation()
    taken = {segmentation.GetSegment(one).GetLabelValue() for one in segment_ids(node)}.union(others)
    return next(value for value in count(1) if value not in taken)


def mark(node, segment_id: str, completed: bool, made: Mapping[str, str] | None = None) -> None:
    """Says in the segment, if it is still there, that it is in progress or completed, and how it was made.

    Args:
        made: tags, as `provenance.made_here` gives them; None if that did not change.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        return
    for tag, value in (made or {}).items():
        segment.SetTag(tag, value)
    _Logic.SetSegmentStatus(segment, _Logic.Completed if completed else _Logic.InProgress)


def label_of(node, segment_id: str, value: int) -> Label:
    """What a segment says of itself; without a tag on how it was made, it was drawn by hand.

    Made by a model alone, but of another number of voxels since: a user had a part in it.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    tags = {TYPE: "MANUAL"}
    for name in (segment.GetTerminologyEntryTagName(), TYPE, NAME, PARAMETERS):
        text = vtk.mutable("")
        if segment.GetTag(name, text):
            tags[name] = legible(str(text))
    voxels = parameters_in(tags).get(VOXELS)
    if tags[TYPE] == "AUTOMATIC" and voxels not in (None, str(count_voxels(node, segment_id))):
        tags[TYPE] = "SEMIAUTOMATIC"
    together = "".join(f"{name}:{text}|" for name, text in tags.items())
    category, kind, modifier, region, region_modifier = codes_in(together)
    color = tuple(round(255 * channel) for channel in segment.GetColor())
    label = Label(
        value, segment_name(node, segment_id), color, category or TISSUE, kind or TISSUE, modifier, together
    )
    return replace(label, region=region, region_modifier=region_modifier)


def ijk_to_local(node, volume: Volume) -> np.ndarray:
    """4×4 from (i, j, k, 1) of the volume to a segmentation's own RAS, under whatever transform it is."""
    return np.linalg.inv(to_world(node)) @ volume.ijk_to_ras


def segment_mask(
    node, segment_id: str, volume: Volume, box: Box | None = None
) -> tuple[Box, np.ndarray] | None:
    """A segment's voxels in a box of the volume, or all; see `labelmaps.mask_of`. None if it is gone.

    Raises:
        VolumeError: another geometry than the volume's, no labelmap, or an impossible label value.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        return None
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP:
        raise VolumeError(
            f"'{segment_name(node, segment_id)}' is a surface, not a labelmap.",
            "In the Segmentations module, under Representations, make 'Binary labelmap' the source.",
        )
    _check_value(node, segment_id)
    box = box or whole_box(volume.array.shape)
    return mask_of(image, segment.GetLabelValue(), ijk_to_local(node, volume), box)


def _check_value(node, segment_id: str) -> None:
    """Refuses a segment whose voxels are not its own."""
    segmentation, name = node.GetSegmentation(), segment_name(node, segment_id)
    segment = segmentation.GetSegment(segment_id)
    value, image = segment.GetLabelValue(), segment.GetRepresentation(BINARY_LABELMAP)
    remedy = "Load the segmentation from its file again, or remove this segment."
    if value < 1:
        raise VolumeError(f"'{name}' has the label value {value}, which is the background's or none.", remedy)
    for other in segment_ids(node):
        one = segmentation.GetSegment(other)
        shared = image is not None and one.GetRepresentation(BINARY_LABELMAP) is image
        if other != segment_id and shared and one.GetLabelValue() == value:
            raise VolumeError(
                f"'{name}' and '{segment_name(node, other)}' have the same voxels and label value {value}.",
                remedy,
            )


def count_voxels(node, segment_id: str) -> int:
    """A segment's voxels, those outside of any volume too."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if not has_voxels(image):
        return 0
    return np.count_nonzero(vtk_to_numpy(image.GetPointData().GetScalars()) == segment.GetLabelValue())


def stamp(node, segment_id: str) -> tuple[int, int] | None:
    """Changes whenever a segment's voxels may have; None if there is no such segment, or nothing in it."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(BINARY_LABELMAP) if segment else None
    return (image.GetMTime(), segment.GetLabelValue()) if image else None


def mask_in(node, segment_id: str, volume: Volume, box: Box) -> np.ndarray:
    """`segment_mask` in all of a box, bool of its shape."""
    return within(segment_mask(node, segment_id, volume, box), box)


def mask_slabs(node, segment_id: str, volume: Volume) -> Iterator[tuple[Box, np.ndarray]]:
    """`mask_in` for the whole volume, some slices at a time."""
    for box in slabs(whole_box(volume.array.shape), _READ_VOXELS):
        yield box, mask_in(node, segment_id, volume, box)
