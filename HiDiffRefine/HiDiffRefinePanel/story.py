"""The module's own test: the whole story with the shipped models, on an image made here. Needs no network."""

import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
import slicer
import vtk

SHAPE = (40, 96, 96)
SPACING = (1.5, 1.5, 3.0)
# Voxels (k, j, i): in the middle of the bright ball, which lies in a corner, so that an edit does not reach
# everywhere, and twice at its rim; a stroke beside it.
MIDDLE, RIM, FAR_RIM = (20, 32, 32), (20, 32, 44), (20, 44, 32)
STROKE = (slice(20, 21), slice(14, 16), slice(28, 36))


def tell(say: Callable[[str], None]) -> None:
    """Segments, corrects by mouse and brush, undoes, saves, loads and corrects again.

    Args:
        say: called with what comes next.
    """
    from HiDiffRefineLib.scene.hint_nodes import stroke_id

    slicer.util.selectModule("HiDiffRefine")
    widget = slicer.modules.HiDiffRefineWidget
    say("Proving the installation")
    _wait(widget, 300)
    assert widget.panel.setup.proven, "the models cannot run here: press 'Set up' in the module first"
    volume = _made_up_ct()
    ui, editor = widget.panel.ui, widget.logic.editor
    ui.volumeSelector.setCurrentNode(volume)
    ui.modelSelector.currentIndex = ui.modelSelector.findData("abdomen-ct")

    say("Segmenting")
    ui.segmentButton.click()
    _wait(widget, 300)
    session = editor.session
    assert ui.segmentsTable.segmentCount == 13

    say("A segment of our own, drawn with the Segment Editor")
    ui.newSegmentButton.click()
    _draw(session.node, session.selected, session, _distances() < 21)
    _wait(widget, 30)
    name = session.session.selected
    first = session.session.mask(name).copy()
    assert first[MIDDLE] and first[RIM] and not session.session.hints

    say("A negative click with the mouse, in a slice view")
    segment_editor = slicer.vtkSlicerSegmentEditorLogic()  # as the Segment Editor has one, on the same node
    segment_editor.SetMRMLScene(slicer.mrmlScene)
    segment_editor.SetSegmentEditorNode(session.editor_node)
    session.saving = segment_editor.SaveStateForUndo
    others = session.session.labelmap()[~first]
    requests = _listen(session.session.engine)
    ui.negativePointButton.click()
    _click_in_view(volume, _ras(session, RIM))
    _wait(widget, 120)
    ui.negativePointButton.click()
    second = session.session.mask(name).copy()
    assert not second[RIM] and len(session.session.hints) == 1
    assert (session.session.labelmap()[~(first | second)] == others[~second[~first]]).all()
    elsewhere = np.ones(SHAPE, bool)
    for view in requests[-1].views:
        elsewhere[view.box] = False
    assert elsewhere.any() and (first == second)[elsewhere].all()

    say("Undo by the Segment Editor's logic, then redo")
    segment_editor.Undo()
    _wait(widget, 30)
    assert (session.session.mask(name) == first).all() and not session.session.hints
    ui.redoButton.click()
    assert (session.session.mask(name) == second).all() and len(session.session.hints) == 1

    say("A stroke")
    strokes = session.hint_nodes.strokes
    _draw(strokes, stroke_id(session.selected, positive=True), session, STROKE)
    _wait(widget, 120)
    third = session.session.mask(name).copy()
    assert third[STROKE].all() and not third[RIM] and len(session.session.hints) == 2

    say("Saving, closing, loading")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "story.mrb")
        assert slicer.mrmlScene.WriteToMRB(path)
        slicer.mrmlScene.Clear(False)
        assert editor.session is None
        assert slicer.mrmlScene.ReadFromMRB(path)
    _wait(widget, 30)
    ui.refineExistingButton.click()
    _wait(widget, 120)
    session = editor.session
    session.select(next(key for key in session.keys if session.name_of(key) == name))
    assert (session.session.mask(name) == third).all() and len(session.session.hints) == 2

    say("Refining on")
    point = vtk.vtkVector3d(*_ras(session, FAR_RIM))
    session.hint_nodes.negative.AddControlPointWorld(point)
    _wait(widget, 120)
    fourth = session.session.mask(name)
    assert not fourth[FAR_RIM] and not fourth[RIM] and fourth[STROKE].all()
    assert len(session.session.hints) == 3
    slicer.mrmlScene.Clear(False)
    say("The story ends well")


def _made_up_ct():
    """A bright ball of 24 mm in soft tissue, in Hounsfield units."""
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "made-up CT")
    node.SetSpacing(SPACING)
    node.SetOrigin(-72, -72, -60)
    array = np.where(_distances() < 24, 150, 20) + noise
    slicer.util.updateVolumeFromArray(node, array.astype(np.int16))
    node.CreateDefaultDisplayNodes()
    return node


def _distances() -> np.ndarray:
    """Of each voxel (k, j, i) from the ball's middle, in mm."""
    offsets = np.moveaxis(np.indices(SHAPE), 0, -1) - MIDDLE
    return np.linalg.norm(offsets * SPACING[::-1], axis=-1)


def _draw(node, segment_id: str, session, where) -> None:
    """What the Segment Editor's brush does: through a logic of its own."""
    from HiDiffRefineLib.scene.segment_writer import SegmentWriter
    from HiDiffRefineLib.scene.segmentation_nodes import ijk_to_local

    after = np.zeros(SHAPE, bool)
    after[where] = True
    box = tuple(slice(0, n) for n in SHAPE)
    writer = SegmentWriter(node, session.volume_node)
    writer.write(segment_id, box, np.zeros_like(after), after, ijk_to_local(node, session.volume))
    writer.close()


def _ras(session, kji) -> np.ndarray:
    return (session.volume.ijk_to_ras @ [*kji[::-1], 1])[:3]


def _click_in_view(volume, point_ras) -> None:
    """Moves the mouse to a point of the red slice view and clicks."""
    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    view = layout.sliceWidget("Red")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    node = view.mrmlSliceNode()
    node.JumpSliceByOffsetting(*point_ras)
    slicer.app.processEvents()
    to_xy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), to_xy)
    x, y, *_ = to_xy.MultiplyPoint((*point_ras, 1))
    place = round(x), round(y)
    slicer.util.clickAndDrag(view, None, place, place, steps=2)
    slicer.util.clickAndDrag(view, "Left", place, place, steps=1)


def _listen(engine) -> list:
    """Requests that the engine gets from now on."""
    requests, run = [], engine.run

    def listening(request, *arguments):
        requests.append(request)
        return run(request, *arguments)

    engine.run = listening
    return requests


def _wait(widget, timeout_s: float) -> None:
    """Lets the application run until nothing is left to do."""
    end = time.monotonic() + timeout_s
    while widget.logic.busy:
        assert time.monotonic() < end, widget.panel.ui.messageLabel.text
        slicer.app.processEvents()
        time.sleep(0.002)
