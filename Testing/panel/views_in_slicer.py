"""Clicks through slice views, and a shipped model in a real worker; run by `run_in_slicer`."""

import slicer

from Testing.harness.application import running_module
from Testing.harness.views import SliceView
from Testing.panel.driving import with_prior
from Testing.scene.made_up import add_volume, agree, in_node, ras_of
from Testing.slicer_checks import outcomes


def main() -> dict[str, str]:
    return outcomes(globals(), running_module)


def check_a_mouse_click_in_a_slice_view_is_a_hint(running, folder):
    session = with_prior(running)
    before = in_node(session)
    for orientation, kji in (("Axial", (8, 10, 14)), ("Sagittal", (9, 17, 10)), ("Coronal", (7, 9, 17))):
        view = SliceView(orientation)
        view.show(session.volume_node)
        view.look_at(ras_of(session, kji))
        running.ui.negativePointButton.click()
        view.click(ras_of(session, kji))
        running.wait()
        running.ui.negativePointButton.click()
        mask = in_node(session)
        assert not mask[kji] and agree(session), orientation
        assert mask[8, 18, 18] and (mask[:6] == before[:6]).all()
        view.close()
    assert len(session.session.hints) == 3
    slicer.mrmlScene.RemoveNode(session.hint_nodes.negative)
    running.wait()
    assert running.editor.session is None


def check_the_one_shot_network_segments_and_warns_of_an_unlike_image(running, folder):
    add_volume(slicer.mrmlScene)
    running.wait()
    selector = running.ui.modelSelector
    selector.currentIndex = selector.findData("hippocampus-mr (dssm)")
    assert "One-shot (DSSM)" in selector.currentText
    running.press(running.ui.segmentButton)
    session = running.editor.session
    assert "unlike the training data" in running.ui.messageLabel.text
    assert session.session.engine.mode == "dssm" and agree(session)
    assert session.session.segments == ["anterior hippocampus", "posterior hippocampus"]
    slicer.mrmlScene.Clear(False)
