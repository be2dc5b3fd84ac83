"""Checks of the panel on the harness; run by `run_in_slicer`."""

from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk

from HiDiffRefineLib.inference.extents import ANSWER, LEVELS
from HiDiffRefineLib.scene.segmentation_nodes import label_of
from Testing.harness.application import proven_module
from Testing.panel.driving import click, let_it_look, place_point, with_prior
from Testing.scene.made_up import add_volume, agree, cube, in_node, paint, ras_of
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), proven_module)


def check_nothing_can_be_pressed_before_there_is_a_volume(running, folder):
    ui = running.ui
    running.wait()
    assert not ui.segmentButton.enabled and not ui.refineSection.enabled and not ui.setupButton.visible
    assert "CPU" in ui.deviceLabel.text and "Research only" in ui.modelLabel.text
    add_volume(slicer.mrmlScene)
    assert ui.segmentButton.enabled and not ui.cancelButton.visible


def check_segment_click_undo_redo_accept(running, folder):
    session, ui = with_prior(running), running.ui
    assert ui.segmentsTable.segmentCount == 2 and ui.refineSection.enabled
    before = in_node(session)
    click(running, (8, 25, 14))
    after = in_node(session)
    assert after[8, 25, 14] and ui.hintsLabel.text == "Hints held: 1 of 1" and agree(session)
    ui.undoButton.click()
    np.testing.assert_array_equal(in_node(session), before)
    assert ui.redoButton.enabled and ui.hintsLabel.text == "Hints held: 0 of 0"
    ui.redoButton.click()
    np.testing.assert_array_equal(in_node(session), after)
    ui.undoButton.click()
    np.testing.assert_array_equal(in_node(session), before)
    ui.acceptButton.click()
    segment = session.node.GetSegmentation().GetSegment(session.selected)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.GetSegmentStatus(segment) == logic.Completed


def check_a_stroke_is_taken_up(running, folder):
    session = with_prior(running)
    for sign, where in (("+", cube(8, 24, 24)), ("−", cube(8, 10, 10))):
        paint(session.hint_nodes.strokes, f"{sign} {session.selected}", where, session)
        running.wait()
        assert in_node(session)[where].all() if sign == "+" else not in_node(session)[where].any()
    assert running.ui.hintsLabel.text == "Hints held: 2 of 2" and agree(session)


def check_a_refused_hint_is_explained_in_the_panel(running, folder):
    session = with_prior(running)
    click(running, (15, 10, 10))
    assert "posterior hippocampus" in running.ui.messageLabel.text and running.ui.messageLabel.visible
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 0


def check_more_or_less_by_slider_wheel_and_keys(running, folder):
    from PySide6.QtGui import QKeySequence, QShortcut

    session, ui = with_prior(running), running.ui
    layout = slicer.app.layoutManager()
    view = layout.sliceWidget("Red")
    layout.setLayout(layout.layout)
    keys = {key.key: key for key in running.window.findChildren(QShortcut) if key.enabled}

    def wheel(steps, **how):
        view.wheel(steps, shift=True, **how)
        running.wait()

    def press(key):
        keys[QKeySequence(key)].activated.emit()
        running.wait()

    def slide(level):
        ui.extentSlider.value = level
        running.wait()

    before = in_node(session)
    assert (ui.extentSlider.minimum, ui.extentSlider.maximum) == (LEVELS[0], LEVELS[-1])
    assert not ui.extentSlider.enabled and ui.extentSlider.value == ANSWER
    wheel(1)
    press(".")
    np.testing.assert_array_equal(in_node(session), before)
    click(running, (8, 25, 14))
    answer = in_node(session)
    assert ui.extentSlider.enabled and ui.extentSlider.value == ANSWER
    wheel(2)
    more = in_node(session)
    assert ui.extentSlider.value == ANSWER + 2 and more.sum() > answer.sum() and agree(session)
    view.wheel(1)  # scrolls
    assert ui.extentSlider.value == ANSWER + 2
    wheel(1, sideways=True)
    wheel(-2, sideways=True)
    assert ui.extentSlider.value == ANSWER + 1
    press(".")
    assert ui.extentSlider.value == ANSWER + 2 and np.array_equal(in_node(session), more)
    press(",")
    assert ui.extentSlider.value == ANSWER + 1
    wheel(-12)
    assert ui.extentSlider.value == LEVELS[0] and in_node(session).sum() < answer.sum() and agree(session)
    slide(ANSWER)
    np.testing.assert_array_equal(in_node(session), answer)
    slide(ANSWER + 2)
    np.testing.assert_array_equal(in_node(session), more)
    ui.undoButton.click()
    np.testing.assert_array_equal(in_node(session), before)
    assert not ui.extentSlider.enabled and ui.extentSlider.value == ANSWER
    ui.redoButton.click()
    np.testing.assert_array_equal(in_node(session), more)
    assert ui.extentSlider.enabled and ui.extentSlider.value == ANSWER + 2
    ui.positiveStrokeButton.click()
    wheel(1)  # is the brush's
    assert ui.extentSlider.value == ANSWER + 2
    ui.positiveStrokeButton.click()
    running.leave()
    wheel(1)
    assert ui.extentSlider.value == ANSWER + 2
    running.enter()
    wheel(1)
    assert ui.extentSlider.value == ANSWER + 3 and agree(session)


def check_a_move_comes_in_turns_and_the_latest_level_wins(running, folder):
    session, ui = with_prior(running), running.ui
    before = in_node(session)
    click(running, (8, 25, 14))
    answer = in_node(session)
    ui.extentSlider.value = 7
    running.jobs.tick()  # takes it up
    running.jobs.tick()  # the session has it, the node does not
    assert session.session.extent == 7 and np.array_equal(in_node(session), answer)
    assert ui.exportSection.enabled and not ui.progressBar.visible, "nothing that a user sees come and go"
    ui.extentSlider.value = 9
    ui.extentSlider.value = 8
    assert session.session.extent == 7 and ui.extentSlider.value == 8
    running.wait()
    assert session.session.extent == 8 and agree(session) and in_node(session).sum() > answer.sum()
    ui.extentSlider.value = 2
    running.jobs.tick()
    running.jobs.tick()
    ui.undoButton.click()  # the node must not keep half of a move
    np.testing.assert_array_equal(in_node(session), before)
    assert agree(session) and session.session.redo() and session.session.extent == 2
    session.session.undo()
    ui.extentSlider.value = ANSWER
    running.wait()
    ui.redoButton.click()
    ui.extentSlider.value = 4
    ui.undoButton.click()  # at once: nobody has taken the level up
    running.wait()
    np.testing.assert_array_equal(in_node(session), before)
    ui.redoButton.click()
    assert session.session.extent == 2 and agree(session)


def check_pens_are_one_at_a_time_and_gone_with_the_module(running, folder):
    session, ui = with_prior(running), running.ui
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    ui.positivePointButton.click()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActivePlaceNodeID() == session.hint_nodes.positive.GetID()
    ui.negativeStrokeButton.click()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert ui.strokeEditor.activeEffect() and not ui.positivePointButton.checked
    assert ui.strokeEditor.activeEffect().BrushAbsoluteDiameter == 5
    ui.brushSlider.value = 12
    assert ui.strokeEditor.activeEffect().BrushAbsoluteDiameter == 12
    running.leave()
    assert ui.strokeEditor.activeEffect() is None and not ui.negativeStrokeButton.checked
    running.enter()


def check_shortcuts_live_only_while_the_module_is_in_front(running, folder):
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QShortcut

    def keys():
        found = [shortcut for shortcut in running.window.findChildren(QShortcut) if shortcut.enabled]
        assert all(shortcut.context == Qt.ApplicationShortcut for shortcut in found)
        return sorted(shortcut.key.toString() for shortcut in found)

    for act in (lambda: None, running.enter):
        act()
        assert keys() == [",", ".", "A", "B", "Ctrl+Shift+Z", "Ctrl+Y", "Ctrl+Z", "D", "X"]  # not Q and W
    running.leave()
    assert not keys()
    running.enter()


def check_the_panel_lists_the_keys_that_are_bound(running, folder):
    import re

    texts = re.findall("<b>(.+?)</b>: (.+?)(?:<br>|$)", running.ui.keysLabel.text)
    bound = sorted(key for key, _what in texts if "mouse" not in key)
    assert bound == [",", ".", "A", "B", "Ctrl+Shift+Z", "Ctrl+Y", "Ctrl+Z", "D", "X"] and len(texts) == 10
    assert all(what for _key, what in texts) and running.ui.keysSection.collapsed


def check_hints_wait_where_the_user_wants_them_to(running, folder):
    session, ui = with_prior(running), running.ui
    assert ui.atOnceCheckBox.checked and not ui.refineButton.isVisibleTo(running.window)
    ui.atOnceCheckBox.click()
    assert ui.refineButton.isVisibleTo(running.window) and not ui.refineButton.enabled
    before = in_node(session)
    for kji in ((8, 25, 14), (8, 30, 14)):
        click(running, kji)
    np.testing.assert_array_equal(in_node(session), before)
    assert ui.hintsLabel.text == "Hints held: 0 of 2" and ui.hintList.item(0).text().endswith("(waits)")
    ui.refineButton.click()
    place_point(running, (8, 36, 14))  # does not end the work that was asked for
    running.wait()
    after = in_node(session)
    assert after[8, 25, 14] and after[8, 30, 14] and ui.hintsLabel.text == "Hints held: 2 of 3"
    assert not after[8, 36, 14] and agree(session)
    running.leave()
    running.enter()
    running.wait()
    np.testing.assert_array_equal(in_node(session), after)
    ui.atOnceCheckBox.click()
    running.wait()
    assert in_node(session)[8, 36, 14] and ui.hintsLabel.text == "Hints held: 3 of 3" and agree(session)


def check_a_newer_hint_ends_the_work_on_an_older_one(running, folder):
    session = with_prior(running)
    session.hint_nodes.positive.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, (8, 25, 14))))
    running.wait(lambda: len(session.session.pending) == 1 and running.jobs.running)
    click(running, (8, 30, 14))
    assert in_node(session)[8, 25, 14] and in_node(session)[8, 30, 14] and agree(session)
    assert not session.session.pending


def check_an_existing_segmentation_is_refined_and_a_new_segment_started(running, folder):
    first = with_prior(running)
    node = first.node
    running.ui.segmentationSelector.setCurrentNode(None)
    assert running.editor.session is None
    running.ui.segmentationSelector.setCurrentNode(node)
    running.ui.refineExistingButton.click()
    running.wait()
    session = running.editor.session
    assert session.node is node and running.ui.segmentsTable.segmentCount == 2
    running.ui.newSegmentButton.click()
    assert running.ui.segmentsTable.segmentCount == 3 and session.session.selected == "New segment"
    click(running, (3, 30, 14))
    assert in_node(session)[3, 30, 14] and agree(session)


def check_hand_edits_are_locked_if_the_user_says_so(running, folder):
    session = with_prior(running)
    running.ui.lockCheckBox.click()
    assert running.editor.parameters.lockHandEdits
    paint(session.node, session.selected, cube(2, 24, 24), session)
    running.wait()
    click(running, (3, 25, 25), False)
    assert "locked" in running.ui.messageLabel.text and in_node(session)[3, 25, 25]


def check_each_segmentation_has_hints_of_its_own(running, folder):
    first = with_prior(running)
    click(running, (8, 25, 14))
    one, points = first.node, first.hint_nodes.positive
    running.ui.segmentationSelector.setCurrentNode(None)
    running.press(running.ui.segmentButton)
    second = running.editor.session
    assert second.node is not one and not second.session.hints and not points.GetDisplayVisibility()
    assert second.hint_nodes.positive.GetNumberOfControlPoints() == 0
    click(running, (8, 30, 14))
    running.ui.segmentationSelector.setCurrentNode(one)
    running.press(running.ui.refineExistingButton)
    (hint,) = running.editor.session.session.hints
    np.testing.assert_allclose(hint.point_ras, ras_of(first, (8, 25, 14)), atol=1e-3)
    assert points.GetDisplayVisibility() and not second.hint_nodes.positive.GetDisplayVisibility()


def check_nothing_observes_after_the_module_is_gone(running, folder):
    with_prior(running)
    node = running.editor.parameters.parameterNode
    assert node.HasObserver("ModifiedEvent")
    running.widget.cleanup()
    assert running.editor.parameters is None and not node.HasObserver("ModifiedEvent")


def check_volume_and_scene_may_go_at_any_moment(running, folder):
    session = with_prior(running)
    session.hint_nodes.positive.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, (8, 25, 14))))
    running.wait(lambda: running.jobs.running)
    slicer.mrmlScene.RemoveNode(session.volume_node)
    assert running.editor.session is None and not running.ui.refineSection.enabled
    running.wait()
    with_prior(running)
    slicer.mrmlScene.Clear(False)
    running.wait()
    assert running.editor.session is None and running.ui.segmentsTable.segmentCount == 0
    with_prior(running)
    assert running.ui.segmentsTable.segmentCount == 2


def check_a_session_that_a_crash_ended_is_gone_on_with(running, folder):
    from HiDiffRefinePanel.journals import leftover_on

    session, ui = with_prior(running), running.ui
    one = session.session.selected
    click(running, (8, 25, 14))
    ui.newSegmentButton.click()
    click(running, (3, 30, 14))
    masks = {name: session.session.mask(name).copy() for name in session.session.segments}
    colors = [segment_of(session, key).GetColor() for key in session.keys]
    journal = session.session.journal.path
    crashed = journal.read_bytes()
    assert leftover_on(session.volume_node) is None, "it is held"
    slicer.mrmlScene.Clear(False)
    assert not journal.exists()
    journal.write_bytes(crashed)

    volume = add_volume(slicer.mrmlScene)
    slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[1:])
    ui.volumeSelector.setCurrentNode(None)
    ui.volumeSelector.setCurrentNode(volume)
    let_it_look(running)
    assert not ui.recoverButton.visible, "another volume"
    slicer.mrmlScene.RemoveNode(volume)
    add_volume(slicer.mrmlScene)
    let_it_look(running)
    assert ui.recoverButton.visible and "ended unexpectedly" in ui.leftoverLabel.text
    running.press(ui.recoverButton)
    session = running.editor.session
    assert not ui.recoverButton.visible and not ui.keptButton.isVisibleTo(running.window)
    assert agree(session) and session.session.selected == "New segment"
    assert ui.hintsLabel.text == "Hints held: 1 of 1"
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 2
    for name, mask in masks.items():
        np.testing.assert_array_equal(session.session.mask(name), mask)
    assert [segment_of(session, key).GetColor() for key in session.keys][:2] == colors[:2]
    made = [label_of(session.node, key, 1).tags for key in session.keys]
    assert all("SEMIAUTOMATIC" in tags for tags in made) and "hints=1" in made[0], made
    ui.undoButton.click()
    ui.undoButton.click()
    assert not session.session.mask(one)[8, 25, 14] and agree(session)
    click(running, (8, 25, 14))
    assert journal.stat().st_size > len(crashed) and agree(session)


def check_a_leftover_is_discarded_and_one_of_other_voxels_refused(running, folder):
    journal = with_prior(running).session.journal.path
    crashed = journal.read_bytes()
    ui = running.ui
    slicer.mrmlScene.Clear(False)
    journal.write_bytes(crashed)
    volume = add_volume(slicer.mrmlScene)
    slicer.util.arrayFromVolume(volume)[0, 0, 0] += 1
    let_it_look(running)
    running.press(ui.recoverButton)
    assert "about another volume" in ui.messageLabel.text and running.editor.session is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    running.enter()
    assert ui.keptButton.isVisibleTo(running.window)
    running.press(ui.discardButton)
    assert not ui.keptButton.isVisibleTo(running.window)
    assert not journal.exists() and not ui.recoverButton.visible


def check_a_folder_that_takes_no_journal_is_told_and_stops_nothing(running, folder):
    Path(slicer.app.slicerUserSettingsFilePath).parent.joinpath("HiDiffRefine").write_text("in the way")
    session = with_prior(running)
    assert "would not survive a crash" in running.ui.messageLabel.text
    click(running, (8, 25, 14))
    assert in_node(session)[8, 25, 14] and agree(session)


def segment_of(session, segment_id):
    return session.node.GetSegmentation().GetSegment(segment_id)
