"""Checks of what the panel shows before a click, the mouse over real slice views; run by `run_in_slicer`."""

import numpy as np
import slicer

from HiDiffRefineLib.geometry.boxes import whole_box
from HiDiffRefineLib.scene.segmentation_nodes import mask_in
from Testing.harness.application import proven_module
from Testing.harness.views import SliceView
from Testing.panel.driving import place_point, with_prior
from Testing.scene.made_up import SHAPE, agree, in_node, ras_of
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), proven_module)


def check_the_line_around_what_a_click_would_do_is_what_it_does(running, folder):
    session, ui = with_prior(running), running.ui
    view = resting_view(running, (8, 25, 14))
    before, nodes = in_node(session), node_ids()
    rest(running, view, (8, 25, 14))
    assert node_ids() == nodes, "off on a processor"
    ui.hoverCheckBox.click()
    rest(running, view, (8, 25, 14))
    assert node_ids() == nodes, "no pen in hand"
    for kji, positive in (((8, 25, 14), True), ((8, 10, 14), False)):
        button = ui.positivePointButton if positive else ui.negativePointButton
        written, undone = session.session.journal.path.read_bytes(), list(session.session.state.undone)
        nodes = node_ids()
        button.click()
        rest(running, view, kji)
        line = line_of(session)
        assert line is not None and line[kji]
        np.testing.assert_array_equal(in_node(session), before)
        assert not session.session.state.done and session.session.state.undone == undone
        assert not session.session.hints and session.session.journal.path.read_bytes() == written
        view.move(ras_of(session, (8, 30, 5)))
        assert node_ids() == nodes, "it goes as the mouse does"
        rest(running, view, (8, 10, 14) if positive else (8, 25, 14))
        assert node_ids() == nodes, "nothing is asked for there"
        rest(running, view, kji)
        assert (line_of(session) == line).all()
        view.click(ras_of(session, kji))
        running.wait()
        np.testing.assert_array_equal(in_node(session) ^ before, line)
        assert line_of(session) is None and agree(session) and len(session.session.hints) == 1
        ui.undoButton.click()
        button.click()
    assert (in_node(session) == before).all() and not session.session.hints
    view.close()


def check_where_a_click_cannot_land_the_reason_is_told_beforehand(running, folder):
    session, ui = with_prior(running), running.ui
    view = resting_view(running, (15, 10, 10))
    nodes = node_ids()
    ui.hoverCheckBox.click()
    ui.positivePointButton.click()
    rest(running, view, (15, 10, 10))
    assert "posterior hippocampus" in ui.messageLabel.text and node_ids() == nodes
    view.move(ras_of(session, (15, 30, 10)))
    assert not ui.messageLabel.text
    rest(running, view, (15, -3, 10))
    assert "outside" in ui.messageLabel.text
    view.leave()
    assert not ui.messageLabel.text and not session.session.hints
    rest(running, view, (15, 30, 10))
    assert line_of(session) is not None
    running.leave()
    assert node_ids() == nodes
    view.move(ras_of(session, (15, 31, 10)))
    assert not running.jobs.running
    view.close()
    running.enter()


def check_a_question_waits_for_nobody_and_nobody_for_it(running, folder):
    session, ui = with_prior(running), running.ui
    view = resting_view(running, (8, 25, 14))
    ui.hoverCheckBox.click()
    ui.positivePointButton.click()
    view.move(ras_of(session, (8, 25, 14)))
    running.wait(lambda: running.jobs.running)
    assert not running.jobs.seen and not ui.progressBar.visible and ui.exportSection.enabled
    place_point(running, (8, 30, 14))  # while the question is open
    running.wait()
    assert in_node(session)[8, 30, 14] and agree(session) and line_of(session) is None
    place_point(running, (8, 28, 20))
    running.wait(lambda: running.jobs.seen)
    view.move(ras_of(session, (8, 25, 14)))
    running.panel.hover._ask()
    assert running.jobs.seen, "an edit is not disturbed"
    running.wait()
    assert len(session.session.hints) == 2 and not session.session.pending and agree(session)
    view.close()


def resting_view(running, kji):
    """A slice through a voxel, in which the mouse may rest."""
    view = SliceView("Axial")
    view.show(running.editor.session.volume_node)
    view.look_at(ras_of(running.editor.session, kji))
    return view


def rest(running, view, kji) -> None:
    """The mouse moves to a voxel and stays until what may be asked has been answered."""
    hover = running.panel.hover
    view.move(ras_of(running.editor.session, kji))
    running.wait(lambda: not hover._timer.active)
    running.wait()


def node_ids() -> list[str]:
    """Of all nodes but those of the mouse itself."""
    nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    return [node.GetID() for node in nodes]


def line_of(session):
    """What the line is around, (k, j, i) bool; None if there is none."""
    node = slicer.mrmlScene.GetFirstNodeByName("HiDiffRefine question")
    if node is None:
        return None
    assert not node.GetSaveWithScene() and node.GetHideFromEditors()
    return mask_in(node, node.GetSegmentation().GetNthSegmentID(0), session.volume, whole_box(SHAPE))
