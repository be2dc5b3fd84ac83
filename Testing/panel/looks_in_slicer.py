"""Checks of what helps the eye: the mask before its edits, doubtful places, room; run by `run_in_slicer`."""

import numpy as np
import slicer
import slicer.util

from HiDiffRefineLib.geometry.boxes import whole_box
from HiDiffRefineLib.scene.segmentation_nodes import mask_in, segment_ids
from Testing.harness.application import proven_module
from Testing.harness.segment_widgets import EYE, NAME, STATUS
from Testing.panel.driving import click, place_point, with_prior
from Testing.scene.made_up import add_volume, cube, in_node, paint
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), proven_module)


def check_the_mask_before_its_edits_is_a_line_and_by_a_key_seen_again(running, folder):
    session, ui = with_prior(running), running.ui
    first, second = session.keys
    shown = session.node.GetDisplayNode()
    mask = in_node(session)
    assert not ui.compareButton.enabled and not before_nodes()
    for kji in ((8, 25, 14), (8, 30, 14)):
        click(running, kji)
    (before,) = before_nodes()
    line = before.GetDisplayNode()
    assert not line.GetVisibility2DFill() and before.GetHideFromEditors() and not before.GetSaveWithScene()
    (own,) = segment_ids(before)
    np.testing.assert_array_equal(segment_mask_of(before, own, session), mask)
    assert mask.any() and (in_node(session) != mask).any()
    running.press(ui.compareButton)
    assert line.GetVisibility2DFill() and not shown.GetSegmentVisibility(first) and ui.compareButton.checked
    running.press(ui.compareButton)
    assert not line.GetVisibility2DFill() and shown.GetSegmentVisibility(first)
    running.press(ui.compareButton)
    choose(running, second)
    assert shown.GetSegmentVisibility(first) and not line.GetSegmentVisibility(own)
    assert not ui.compareButton.enabled
    choose(running, first)
    assert line.GetSegmentVisibility(own) and ui.compareButton.enabled and not ui.compareButton.checked
    shown.SetSegmentVisibility(first, False)  # by the user
    running.press(ui.compareButton)
    assert not ui.compareButton.checked and not shown.GetSegmentVisibility(first)
    shown.SetSegmentVisibility(first, True)
    running.press(ui.compareButton)
    slicer.mrmlScene.RemoveNode(session.volume_node)
    assert not before_nodes() and shown.GetSegmentVisibility(first) and not ui.compareButton.enabled


def before_nodes():
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [node for node in nodes if node.GetName() == "HiDiffRefine before"]


def segment_mask_of(node, segment_id, session):
    return mask_in(node, segment_id, session.volume, whole_box(session.volume.array.shape))


def choose(running, segment_id):
    running.ui.segmentsTable.setSelectedSegmentIDs([segment_id])
    running.wait()


def check_surfaces_follow_once_an_edit_is_settled(running, folder):
    session = with_prior(running)
    session.node.CreateClosedSurfaceRepresentation()
    first, second = (session.node.GetSegmentation().GetSegment(key) for key in session.keys)

    def surfaces():
        found = [segment.GetRepresentation("Closed surface") for segment in (first, second)]
        return [(surface, surface.GetMTime()) for surface in found]

    before = surfaces()
    place_point(running, (8, 25, 14))
    running.wait(lambda: in_node(session)[8, 25, 14] and not running.jobs.running)
    assert surfaces() == before and running.editor.waiting
    running.wait()
    after = surfaces()
    assert after[0][1] > before[0][1] and after[1] == before[1]
    assert after[0][0].GetNumberOfPoints() != before[0][0].GetNumberOfPoints()
    running.ui.undoButton.click()
    assert surfaces()[0][1] == after[0][1]
    running.leave()
    assert surfaces()[0][1] > after[0][1], "nobody looks after it any more"
    running.enter()
    running.wait()
    first.RemoveRepresentation("Closed surface")  # by Show 3D, while an edit goes on
    click(running, (8, 25, 14))
    assert first.GetRepresentation("Closed surface") is None


def check_what_is_chosen_once_makes_room_for_the_work(running, folder):
    ui = running.ui
    assert ui.cardSection.collapsed and ui.exportSection.collapsed and not ui.inputSection.collapsed
    with_prior(running)
    assert ui.inputSection.collapsed and ui.priorSection.collapsed and not ui.refineSection.collapsed
    ui.inputSection.collapsed = False  # by the user, who is not contradicted
    click(running, (8, 25, 14))
    assert not ui.inputSection.collapsed
    ui.inputSection.collapsed = True
    slicer.mrmlScene.Clear(False)
    assert not ui.inputSection.collapsed and not ui.priorSection.collapsed
    running.panel.say("told")
    running.picture()
    assert 0 <= ui.messageLabel.geometry.top() < ui.inputSection.geometry.top()


def check_doubtful_places_one_by_one(running, folder):
    session, ui = with_prior(running), running.ui
    view = slicer.app.layoutManager().sliceWidget("Red")
    view.look_at((0, 0, 500))
    running.press(ui.nextPlaceButton)
    assert running.editor.parameters.uncertainty.GetImageData() and ui.uncertaintyButton.checked
    assert "Doubtful place 1 of 1: about 1.2 ml" in ui.messageLabel.text
    place = session.session.last_uncertainty.places[0].point_ras
    assert abs(view.node.GetSliceOffset() - place[2]) < 0.01
    running.press(ui.nextPlaceButton)
    assert "last doubtful place" in ui.messageLabel.text
    running.press(ui.nextPlaceButton)
    assert "Doubtful place 1 of 1" in ui.messageLabel.text


def check_a_segment_that_goes_takes_its_doubt_and_its_line_along(running, folder):
    session, ui = with_prior(running), running.ui
    first = session.selected
    click(running, (8, 25, 14))
    running.press(ui.compareButton)
    ui.uncertaintyButton.click()
    session.node.GetSegmentation().RemoveSegment(first)
    running.wait()
    assert session.selected != first and not ui.uncertaintyButton.checked and not ui.compareButton.checked
    running.press(ui.undoButton)
    assert session.node.GetDisplayNode().GetSegmentVisibility(first)


def check_uncertainty_has_a_legend_and_gives_the_foreground_back(running, folder):
    session, ui = with_prior(running), running.ui
    view = slicer.app.layoutManager().sliceWidget("Red")
    (legends,) = [
        manager
        for n in range(view.group.GetDisplayableManagerCount())
        if (manager := view.group.GetNthDisplayableManager(n)).IsA("vtkMRMLColorLegendDisplayableManager")
    ]
    theirs = add_volume(slicer.mrmlScene, name="theirs")
    slicer.util.setSliceViewerLayers(foreground=theirs, foregroundOpacity=0.25)
    (composite,) = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    legend_of = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode
    for _ in range(2):
        running.press(ui.uncertaintyButton)
        uncertainty = running.editor.parameters.uncertainty
        assert composite.GetForegroundVolumeID() == uncertainty.GetID() and ui.uncertaintyButton.checked
        assert legends.GetColorLegendActor(legend_of(uncertainty)).GetVisibility(), "drawn in the view"
        assert "Doubtful places: 1." in ui.messageLabel.text
        mask_ml = in_node(session).sum() * 2 / 1000
        assert f"About {round(125 / mask_ml)} % (1.2 ml) of it is undecided" in ui.messageLabel.text
        table = uncertainty.GetDisplayNode().GetColorNode().GetName()
        assert table == "Green", "hints are cyan and magenta, the segment is orange"
        running.press(ui.uncertaintyButton)
        assert composite.GetForegroundVolumeID() == theirs.GetID() and not ui.uncertaintyButton.checked
        assert composite.GetForegroundOpacity() == 0.25
        assert not legends.GetColorLegendActor(legend_of(uncertainty)).GetVisibility()
    running.press(ui.uncertaintyButton)
    click(running, (8, 25, 14))
    assert composite.GetForegroundVolumeID() == theirs.GetID(), "it told of another mask"
    running.press(ui.uncertaintyButton)
    slicer.util.setSliceViewerLayers(foreground=None, foregroundOpacity=0.5)
    running.press(ui.uncertaintyButton)
    assert not composite.GetForegroundVolumeID(), "the user's own choice"
    running.press(ui.uncertaintyButton)
    slicer.mrmlScene.RemoveNode(session.volume_node)
    assert composite.GetForegroundVolumeID() is None and not ui.uncertaintyButton.checked


def check_segments_are_seen_and_chosen_in_slicers_own_table(running, folder):
    ui = running.ui
    running.picture()
    assert not ui.segmentsTable.visible and not ui.show3DButton.visible and ui.newSegmentButton.visible
    session = with_prior(running)
    first, second = session.keys
    table, shown = ui.segmentsTable, session.node.GetDisplayNode()
    assert table.visible and table.segmentCount == 2 and table.selectedSegmentIDs() == (first,)
    assert table.selectionMode == 1, "one at a time"
    ui.positivePointButton.click()
    choose(running, second)
    assert session.selected == second and not ui.positivePointButton.checked
    table.tableWidget().cellClicked.emit(table.rowForSegmentID(first), EYE)
    assert not shown.GetSegmentVisibility(first)
    ui.newSegmentButton.click()
    assert table.selectedSegmentIDs() == (session.selected,) != (second,)
    choose(running, second)
    ui.acceptButton.click()
    assert "✓" in [table.tableWidget().item(n, STATUS).text() for n in range(3)]
    table.tableWidget().item(table.rowForSegmentID(second), NAME).setText("renamed")
    running.wait()
    assert session.session.selected == "renamed"
    table.clearSelection()
    click(running, (8, 30, 14))
    assert table.selectedSegmentIDs() == (second,)
    session.node.GetSegmentation().RemoveSegment(second)
    assert session.selected == second, "noted only: Slicer is in the middle of it"
    running.wait()
    assert table.selectedSegmentIDs() == (session.selected,) != (second,)
    running.press(ui.undoButton)
    assert table.segmentCount == 3
    ui.segmentationSelector.setCurrentNode(None)
    assert not table.visible and table.segmentationNode() is None


def check_surfaces_and_opacity(running, folder):
    session, ui = with_prior(running), running.ui
    segmentation, shown = session.node.GetSegmentation(), session.node.GetDisplayNode()
    assert ui.show3DButton.enabled and ui.opacitySlider.value == shown.GetOpacity2DFill() == 0.5
    running.press(ui.show3DButton)
    assert segmentation.ContainsRepresentation("Closed surface")
    running.press(ui.show3DButton)
    assert not segmentation.ContainsRepresentation("Closed surface")
    ui.opacitySlider.value = 0.25
    assert shown.GetOpacity2DFill() == 0.25 and shown.GetOpacity2DOutline() == 1
    shown.SetOpacity2DFill(0.333)  # by the Segmentations module
    running.leave()
    running.enter()
    assert shown.GetOpacity2DFill() == 0.333 and ui.opacitySlider.value == 0.33
    click(running, (8, 25, 14))
    running.press(ui.compareButton)
    assert before_nodes()[0].GetDisplayNode().GetOpacity2DFill() == 0.333


def check_hints_are_listed_gone_to_hidden_and_deleted(running, folder):
    session, ui = with_prior(running), running.ui
    view = slicer.app.layoutManager().sliceWidget("Red")
    assert ui.hintList.count == 0 and not ui.deleteHintButton.enabled
    click(running, (8, 25, 14))
    paint(session.hint_nodes.strokes, f"− {session.selected}", cube(9, 10, 10), session)
    running.wait()
    before = in_node(session)

    def listed():
        return [ui.hintList.item(n).text() for n in range(ui.hintList.count)]

    stroke, point = listed()
    assert stroke == "2.  − stroke  R 11, A 11, S 20" and point == "1.  + click  R 14, A 25, S 16"
    for row, place in ((1, 16), (0, 20)):
        ui.hintList.currentRow = row
        assert abs(view.node.GetSliceOffset() - place) < 0.01
    view.look_at((0, 0, 500))
    ui.hintList.itemClicked.emit(ui.hintList.item(0))
    assert abs(view.node.GetSliceOffset() - 20) < 0.01
    assert ui.showHintsButton.checked
    ui.showHintsButton.click()
    assert not any(node.GetDisplayVisibility() for node in session.hint_nodes)
    ui.positivePointButton.click()  # a point that is placed has to be seen
    assert all(node.GetDisplayVisibility() for node in session.hint_nodes) and ui.showHintsButton.checked
    for _ in range(2):
        running.press(ui.deleteHintButton)
        assert listed() == [point] and not ui.deleteHintButton.enabled
        running.press(ui.undoButton)
        assert listed() == [stroke, point]
        ui.hintList.currentRow = 0
    ui.hintList.currentRow = 1
    running.press(ui.deleteHintButton)
    assert listed() == ["1.  − stroke  R 11, A 11, S 20"] and ui.hintsLabel.text == "Hints held: 1 of 1"
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 0
    np.testing.assert_array_equal(in_node(session), before)
    choose(running, list(session.keys)[1])
    assert listed() == []
    slicer.mrmlScene.Clear(False)
    assert listed() == [] and not ui.showHintsButton.checked


def check_a_point_deleted_while_work_goes_on_is_a_step_of_its_own(running, folder):
    session, ui = with_prior(running), running.ui
    for kji in ((8, 25, 14), (8, 30, 14)):
        click(running, kji)
    mask = in_node(session)
    ui.uncertaintyButton.click()
    assert running.jobs.running
    session.hint_nodes.positive.RemoveNthControlPoint(0)
    ui.undoButton.click()
    assert len(session.session.hints) == 2 and (in_node(session) == mask).all()
    assert session.hint_nodes.positive.GetNumberOfControlPoints() == 2
    ui.uncertaintyButton.click()
    session.hint_nodes.positive.RemoveNthControlPoint(0)
    choose(running, list(session.keys)[1])
    choose(running, list(session.keys)[0])
    assert len(session.session.hints) == 1


def check_windows_are_there_for_ct_and_only_for_it(running, folder):
    from HiDiffRefinePanel.windows import WINDOWS

    ui = running.ui
    volume = add_volume(slicer.mrmlScene)
    running.wait()

    def offered(model):
        ui.modelSelector.currentIndex = ui.modelSelector.findData(model)
        return ui.windowRow.isVisibleTo(running.window)

    assert offered("abdomen-ct") and not offered("hippocampus-mr") and offered("refiner-only")
    display = volume.GetDisplayNode()
    for button, window in ((ui.lungButton, (1500, -600)), (ui.abdomenButton, (400, 50))):
        button.click()
        assert (display.GetWindow(), display.GetLevel()) == window and not display.GetAutoWindowLevel()
    for name, (width, _level) in WINDOWS.items():
        assert f"Width {width}" in getattr(ui, f"{name}Button").toolTip
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    running.panel.refresh()
    assert not offered("refiner-only")
