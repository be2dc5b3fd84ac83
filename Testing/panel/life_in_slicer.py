"""Checks of the module's life in the application: scenes come, modules change, Python is read again."""

import gc
import time

import numpy as np
import slicer
import slicer.util
import vtk
from PySide6.QtCore import QTimer

from Testing.harness.application import running_module
from Testing.harness.views import SliceView
from Testing.panel.panel_in_slicer import click, with_prior
from Testing.scene.made_up import add_volume, agree, in_node, ras_of
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), running_module)


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
