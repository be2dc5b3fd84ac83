"""Checks of the module's life in the application: scenes come, modules change, Python is read again."""

import numpy as np
import slicer
import slicer.util

from Testing.harness.application import running_module
from Testing.panel.panel_in_slicer import click, with_prior
from Testing.scene.made_up import add_volume, agree, in_node
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
