"""The Segment Editor's masking: where the user allows edits."""

import numpy as np
import slicer

from HiDiffRefineLib.geometry.boxes import Box
from HiDiffRefineLib.scene.segmentation_nodes import mask_in, segment_ids
from HiDiffRefineLib.volumes.volume import Volume

_Node = slicer.vtkMRMLSegmentationNode
_VISIBLE = (_Node.EditAllowedInsideVisibleSegments, _Node.EditAllowedOutsideVisibleSegments)
_OUTSIDE = (_Node.EditAllowedOutsideAllSegments, _Node.EditAllowedOutsideVisibleSegments)


def masked(editor_node, segmentation_node, volume: Volume, box: Box) -> np.ndarray | bool:
    """What masking keeps from being changed in a box (k, j, i), bool of its shape; False if it keeps nothing.

    Only there, and from the segments themselves: the editor's logic would look at the whole volume each time.
    """
    result: np.ndarray | bool = False
    mode = editor_node.GetMaskMode()
    if mode != _Node.EditAllowedEverywhere:
        inside = np.zeros([side.stop - side.start for side in box], bool)
        for segment_id in _mask_segments(editor_node, segmentation_node):
            inside |= mask_in(segmentation_node, segment_id, volume, box)
        result = inside if mode in _OUTSIDE else ~inside
    if editor_node.GetSourceVolumeIntensityMask():
        low, high = editor_node.GetSourceVolumeIntensityMaskRange()
        part = volume.array[box]
        result = result | (part < low) | (part > high)
    return result


def _mask_segments(editor_node, segmentation_node) -> list[str]:
    mode = editor_node.GetMaskMode()
    if mode == _Node.EditAllowedInsideSingleSegment:
        chosen = editor_node.GetMaskSegmentID()
        return [chosen] if chosen else []
    ids = segment_ids(segmentation_node)
    if mode in _OUTSIDE:  # the segment itself may always be edited
        ids = [segment_id for segment_id in ids if segment_id != editor_node.GetSelectedSegmentID()]
    if mode not in _VISIBLE:
        return ids
    display = segmentation_node.GetDisplayNode()
    return [segment_id for segment_id in ids if display.GetSegmentVisibility(segment_id)]
