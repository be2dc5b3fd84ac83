"""A user who does anything, in any order, on the harness; run by `run_in_slicer`.

HIDIFF_ACTIONS says how many actions: 800 unless it is set.
"""

import gc
import os
import sys
import tempfile
import weakref
from pathlib import Path

import numpy as np
import slicer
import vtk
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from HiDiffRefineLib.errors import WorkerError
from HiDiffRefineLib.scene.observers import Observers
from Testing.harness.application import proven_module
from Testing.harness.segment_widgets import EYE, NAME, STATUS
from Testing.panel.driving import ObedientWorker, with_prior
from Testing.scene.made_up import SHAPE, add_transform, add_volume, agree, paint, ras_of, segment_editor
from Testing.scene.obedient import ObedientModels
from Testing.slicer_checks import outcomes

BUTTONS = ["undo", "redo", "accept", "compare", "uncertainty", "nextPlace", "refine", "lung", "cancel"]
COLUMNS = {"eye": EYE, "name": NAME, "status": STATUS}
VOXELS = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
ACTIONS = 100  # of one user
USERS = max(1, int(os.environ.get("HIDIFF_ACTIONS", 800)) // ACTIONS)


def main() -> dict[str, str]:
    return outcomes(globals(), proven_module)


class MortalWorker(ObedientWorker):
    """Dies at its next answer where it is told to."""

    doomed = False

    def models(self, name, device, mode):
        models = ObedientModels()
        models.open = lambda volume: self.mortal(ObedientModels.open(models, volume))
        return models

    def mortal(self, engine):
        run = engine.run

        def dying(*arguments):
            for answer in run(*arguments):
                if self.doomed:
                    self.doomed = False
                    raise WorkerError("The worker process ended twice over this.", "Try again.")
                yield answer

        engine.run = dying
        return engine


class User(RuleBasedStateMachine):
    """Each rule is one action; most leave work open that the next one walks into.

    No preconditions: what is open differs from run to run, and hypothesis wants the same choices each time.
    """

    running = None  # the harness, one for all
    sessions = {}  # an observer that is left keeps its session alive
    editors = weakref.WeakKeyDictionary()  # Segment Editors' logics

    def __init__(self):
        super().__init__()
        slicer.mrmlScene.Clear(False)
        self.begin()
        add_volume(slicer.mrmlScene)
        self.running.wait()

    def begin(self):
        """With another worker, and in a hurry."""
        self.running.editor.worker = MortalWorker()
        sys.modules["HiDiffRefinePanel.editor"].SURFACES_AFTER_S = 0.02

    @property
    def session(self):
        """That which is open, or else a new one: a user who has none can do little."""
        if self.running.editor.session is None:
            self.running.wait()
            (self.running.ui.segmentButton if self.fresh else self.running.ui.refineExistingButton).click()
            self.running.wait()
        session = self.running.editor.session
        self.sessions[id(session)] = weakref.ref(session)
        return session

    @property
    def fresh(self):
        return self.running.editor.parameters.segmentation is None

    @rule()
    def segment(self):
        self.running.ui.segmentButton.click()

    @rule()
    def start_on_existing(self):
        self.running.ui.refineExistingButton.click()

    @rule()
    def new_segment(self):
        if self.running.ui.segmentsTable.segmentCount < 5:
            self.running.ui.newSegmentButton.click()

    @rule(kji=VOXELS, positive=st.booleans())
    def click(self, kji, positive):
        nodes = self.session.hint_nodes
        point = vtk.vtkVector3d(*ras_of(self.session, kji))
        (nodes.positive if positive else nodes.negative).AddControlPointWorld(point)

    @rule(kji=VOXELS, on=st.sampled_from(["+", "−", "segment"]), remove=st.booleans())
    def brush(self, kji, on, remove):
        if not self.session.selected:
            return
        mask = np.zeros(SHAPE, bool)
        mask[tuple(slice(n, n + 3) for n in kji)] = True
        name = self.session.selected
        if name not in self.session.node.GetSegmentation().GetSegmentIDs():
            return  # deleted a moment ago, and nobody looked yet
        if on == "segment":
            paint(self.session.node, name, mask, self.session, remove)
        else:
            paint(self.session.hint_nodes.strokes, f"{on} {name}", mask, self.session)

    @rule(name=st.sampled_from(BUTTONS))
    def press(self, name):
        button = getattr(self.running.ui, f"{name}Button")
        if button.isEnabled():
            button.click()

    @rule(level=st.integers(1, 9))
    def more_or_less(self, level):
        if self.running.ui.extentSlider.enabled:
            self.running.ui.extentSlider.value = level

    @rule(kji=VOXELS, pen=st.sampled_from(["positivePoint", "negativePoint"]))
    def rest(self, kji, pen):
        ui, button = self.running.ui, getattr(self.running.ui, f"{pen}Button")
        ui.hoverCheckBox.checked = True
        if not button.checked:
            button.click()
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        crosshair.SetCursorPositionRAS(ras_of(self.session, kji))
        self.running.jobs.guard(self.running.panel.hover._ask)()

    @rule(pen=st.sampled_from(["positivePoint", "negativePoint", "positiveStroke", "negativeStroke"]))
    def take_pen(self, pen):
        getattr(self.running.ui, f"{pen}Button").click()

    @rule(n=st.integers(0, 9))
    def select(self, n):
        table = self.running.ui.segmentsTable
        if table.segmentCount:
            table.setSelectedSegmentIDs([table.segmentIDForRow(n % table.segmentCount)])

    @rule(n=st.integers(0, 9), column=st.sampled_from(["eye", "status"]))
    def click_in_table(self, n, column):
        table = self.running.ui.segmentsTable
        if table.segmentCount:
            row = n % table.segmentCount
            table.tableWidget().cellClicked.emit(row, COLUMNS[column])

    @rule(n=st.integers(0, 9), name=st.sampled_from(["a", "b", ""]))
    def rename(self, n, name):
        table = self.running.ui.segmentsTable
        if table.segmentCount:
            table.tableWidget().item(n % table.segmentCount, COLUMNS["name"]).setText(name)

    @rule(row=st.integers(0, 5), delete=st.booleans())
    def use_hint_list(self, row, delete):
        ui = self.running.ui
        if ui.hintList.count:
            ui.hintList.currentRow = row % ui.hintList.count
            (ui.deleteHintButton if delete else ui.showHintsButton).click()

    @rule(at_once=st.booleans())
    def let_hints_wait(self, at_once):
        self.running.ui.atOnceCheckBox.checked = at_once

    @rule(opacity=st.floats(0, 1))
    def set_opacity(self, opacity):
        self.running.ui.opacitySlider.value = opacity


    @rule()
    def editors_undo(self):
        session = self.session
        logic = self.editors.get(session)
        if logic is None:
            self.editors[session] = segment_editor(session)
        elif logic.CanUndo():
            logic.Undo()

    @rule(n=st.integers(0, 9))
    def delete_segment(self, n):
        segmentation = self.session.node.GetSegmentation()
        if segmentation.GetNumberOfSegments():
            segmentation.RemoveSegment(segmentation.GetNthSegmentID(n % segmentation.GetNumberOfSegments()))

    @rule()
    def show_3d(self):
        if self.running.ui.show3DButton.enabled:
            self.running.ui.show3DButton.click()

    @rule(lock=st.booleans())
    def lock_hand_edits(self, lock):
        self.running.ui.lockCheckBox.checked = lock

    @rule(kji=VOXELS, ticks=st.integers(0, 3))
    def leave_and_come_back(self, kji, ticks):
        points = self.session.hint_nodes.positive
        self.running.leave()
        if ticks:
            points.AddControlPointWorld(vtk.vtkVector3d(*ras_of(self.session, kji)))
        for _ in range(ticks):
            slicer.app.processEvents()
        self.running.enter()

    @rule()
    def other_modules_take_the_mouse(self):
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        placing = interaction.GetCurrentInteractionMode() == interaction.Place
        interaction.SetCurrentInteractionMode(interaction.ViewTransform if placing else interaction.Place)

    @rule()
    def save_and_load_the_scene(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "scene.mrb")
            assert slicer.mrmlScene.WriteToMRB(file)
            slicer.mrmlScene.Clear(False)
            assert slicer.mrmlScene.ReadFromMRB(file)

    @rule()
    def read_the_module_again(self):
        self.running.widget.onReload()
        self.begin()
        self.running.wait()

    @rule()
    def kill_the_worker(self):
        self.running.editor.worker.doomed = True

    @rule(n=st.integers(0, 9), positive=st.booleans())
    def delete_point(self, n, positive):
        points = self.session.hint_nodes.positive if positive else self.session.hint_nodes.negative
        if points.GetNumberOfControlPoints():
            points.RemoveNthControlPoint(n % points.GetNumberOfControlPoints())

    @rule(mode=st.integers(0, 5), intensities=st.booleans())
    def choose_masking(self, mode, intensities):
        editor_node = self.session.editor_node
        editor_node.SetMaskMode(mode)
        editor_node.SetSourceVolumeIntensityMask(intensities)
        editor_node.SetSourceVolumeIntensityMaskRange(100, 700)

    @rule(what=st.sampled_from(["volume", "segmentation", "positive", "negative", "strokes", "uncertainty"]))
    def remove_a_node(self, what):
        node = getattr(self.running.editor.parameters, what)
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
        if what == "volume":
            add_volume(slicer.mrmlScene)

    @rule(move=st.booleans())
    def exchange_the_image_or_its_place(self, move):
        volume = self.running.editor.parameters.volume
        if volume is None:
            return
        if move:
            volume.SetAndObserveTransformNodeID(add_transform(slicer.mrmlScene, np.eye(4)).GetID())
        else:
            slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume).copy())

    @rule()
    def close_the_scene(self):
        slicer.mrmlScene.Clear(False)
        add_volume(slicer.mrmlScene)

    @rule()
    def crash_and_go_on(self):
        if not self.session.session.segments:
            return
        journal = self.session.session.journal.path
        written = journal.read_bytes()
        self.close_the_scene()
        journal.write_bytes(written)
        self.running.wait()
        for _ in range(2):
            self.running.jobs.guard(self.running.jobs.tick)()
        self.running.press(self.running.ui.recoverButton)
        assert self.running.editor.session.session.segments

    @rule(ticks=st.integers(1, 6))
    def wait_a_moment(self, ticks):
        for _ in range(ticks):
            self.running.jobs.guard(self.running.jobs.tick)()

    @rule()
    def wait_till_all_is_done(self):
        self.running.wait()
        session = self.running.editor.session
        assert session is None or agree(session)
        gc.collect()
        observing = [thing for thing in gc.get_objects() if isinstance(thing, Observers) and thing._tags]
        assert len(observing) == (session is not None)

    def teardown(self):
        self.wait_till_all_is_done()


def check_a_hundred_actions_leave_no_error_no_node_and_no_observer(running, folder):
    with_prior(running)
    running.ui.positiveStrokeButton.click()
    User.running = running
    before = census()
    run_state_machine_as_test(
        User,
        settings=settings(
            max_examples=USERS,
            stateful_step_count=ACTIONS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    slicer.mrmlScene.Clear(False)
    running.wait()
    assert running.editor.session is None
    assert not list(Path(slicer.app.temporaryPath).rglob("*.jsonl"))
    after = census()
    assert User.sessions and not [ref for ref in User.sessions.values() if ref() is not None]
    assert after == before, (before, after)


def census() -> dict[str, int]:
    """Nodes by class, once all is cleared."""
    slicer.mrmlScene.Clear(False)
    gc.collect()
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNode(n).GetClassName() for n in range(scene.GetNumberOfNodes())]
    return {name: nodes.count(name) for name in sorted(set(nodes))}
