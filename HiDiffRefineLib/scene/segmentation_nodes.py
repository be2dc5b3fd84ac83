"""Segmentation nodes: made for a volume, and what their segments say."""

from collections.abc import Sequence

import numpy as np
import slicer

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.labelmaps import Box, mask_of
from HiDiffRefineLib.scene.matrices import to_world
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.seg_nrrd import terminology_entry
from HiDiffRefineLib.volumes.volume import Volume

# DICOM SEG: what the mask was made by. Without it, export would call it drawn by hand.
ALGORITHM_TAGS = {
    "DICOM.SegmentAlgorithmType": "SEMIAUTOMATIC",
    "DICOM.SegmentAlgorithmName": "HiDiffRefine",
}
_BINARY_LABELMAP = "Binary labelmap"
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


def mark(node, segment_id: str, completed: bool) -> None:
    """Says in the segment that it is in progress or completed, and how it was made."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    for tag, value in ALGORITHM_TAGS.items():
        segment.SetTag(tag, value)
    _Logic.SetSegmentStatus(segment, _Logic.Completed if completed else _Logic.InProgress)


def ijk_to_local(node, volume: Volume) -> np.ndarray:
    """4×4 from (i, j, k, 1) of the volume to a segmentation's own RAS, under whatever transform it is."""
    return np.linalg.inv(to_world(node)) @ volume.ijk_to_ras


def segment_mask(node, segment_id: str, volume: Volume) -> tuple[Box, np.ndarray] | None:
    """A segment's voxels; see `labelmaps.mask_of`.

    Raises:
        VolumeError: another geometry than the volume's, or no labelmap.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(_BINARY_LABELMAP)
    if node.GetSegmentation().GetSourceRepresentationName() != _BINARY_LABELMAP:
        raise VolumeError(
            f"'{segment.GetName()}' is a surface, not a labelmap.",
            "In the Segmentations module, under Representations, make 'Binary labelmap' the source.",
        )
    return mask_of(image, segment.GetLabelValue(), ijk_to_local(node, volume), volume.array.shape)


def stamp(node, segment_id: str) -> tuple[int, int] | None:
    """Changes whenever a segment's voxels may have; None if there is no such segment, or nothing in it."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(_BINARY_LABELMAP) if segment else None
    return (image.GetMTime(), segment.GetLabelValue()) if image else None


def whole_mask(node, segment_id: str, volume: Volume) -> np.ndarray:
    """`segment_mask` on the whole volume, bool (k, j, i)."""
    mask = np.zeros(volume.array.shape, bool)
    found = segment_mask(node, segment_id, volume)
    if found is not None:
        box, part = found
        mask[box] = part
    return mask
