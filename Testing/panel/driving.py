"""The panel as a user drives it: a made-up head, an obedient model, clicks."""

import slicer
import vtk

from Testing.scene.made_up import add_volume, ras_of
from Testing.scene.obedient import ObedientModels


class ObedientWorker:
    """Stands in for the worker process."""

    def models(self, name, device, mode):
        return ObedientModels()

    def start(self):
        pass

    def stop(self):
        pass


def with_prior(running):
    """A made-up head, segmented by the obedient model."""
    running.editor.worker = ObedientWorker()
    add_volume(slicer.mrmlScene)
    running.wait()
    running.ui.segmentButton.click()
    running.wait()
    return running.editor.session


def click(running, kji, positive=True):
    place_point(running, kji, positive)
    running.wait()


def place_point(running, kji, positive=True):
    session = running.editor.session
    node = session.hint_nodes.positive if positive else session.hint_nodes.negative
    node.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, kji)))


def let_it_look(running):
    for _ in range(2):
        running.jobs.tick()
