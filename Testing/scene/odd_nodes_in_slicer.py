"""Checks of nodes that are odd in ways that broken_in_slicer has found; run by `run_in_slicer`."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.hint_nodes import new_hint_nodes
from HiDiffRefineLib.scene.segmentation_nodes import BINARY_LABELMAP, new_segmentation, segment_ids
from Testing.scene.application import application_scene
from Testing.scene.made_up import (
    add_transform,
    add_volume,
    agree,
    click,
    cube,
    finish,
    in_node,
    open_session,
    paint,
    ras_of,
    segmented,
)
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


def check_points_with_a_description_of_the_users_own_are_new(scene, folder):
    session = segmented(scene)
    for n, text in enumerate(["tumour", "1", "² x", "-1 y", "12"]):
        click(session, (8, 25 + n, 14))
        session.hint_nodes.positive.SetNthControlPointDescription(n, text)
    assert session.take_hints() == 5
    finish(session.refining())
    assert all(in_node(session)[8, 25 + n, 14] for n in range(5)) and agree(session)
    session.close()
    session = open_session(scene, session.volume_node, session.node, session.hint_nodes)
    assert len(session.session.hints) == 5


def check_segments_without_voxels_of_their_own_are_refused(scene, folder):
    session = segmented(scene)
    session.close()
    one, two = (session.node.GetSegmentation().GetSegment(name) for name in segment_ids(session.node))
    for segment, value, words in (
        (one, 0, "label value 0"),
        (one, -1, "label value -1"),
        (two, 1, "same voxels and label value 1"),
    ):
        before = segment.GetLabelValue()
        segment.SetLabelValue(value)
        refuses(words, lambda: open_session(scene, session.volume_node, session.node, session.hint_nodes))
        segment.SetLabelValue(before)
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 2)
    image.GetPointData().GetScalars().Fill(1)
    one.AddRepresentation(BINARY_LABELMAP, image)
    refuses("2 values", lambda: open_session(scene, session.volume_node, session.node, session.hint_nodes))


def check_no_voxel_is_lost_whatever_an_empty_segments_label_value(scene, folder):
    volume = add_volume(scene)
    for value in (255, 256, 300, 70000, 2**31 - 1):
        node = new_segmentation(volume, "odd")
        segment_id = node.GetSegmentation().AddEmptySegment("", "odd")
        node.GetSegmentation().GetSegment(segment_id).SetLabelValue(value)
        session = open_session(scene, volume, node)
        click(session, (8, 26, 15))
        session.take_hints()
        finish(session.refining())
        assert in_node(session)[8, 26, 15] and agree(session), value
        session.close()


def check_voxels_of_no_segment_come_into_none(scene, folder):
    """A file may hold values that its header names nowhere."""
    session = segmented(scene)
    session.close()
    segmentation = session.node.GetSegmentation()
    one = segmentation.GetSegment(segment_ids(session.node)[0])
    segmentation.RemoveSegment(segment_ids(session.node)[1])
    voxels = one.GetRepresentation(BINARY_LABELMAP).GetPointData().GetScalars()
    vtk_to_numpy(voxels)[:50] = [2, 3] * 25
    voxels.Modified()
    session = open_session(scene, session.volume_node, session.node, session.hint_nodes)
    session.add_segment("further")
    assert not in_node(session).any() and agree(session)
    click(session, (3, 30, 30))
    session.take_hints()
    finish(session.refining())
    assert in_node(session)[3, 30, 30] and agree(session)


def check_segments_without_a_name(scene, folder):
    session = segmented(scene)
    one, two = segment_ids(session.node)
    session.node.GetSegmentation().GetSegment(one).SetName("")
    session.node.GetSegmentation().GetSegment(two).SetName(None)
    finish(session.syncing(False))
    assert session.session.segments == ["Segment", "Segment 2"] and agree(session)


def check_a_transform_that_cannot_be_undone_is_refused(scene, folder):
    volume = add_volume(scene)
    segmentation = new_segmentation(volume, "segmentation")
    hints = new_hint_nodes(volume, segmentation)
    for value in (0.0, 1e-9, np.nan, np.inf):
        segmentation.SetAndObserveTransformNodeID(add_transform(scene, np.diag([1, value, 1, 1])).GetID())
        segmentation.GetSegmentation().AddEmptySegment("a", "a")
        refuses("flat, or is made of no numbers", lambda: open_session(scene, volume, segmentation, hints))


def check_strokes_beyond_the_volume_stay(scene, folder):
    session = segmented(scene)
    one = session.selected
    paint(session.hint_nodes.strokes, f"+ {one}", cube(20, 30, 30), session)
    session.take_hints()
    finish(session.refining())
    session.close()
    strokes = session.hint_nodes.strokes
    other = add_volume(scene, np.diag([1.0, 1, 2, 1]), "cropped")
    array = slicer.util.arrayFromVolume(other)[:10].copy()
    slicer.util.updateVolumeFromArray(other, array)
    segmentation = new_segmentation(other, "another")
    session = open_session(scene, other, segmentation, session.hint_nodes)
    assert (vtk_to_numpy(stroke_voxels(strokes, f"+ {one}")) == 1).sum() == 27
    assert ras_of(session, (0, 0, 0)).tolist() == [0, 0, 0]


def stroke_voxels(node, segment_id):
    segment = node.GetSegmentation().GetSegment(segment_id)
    return segment.GetRepresentation(BINARY_LABELMAP).GetPointData().GetScalars()


def refuses(words, act) -> None:
    try:
        act()
    except VolumeError as error:
        assert words in error.message and error.remedy, error
    else:
        raise AssertionError(f"not refused: {words}")
