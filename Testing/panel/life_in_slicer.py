"""Checks of the module's life in the application: scenes come, modules change, Python is read again."""

import gc
import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import slicer
import slicer.util
import vtk
from PySide6.QtCore import QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLabel

from Testing.harness.application import proven_module
from Testing.harness.views import SliceView
from Testing.panel.driving import ObedientWorker, click, with_prior
from Testing.scene.made_up import add_transform, add_volume, agree, in_node, ras_of
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), proven_module)


def check_a_scene_that_is_loaded_while_the_module_is_in_front_is_taken_up(running, folder):
    session = with_prior(running)
    click(running, (8, 25, 14))
    mask = in_node(session)
    assert slicer.mrmlScene.WriteToMRB(str(folder / "saved.mrb"))
    for beside in (False, True):
        if not beside:
            slicer.mrmlScene.Clear(False)
        assert slicer.mrmlScene.ReadFromMRB(str(folder / "saved.mrb"))
        assert running.editor.session is None
        *_, loaded = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        assert running.editor.parameters.volume is running.ui.volumeSelector.currentNode() is loaded
        running.wait()
        running.press(running.ui.refineExistingButton)
        session = running.editor.session
        np.testing.assert_array_equal(in_node(session), mask)
        assert session.volume_node is loaded and len(session.session.hints) == 1 and agree(session)
        click(running, (8, 30, 14))
        assert in_node(session)[8, 30, 14] and agree(session)


def check_a_scene_of_other_things_ends_no_session(running, folder):
    session = with_prior(running)
    click(running, (8, 25, 14))
    other = slicer.vtkMRMLScene()
    add_volume(other, name="another")
    other.Commit(str(folder / "other.mrml"))
    slicer.mrmlScene.SetURL(str(folder / "other.mrml"))
    assert slicer.mrmlScene.Import()
    assert running.editor.session is session
    assert running.ui.volumeSelector.currentNode() is session.volume_node
    click(running, (8, 30, 14))
    assert in_node(session)[8, 30, 14] and agree(session)
    running.press(running.ui.undoButton)
    assert len(session.session.hints) == 1 and agree(session)


def check_pens_follow_where_slicer_ends_place_mode(running, folder):
    session, ui = with_prior(running), running.ui
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    view = SliceView("Axial")
    view.show(session.volume_node)
    view.look_at(ras_of(session, (8, 25, 14)))
    ui.positivePointButton.click()
    view.click(ras_of(session, (8, 25, 14)), "Right")
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert not ui.positivePointButton.checked
    ui.positivePointButton.click()
    assert interaction.GetCurrentInteractionMode() == interaction.Place and ui.positivePointButton.checked
    theirs = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "theirs")
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetActivePlaceNodeID(theirs.GetID())  # by the tool bar, which goes on placing
    assert not ui.positivePointButton.checked
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    view.click(ras_of(session, (8, 30, 14)))
    running.wait()
    assert theirs.GetNumberOfDefinedControlPoints() == 1 and not session.session.hints
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    ui.negativeStrokeButton.click()
    interaction.SetCurrentInteractionMode(interaction.Place)
    assert not ui.negativeStrokeButton.checked and ui.strokeEditor.activeEffect() is None
    view.close()


def check_leaving_gives_the_mouse_back(running, folder):
    session, ui = with_prior(running), running.ui
    logic = slicer.app.applicationLogic()
    interaction, selection = logic.GetInteractionNode(), logic.GetSelectionNode()
    theirs = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", "theirs")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsCurveNode")
    selection.SetActivePlaceNodeID(theirs.GetID())
    interaction.SetPlaceModePersistence(0)
    for pen in (ui.positivePointButton, ui.negativePointButton):
        pen.click()
        assert selection.GetActivePlaceNodeID() != theirs.GetID() and interaction.GetPlaceModePersistence()
    before = in_node(session)
    running.leave()
    assert selection.GetActivePlaceNodeID() == theirs.GetID()
    assert selection.GetActivePlaceNodeClassName() == "vtkMRMLMarkupsCurveNode"
    assert interaction.GetPlaceModePersistence() == 0
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    interaction.SetCurrentInteractionMode(interaction.Place)
    view = SliceView("Axial")
    view.show(session.volume_node)
    view.look_at(ras_of(session, (8, 25, 14)))
    view.click(ras_of(session, (8, 25, 14)))
    view.close()
    let_it_run(running)
    assert theirs.GetNumberOfDefinedControlPoints() == 1
    assert not [point for node in session.hint_nodes for point in points_of(node)]
    np.testing.assert_array_equal(in_node(session), before)


def check_leaving_stops_the_work_and_coming_back_goes_on(running, folder):
    session = with_prior(running)
    before = in_node(session)
    session.hint_nodes.positive.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, (8, 25, 14))))
    running.wait(lambda: running.jobs.running and session.session.pending)
    running.leave()
    assert not running.jobs.running and agree(session)
    session.hint_nodes.positive.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, (8, 30, 14))))
    let_it_run(running)
    np.testing.assert_array_equal(in_node(session), before)
    running.enter()
    running.wait()
    assert in_node(session)[8, 25, 14] and in_node(session)[8, 30, 14] and agree(session)
    assert running.ui.hintsLabel.text == "Hints held: 2 of 2"


def check_the_timer_rests_while_there_is_nothing_to_do(running, folder):
    def awake():
        return [timer for timer in gc.get_objects() if isinstance(timer, QTimer) and timer.active]

    running.wait(lambda: not awake())
    session = with_prior(running)
    running.wait(lambda: not awake())
    session.hint_nodes.positive.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, (8, 25, 14))))
    assert awake()
    running.wait()
    assert in_node(session)[8, 25, 14]
    running.wait(lambda: not awake())


def let_it_run(running):
    """A while in which nothing of ours may happen."""
    end = time.monotonic() + 0.1
    running.wait(lambda: time.monotonic() > end)


def points_of(node):
    return range(node.GetNumberOfControlPoints()) if node.IsA("vtkMRMLMarkupsNode") else ()


def check_reading_the_module_again_leaves_a_live_panel(running, folder):
    session = with_prior(running)
    click(running, (8, 25, 14))
    ui, file, observers = running.ui, sys.modules["HiDiffRefinePanel.panel"], running.widget.Observations
    running.widget.onReload()
    assert running.ui is not ui and sys.modules["HiDiffRefinePanel.panel"] is not file and observers
    assert running.editor.parameters.volume is session.volume_node
    running.wait()
    running.editor.worker = ObedientWorker()
    running.press(running.ui.refineExistingButton)
    assert running.ui.hintsLabel.text == "Hints held: 1 of 1"
    click(running, (8, 30, 14))
    assert in_node(running.editor.session)[8, 30, 14] and agree(running.editor.session)


def check_what_nobody_foresaw_is_told_with_the_place_of_the_log(running, folder):
    def fault(*_):
        raise ZeroDivisionError("nobody foresaw this")

    def told():
        text = running.ui.messageLabel.text
        running.panel.say("")
        logged, running.errors[:] = "".join(running.errors), []
        return "nobody foresaw this" in text and "slicer.log" in text and "in fault" in logged

    session, ui = with_prior(running), running.ui
    click(running, (8, 25, 14))
    (undo,) = [key for key in running.window.findChildren(QShortcut) if key.key == QKeySequence("Ctrl+Z")]
    scene, editor = slicer.mrmlScene, running.editor
    running.jobs.idle = fault
    running.jobs.wake()
    end = time.monotonic() + 5
    while not ui.messageLabel.text and time.monotonic() < end:
        slicer.app.processEvents()
    assert told()
    let_it_run(running)
    assert not ui.messageLabel.text, "told once"
    running.jobs.idle = editor.attend
    for owner, name, act in (
        (session, "undo", ui.undoButton.click),
        (session, "undo", undo.activated.emit),
        (editor, "select", lambda: ui.segmentsTable.setSelectedSegmentIDs(list(session.keys)[1:])),
        (editor.more_less, "choose", lambda: setattr(ui.extentSlider, "value", 9)),
        (running.panel.pens, "take", ui.positivePointButton.click),
        (editor, "look", editor.parameters.parameterNode.Modified),
        (editor, "resume", running.enter),
        (running.panel.pens, "lift", lambda: scene.InvokeEvent(scene.StartCloseEvent)),
    ):
        setattr(owner, name, fault)
        act()
        assert told(), (name, ui.messageLabel.text)
        delattr(owner, name)


def check_models_that_are_not_there_are_a_sentence(running, folder):
    os.environ["HIDIFF_MODELS"] = str(folder)
    try:
        running.widget.onReload()
        add_volume(slicer.mrmlScene)
        running.wait(lambda: running.ui.messageLabel.text)
        text = running.ui.messageLabel.text
        assert str(folder) in text and "Install the extension again" in text
        assert not running.ui.segmentButton.enabled and not running.ui.refineExistingButton.enabled
    finally:
        del os.environ["HIDIFF_MODELS"]


def check_the_application_lives_on_where_the_panel_could_not_be_made(running, folder):
    running.widget.cleanup()
    file = sys.modules["HiDiffRefinePanel.panel"]
    make, file.Panel = file.Panel, None
    panel = slicer.modules.hidiffrefine.widgetRepresentation()
    panel.reload()
    file.Panel = make
    assert "'NoneType' object is not callable" in running.errors.pop() and not running.errors
    (label,) = [label for label in panel.findChildren(QLabel) if "could not be made" in label.text]
    assert "slicer.log" in label.text
    panel.exit()
    panel.enter()
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndImportEvent)
    running.widget.cleanup()


def check_the_volume_that_is_seen_is_chosen_on_entering_and_one_that_is_chosen_is_shown(running, folder):
    layout, ui = slicer.app.layoutManager(), running.ui
    views = [layout.sliceWidget(name) for name in layout.ORIENTATIONS]
    running.leave()
    first, second = (add_volume(slicer.mrmlScene, name=name) for name in ("first", "second"))
    running.enter()
    assert running.editor.parameters.volume is ui.volumeSelector.currentNode() is first
    assert all(background(view) is first for view in views)
    slicer.mrmlScene.Clear(False)
    running.leave()
    first, second, third = (add_volume(slicer.mrmlScene, name=name) for name in "abc")
    slicer.util.setSliceViewerLayers(background=second, fit=True)
    views[0].mrmlSliceNode().SetFieldOfView(10, 10, 1)
    running.enter()
    assert running.editor.parameters.volume is ui.volumeSelector.currentNode() is second
    assert views[0].mrmlSliceNode().GetFieldOfView()[0] == 10, "the user's own zoom"
    ui.volumeSelector.setCurrentNode(third)
    assert all(background(view) is third for view in views)
    slicer.util.setSliceViewerLayers(background=first)
    running.leave()
    running.enter()
    assert running.editor.parameters.volume is third, "the user's own choice"
    assert all(background(view) is first for view in views)


def check_strokes_and_uncertainty_are_no_inputs(running, folder):
    session, ui = with_prior(running), running.ui
    running.press(ui.uncertaintyButton)
    assert running.editor.parameters.uncertainty.GetImageData()
    for _ in range(2):
        assert offered(ui.volumeSelector) == ["head"]
        assert offered(ui.segmentationSelector) == ["a new segmentation", "head segmentation"]
        assert slicer.mrmlScene.WriteToMRB(str(folder / "saved.mrb"))
        slicer.mrmlScene.Clear(False)
        assert slicer.mrmlScene.ReadFromMRB(str(folder / "saved.mrb"))
        running.wait()
    volume, uncertainty = running.editor.parameters.volume, running.editor.parameters.uncertainty
    running.leave()
    running.widget.logic.getParameterNode().volume = None
    slicer.util.setSliceViewerLayers(background=uncertainty)
    running.enter()
    assert running.editor.parameters.volume is volume and session.node


def check_what_ends_a_session_is_told(running, folder):
    def move(session):
        session.volume_node.SetAndObserveTransformNodeID(add_transform(slicer.mrmlScene, np.eye(4)).GetID())

    def next_frame(session):
        array = slicer.util.arrayFromVolume(session.volume_node)
        slicer.util.updateVolumeFromArray(session.volume_node, array // 2)

    ui = running.ui
    for act, what in ((move, "moved by a transform"), (next_frame, "another image")):
        session = with_prior(running)
        click(running, (8, 25, 14))
        mask = in_node(session)
        act(session)
        assert running.editor.session is None and what in ui.messageLabel.text, ui.messageLabel.text
        running.wait()
        running.press(ui.refineExistingButton)
        again = running.editor.session
        assert len(again.session.hints) == 1 and agree(again)
        np.testing.assert_array_equal(in_node(again), mask)
        slicer.mrmlScene.Clear(False)
        assert "ended" not in ui.messageLabel.text


def background(view):
    return slicer.mrmlScene.GetNodeByID(view.logic.GetSliceCompositeNode().GetBackgroundVolumeID() or "")


def offered(selector):
    return [selector._combo.itemText(n) for n in range(selector._combo.count)]


def check_the_segment_editors_own_undo_takes_one_hint_at_a_time(running, folder):
    session = with_prior(running)
    logic = slicer.vtkSlicerSegmentEditorLogic()  # as the widget of the Segment Editor has one
    logic.SetMRMLScene(slicer.mrmlScene)
    logic.SetSegmentEditorNode(session.editor_node)
    editor = SimpleNamespace(
        saveStateForUndo=logic.SaveStateForUndo, segmentationNode=session.editor_node.GetSegmentationNode
    )
    slicer.modules.SegmentEditorWidget = SimpleNamespace(editor=editor)
    masks = [in_node(session)]
    for kji in ((8, 25, 14), (8, 30, 14), (8, 33, 14)):
        click(running, kji)
        masks.append(in_node(session))
    for hints in (2, 1):
        logic.Undo()
        running.wait()
        np.testing.assert_array_equal(in_node(session), masks[hints])
        assert len(session.session.hints) == hints and agree(session)
    logic.Redo()
    running.wait()
    np.testing.assert_array_equal(in_node(session), masks[2])
    assert len(session.session.hints) == 2 and agree(session)
    for hints in (1, 0):
        running.press(running.ui.undoButton)
        np.testing.assert_array_equal(in_node(session), masks[hints])
        assert len(session.session.hints) == hints and agree(session)
    editor.segmentationNode = lambda: None
    editor.saveStateForUndo = None  # works on something else
    click(running, (8, 30, 14))
    assert in_node(session)[8, 30, 14] and agree(session)


def check_kept_work_lies_on_this_computer_and_is_deleted_when_asked(running, folder):
    ui = running.ui
    os.environ["LOCALAPPDATA"] = str(folder / "local")
    confirm = slicer.util.confirmOkCancelDisplay
    try:
        journal = with_prior(running).session.journal.path
        assert journal.parent == folder / "local" / "HiDiffRefine"
        others = [journal.with_name(f"{name}.jsonl") for name in ("crashed", "on another volume")]
        running.enter()
        assert not ui.keptButton.visible, "one that goes on is no kept work"
        for other in others:
            other.write_bytes(journal.read_bytes())
        running.enter()
        for answer in (False, True):
            assert ui.keptButton.visible
            slicer.util.confirmOkCancelDisplay = lambda text, answer=answer: (
                "There are 2," in text and answer
            )
            ui.keptButton.click()
            assert [other.exists() for other in others] == [not answer] * 2
        assert not ui.keptButton.visible and journal.exists()
        click(running, (8, 25, 14))
        assert in_node(running.editor.session)[8, 25, 14]
    finally:
        slicer.util.confirmOkCancelDisplay = confirm
        del os.environ["LOCALAPPDATA"]
