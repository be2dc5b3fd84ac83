"""Checks of editing on nodes; run by `run_in_slicer`."""

import numpy as np
import slicer
import slicer.util
import vtk

from HiDiffRefineLib.errors import HintError, SessionError, WorkerError
from HiDiffRefineLib.scene.segmentation_nodes import segment_ids, segment_name
from HiDiffRefineLib.scene.shown_masks import write
from Testing.scene.application import application_scene
from Testing.scene.made_up import (
    SHAPE,
    add_transform,
    add_volume,
    agree,
    click,
    click_and_refine,
    cube,
    finish,
    in_node,
    open_session,
    paint,
    segmented,
)
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


def check_segments_come_with_names_colours_terminology_and_status(scene, folder):
    session = segmented(scene)
    one, two = segment_ids(session.node)
    assert segment_name(session.node, two) == "posterior hippocampus"
    assert in_node(session, one).sum() == 6 * 12 * 12 and in_node(session, two).sum() == 4 * 12 * 12
    segment = session.node.GetSegmentation().GetSegment(one)
    label = session.session.engine.bundle.labels[0]
    np.testing.assert_allclose(np.multiply(segment.GetColor(), 255), label.color, atol=0.01)
    tag = vtk.mutable("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
    assert label.type.value in str(tag)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.GetSegmentStatus(segment) == logic.InProgress
    session.accept()
    assert logic.GetSegmentStatus(segment) == logic.Completed
    assert session.selected == one and agree(session)


def check_a_click_is_shown_step_by_step_and_is_one_undo_step(scene, folder):
    session = segmented(scene)
    before = in_node(session)
    click(session, (8, 25, 14))
    assert session.take_hints() == 1
    sizes = [in_node(session).sum() for preview in session.refining() if preview is not None]
    assert before.sum() < sizes[0] < sizes[1] and agree(session)
    after = in_node(session)
    assert after[8, 25, 14]
    assert session.undo() and agree(session)
    np.testing.assert_array_equal(in_node(session), before)
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 0
    assert session.redo() and agree(session)
    np.testing.assert_array_equal(in_node(session), after)
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 1
    assert not session.redo()


def check_more_or_less_of_an_edit_is_the_same_undo_step(scene, folder):
    session = segmented(scene)
    before = in_node(session)
    click_and_refine(session, (8, 25, 14))
    shown = {5: in_node(session)}
    for level in (9, 1, 7, 2):
        assert list(session.extending(level)) == [None] and not list(session.extending(level))
        assert agree(session)
        shown[level] = in_node(session)
        assert shown[level][8, 25, 14]
    assert shown[1].sum() < shown[2].sum() < shown[5].sum() < shown[7].sum() < shown[9].sum()
    for level in (2, 9, 2):  # what the logic remembers is of another level
        finish(session.extending(level))
        assert session.undo() and agree(session)
        np.testing.assert_array_equal(in_node(session), before)
        assert session.redo() and agree(session)
        np.testing.assert_array_equal(in_node(session), shown[level])
    click_and_refine(session, (8, 30, 14))  # from what was chosen
    assert agree(session) and session.undo()
    job = session.extending(7)
    next(job)
    job.close()  # the node has it nevertheless
    assert agree(session) and session.session.extent == 7 and not session.redo()
    np.testing.assert_array_equal(in_node(session), shown[7])
    assert session.undo() and agree(session)
    np.testing.assert_array_equal(in_node(session), before)
    assert session.redo() and agree(session)
    np.testing.assert_array_equal(in_node(session), shown[7])
    session.undo()
    try:
        finish(session.extending(6))
    except SessionError as error:
        assert "no answer" in error.message
    else:
        raise AssertionError("there is nothing to take more of")


def check_other_segments_keep_every_voxel_with_and_without_overlap(scene, folder):
    """The failure of SlicerNNInteractive's issue 105."""
    session = segmented(scene)
    one, two = segment_ids(session.node)
    node = session.editor_node
    for mode in (node.OverwriteAllSegments, node.OverwriteVisibleSegments, node.OverwriteNone):
        node.SetOverwriteMode(mode)
        other = in_node(session, two)
        before = in_node(session)
        # Between both segments: the ball reaches into the other one.
        click_and_refine(session, (13, 10, 10))
        np.testing.assert_array_equal(in_node(session, two), other)
        assert (in_node(session) != before).any() and agree(session)
        session.undo()
        np.testing.assert_array_equal(in_node(session, two), other)
        session.redo()
        np.testing.assert_array_equal(in_node(session, two), other)
        session.undo()


def check_a_large_change_keeps_what_others_did_to_the_segment_and_beside_it(scene, folder):
    session = segmented(scene)
    one, two = segment_ids(session.node)
    layers = session.node.GetSegmentation().GetNumberOfLayers()
    by_hand, box = cube(2, 30, 30), tuple(slice(0, n) for n in SHAPE)
    for overlapping in (False, True):
        paint(session.node, one, by_hand, session)  # which the session does not know yet
        if overlapping:
            paint(session.node, two, cube(8, 12, 12, 4), session)
        other, before = in_node(session, two), session.session.mask().copy()
        for after in (np.zeros(SHAPE, bool), before):  # large: the whole segment
            start = session.session.mask() if not after.any() else np.zeros(SHAPE, bool)
            write(session, one, box, start, after)
            np.testing.assert_array_equal(in_node(session, one), after | by_hand)
            np.testing.assert_array_equal(in_node(session, two), other)
        assert session.node.GetSegmentation().GetNumberOfLayers() == layers + overlapping


def check_segments_that_overlap_from_the_start_keep_their_voxels(scene, folder):
    session = segmented(scene)
    one, two = segment_ids(session.node)
    paint(session.node, two, cube(8, 12, 12, 4), session)  # in the middle of the first one
    finish(session.syncing(lock=False))
    both = in_node(session, one) & in_node(session, two)
    assert both.sum() == 64
    session.select(one)
    click_and_refine(session, (9, 10, 10), False)
    assert (in_node(session, one) & both).sum() == 64 and in_node(session, two)[both].all()
    assert agree(session)


def check_a_point_that_the_user_deletes_is_a_hint_withdrawn(scene, folder):
    session = segmented(scene)
    click_and_refine(session, (8, 25, 14))
    click_and_refine(session, (8, 10, 10), False)
    mask, points = in_node(session), session.hint_nodes.positive
    points.RemoveNthControlPoint(0)
    finish(session.syncing(lock=False))
    (left,) = session.session.hints
    assert not left.positive and points.GetNumberOfControlPoints() == 0
    np.testing.assert_array_equal(in_node(session), mask)
    click_and_refine(session, (8, 25, 14), False)  # where it was
    assert not in_node(session)[8, 25, 14] and agree(session)
    session.undo()
    session.undo()
    assert len(session.session.hints) == 2 and points.GetNumberOfControlPoints() == 1
    np.testing.assert_array_equal(in_node(session), mask)
    finish(session.syncing(lock=False))
    assert len(session.session.hints) == 2
    session.redo()
    assert len(session.session.hints) == 1 and agree(session)


def check_a_stroke_is_a_hint(scene, folder):
    session = segmented(scene)
    stroke = cube(8, 24, 24)
    strokes = session.hint_nodes.strokes
    paint(strokes, f"+ {session.selected}", stroke, session)
    assert session.take_hints() == 1 and session.take_hints() == 0
    finish(session.refining())
    assert in_node(session)[stroke].all() and agree(session)
    paint(strokes, f"− {session.selected}", cube(9, 25, 25, 2), session)
    assert session.take_hints() == 1
    finish(session.refining())
    assert not in_node(session)[cube(9, 25, 25, 2)].any() and agree(session)
    assert session.take_hints() == 0
    session.undo()
    session.undo()
    assert not session.session.hints and session.take_hints() == 0


def check_a_stopped_edit_counts_from_its_first_preview_on(scene, folder):
    session = segmented(scene)
    before = in_node(session)
    click(session, (8, 25, 14))
    session.take_hints()
    job = session.refining()
    assert next(job) is None
    job.close()
    np.testing.assert_array_equal(in_node(session), before)
    assert len(session.session.pending) == 1
    job = session.refining()
    while next(job) is None:
        pass
    job.close()
    assert in_node(session)[8, 25, 14] and agree(session) and not session.session.pending
    session.undo()
    np.testing.assert_array_equal(in_node(session), before)


def check_segments_added_deleted_and_renamed_by_the_user(scene, folder):
    session = segmented(scene)
    one, two = segment_ids(session.node)
    segmentation = session.node.GetSegmentation()
    click_and_refine(session, (8, 25, 14))
    third = segmentation.AddEmptySegment("", "posterior hippocampus")
    segmentation.GetSegment(one).SetName("front")
    finish(session.syncing(lock=False))
    assert session.session.segments == ["front", "posterior hippocampus", "posterior hippocampus 2"]
    session.select(third)
    click_and_refine(session, (4, 30, 8))
    assert in_node(session, third).any()
    mask = in_node(session, one)
    segmentation.RemoveSegment(one)
    finish(session.syncing(lock=False))
    assert session.name_of(one) is None and agree(session)
    assert session.undo()
    np.testing.assert_array_equal(in_node(session, one), mask)
    assert agree(session) and session.hint_nodes.positive.GetNumberOfControlPoints() == 2


def check_a_hint_outside_or_in_another_segment_is_refused_and_removed(scene, folder):
    session = segmented(scene)
    for kji in ((8, 200, 10), (15, 10, 10)):
        click(session, kji)
        try:
            session.take_hints()
            raise AssertionError("taken")
        except HintError:
            assert session.hint_nodes.positive.GetNumberOfControlPoints() == 0


def check_events_are_told_and_own_writes_are_not(scene, folder):
    told = []
    session = segmented(scene, changed=lambda: told.append("changed"), gone=lambda why: told.append("gone"))
    click(session, (8, 25, 14))
    assert told == ["changed"]
    session.take_hints()
    finish(session.refining())
    session.undo()
    session.redo()
    assert told == ["changed"]
    paint(session.node, session.selected, cube(2, 24, 24), session)
    assert told[1:] and set(told) == {"changed"}
    session.close()
    told.clear()
    paint(session.node, session.selected, cube(5, 24, 24), session)
    click(session, (8, 25, 14))
    scene.Clear(False)
    assert not told


def check_whatever_goes_is_told(scene, folder):
    def exchange(session, volume):
        slicer.util.updateVolumeFromArray(volume, np.zeros(SHAPE, np.int16))

    def move(session, node):
        node.SetAndObserveTransformNodeID(add_transform(scene, np.eye(4)).GetID())

    for act, what in (
        (lambda session, volume: scene.RemoveNode(volume), "'head' was removed"),
        (lambda session, volume: scene.RemoveNode(session.node), "'segmentation' was removed"),
        (lambda session, volume: scene.RemoveNode(session.hint_nodes.strokes), "strokes' was removed"),
        (move, "'head' was moved by a transform"),
        (lambda session, volume: move(session, session.node), "'segmentation' was moved by a transform"),
        (exchange, "'head' shows another image"),
        (lambda session, volume: scene.Clear(False), ""),
    ):
        told = []
        volume = add_volume(scene)
        session = open_session(scene, volume, gone=lambda why, told=told: told.append(why))
        act(session, volume)
        assert told and what in str(told[0] or ""), (what, told)
        session.close()
        session.close()


def check_an_edit_that_fails_on_its_way_leaves_the_node_as_it_was(scene, folder):
    session = segmented(scene)
    before = in_node(session)
    run = session.session.engine.run

    def failing(*arguments):
        for answer in run(*arguments):
            yield answer
            if answer is not None:
                raise WorkerError("gone", "again")

    session.session.engine.run = failing
    click(session, (8, 25, 14))
    session.take_hints()
    try:
        finish(session.refining())
        raise AssertionError("no error")
    except WorkerError:
        np.testing.assert_array_equal(in_node(session), before)
    assert len(session.session.pending) == 1 and agree(session)


def check_segmenting_cancelled_while_it_is_written_leaves_whole_segments(scene, folder):
    session = open_session(scene)
    job = session.segmenting((), lambda share, what: None)
    while not session.session.segments:
        next(job)
    job.close()
    assert len(session.keys) == 2 and agree(session) and in_node(session).any()
    click_and_refine(session, (8, 25, 14))
    assert agree(session)
