"""Checks beside the segment editor: its undo, masking, painting by hand; run by `run_in_slicer`."""

from itertools import product

import numpy as np
import slicer
import slicer.util

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.boxes import whole_box
from HiDiffRefineLib.scene.labelmaps import mask_of, within
from HiDiffRefineLib.scene.masking import masked
from HiDiffRefineLib.scene.segmentation_nodes import ijk_to_local, segment_ids
from Testing.scene.application import application_scene
from Testing.scene.made_up import (
    SHAPE,
    agree,
    click,
    click_and_refine,
    cube,
    finish,
    in_node,
    paint,
    segment_editor,
    segmented,
)
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


def check_undo_by_the_segment_editor_takes_the_hint_back_too(scene, folder):
    session = segmented(scene)
    editor = segment_editor(session)
    before = in_node(session)
    click_and_refine(session, (8, 25, 14))
    click_and_refine(session, (8, 10, 10), False)
    after = in_node(session)
    for _ in range(2):
        editor.Undo()
        finish(session.syncing(lock=False))
        assert agree(session)
    np.testing.assert_array_equal(in_node(session), before)
    assert not session.session.hints and session.hint_nodes.negative.GetNumberOfControlPoints() == 0
    editor.Redo()
    finish(session.syncing(lock=False))
    assert session.redo() and agree(session)
    np.testing.assert_array_equal(in_node(session), after)
    assert len(session.session.hints) == 2


def check_undo_goes_farther_than_the_editors_own(scene, folder):
    session = segmented(scene)
    seen = [in_node(session)]
    for n in range(8):
        click_and_refine(session, (8, 22 + n, 6 + 3 * n))
        seen.append(in_node(session))
    for mask in seen[-2::-1]:
        assert session.undo() and agree(session)
        np.testing.assert_array_equal(in_node(session), mask)
    for mask in seen[1:]:
        assert session.redo() and agree(session)
        np.testing.assert_array_equal(in_node(session), mask)


def check_masking_of_the_segment_editor_binds_edits(scene, folder):
    session = segmented(scene)
    node = session.editor_node
    node.SourceVolumeIntensityMaskOn()
    node.SetSourceVolumeIntensityMaskRange(200, 1000)
    before = in_node(session)
    allowed = np.argwhere(session.volume.array[8] >= 200)
    j, i = next((j, i) for j, i in allowed if 24 < j < 30 and 10 < i < 16)
    click_and_refine(session, (8, j, i))
    changed = in_node(session) != before
    assert changed.sum() > 3 and (session.volume.array[changed] >= 200).all() and agree(session)
    refused = np.argwhere(session.volume.array[8, 25:30, 10:16] < 200)[0] + (25, 10)
    click(session, (8, *refused))
    try:
        session.take_hints()
        raise AssertionError("taken")
    except HintError as error:
        assert "locked" in error.message
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 1
    session.undo()
    np.testing.assert_array_equal(in_node(session), before)
    node.SourceVolumeIntensityMaskOff()
    node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    node.SetMaskSegmentID(segment_ids(session.node)[0])
    click_and_refine(session, (8, 9, 9), False)
    assert (before & ~in_node(session)).any() and agree(session)
    node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
    click_and_refine(session, (8, *refused))
    assert agree(session)


def check_every_kind_of_masking_is_that_of_slicer(scene, folder):
    session = segmented(scene)
    editor, node = session.editor_node, session.node
    one, two = segment_ids(node)
    paint(node, two, cube(8, 12, 12, 4), session)  # overlaps the first one
    editor.SetMaskSegmentID(two)
    logic = slicer.vtkSlicerSegmentEditorLogic()
    logic.SetMRMLScene(scene)
    logic.SetSegmentEditorNode(editor)
    box, kinds = whole_box(SHAPE), slicer.vtkMRMLSegmentationNode
    assert not masked(editor, node, session.volume, box)
    for mode, hidden in product(range(kinds.EditAllowedEverywhere + 1, kinds.EditAllowed_Last), (one, two)):
        for segment_id in (one, two):
            node.GetDisplayNode().SetSegmentVisibility(segment_id, segment_id != hidden)
        editor.SetMaskMode(mode)
        logic.UpdateReferenceGeometryImage()
        logic.ResetModifierLabelmapToDefault()
        logic.UpdateMaskLabelmap()
        expected = mask_of(logic.GetMaskLabelmap(), 1, ijk_to_local(node, session.volume), box)
        found = masked(editor, node, session.volume, box)
        np.testing.assert_array_equal(found, within(expected, box))


def check_paint_by_hand_becomes_the_mask_or_is_locked(scene, folder):
    for lock in (False, True):
        session = segmented(scene)
        drawn = cube(2, 24, 24)
        paint(session.node, session.selected, drawn, session)
        finish(session.syncing(lock))
        assert session.session.mask()[drawn].all() and agree(session)
        click(session, (3, 25, 25), False)
        if lock:
            try:
                session.take_hints()
                raise AssertionError("taken")
            except HintError:
                pass
        else:
            session.take_hints()
            finish(session.refining())
            assert not in_node(session)[3, 25, 25]
            session.undo()
        assert in_node(session)[drawn].all()
        session.undo()
        assert not in_node(session)[drawn].any() and agree(session)
        session.close()


def check_what_is_painted_during_an_edit_stays(scene, folder):
    session = segmented(scene)
    click(session, (8, 25, 14))
    session.take_hints()
    drawn = cube(8, 30, 14, 2)
    for n, _ in enumerate(session.refining()):
        if n == 1:
            paint(session.node, session.selected, drawn, session)
    finish(session.syncing(lock=False))
    assert in_node(session)[drawn].all() and agree(session)


def check_undo_by_the_segment_editor_passes_hints_that_changed_nothing(scene, folder):
    session = segmented(scene)
    editor = segment_editor(session)
    before = in_node(session)
    click_and_refine(session, (8, 25, 14))
    after = in_node(session)
    click_and_refine(session, (8, 25, 14))  # obeyed already
    np.testing.assert_array_equal(in_node(session), after)
    editor.Undo()
    finish(session.syncing(lock=False))
    np.testing.assert_array_equal(in_node(session), before)
    assert not session.session.hints and agree(session)
    session.redo()
    session.redo()
    assert len(session.session.hints) == 2 and agree(session)
