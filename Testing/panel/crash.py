"""A program that is killed in the middle of an edit, and the next, which goes on; run by `run_in_slicer`."""

import os
import signal
from pathlib import Path

import slicer
import vtk

from Testing.harness.application import proven_module
from Testing.panel.driving import ObedientWorker, click, let_it_look, with_prior
from Testing.scene.made_up import add_volume, agree, in_node, ras_of

LAST = (8, 30, 14)


def main(act: str, folder: str) -> dict:
    with proven_module() as running:
        slicer.app.slicerUserSettingsFilePath = str(Path(folder) / "Slicer.ini")
        return work(running) if act == "work" else go_on(running)


def work(running) -> None:
    session = with_prior(running)
    click(running, (8, 25, 14))
    click(running, (8, 10, 10), False)
    session.hint_nodes.positive.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, LAST)))
    running.wait(lambda: running.jobs.running and len(session.session.hints) == 3)
    os.kill(os.getpid(), signal.SIGKILL)


def go_on(running) -> dict:
    running.editor.worker = ObedientWorker()
    add_volume(slicer.mrmlScene)
    let_it_look(running)
    running.press(running.ui.recoverButton)
    session = running.editor.session
    return {
        "hints": running.ui.hintsLabel.text,
        "met": bool(in_node(session)[LAST]),
        "agree": agree(session),
    }
