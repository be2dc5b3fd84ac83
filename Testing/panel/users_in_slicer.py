"""A user who does anything, in any order, on the harness; run by `run_in_slicer`."""

import gc
import weakref

import numpy as np
import slicer
import vtk
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from Testing.harness.application import running_module
from Testing.panel.panel_in_slicer import ObedientWorker, with_prior
from Testing.scene.made_up import SHAPE, add_volume, agree, paint, ras_of
from Testing.slicer_checks import outcomes

VOXELS = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
ACTIONS = 100


def main() -> dict[str, str]:
    return outcomes(globals(), running_module)


class User(RuleBasedStateMachine):
    """Each rule is one action; most leave work open that the next one walks into.

    No preconditions: what is open differs from run to run, and hypothesis wants the same choices each time.
    """

    running = None  # the harness, one for all
    sessions = {}  # an observer that is left keeps its session alive

    def __init__(self):
        super().__init__()
        slicer.mrmlScene.Clear(False)
        self.running.editor.worker = ObedientWorker()
        add_volume(slicer.mrmlScene)
        self.running.wait()

    @property
    def session(self):
        session = self.running.editor.session
        if session is not None:
            self.sessions[id(session)] = weakref.ref(session)
        return session

    @rule()
    def segment(self):
        self.running.ui.segmentButton.click()

    @rule()
    def start_on_existing(self):
        self.running.ui.refineExistingButton.click()

    @rule()
    def new_segment(self):
        if self.running.ui.segmentSelector.count < 5:
            self.running.ui.newSegmentButton.click()

    @rule(kji=VOXELS, positive=st.booleans())
    def click(self, kji, positive):
        if not self.session:
            return
        nodes = self.session.hint_nodes
        point = vtk.vtkVector3d(*ras_of(self.session, kji))
        (nodes.positive if positive else nodes.negative).AddControlPointWorld(point)

    @rule(kji=VOXELS, on=st.sampled_from(["+", "−", "segment"]), remove=st.booleans())
    def brush(self, kji, on, remove):
        if not self.session or not self.session.selected:
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

    @rule(name=st.sampled_from(["undo", "redo", "reject", "accept", "doubt", "nextPlace", "cancel"]))
    def press(self, name):
        button = getattr(self.running.ui, f"{name}Button")
        if button.isEnabled():
            button.click()

    @rule(pen=st.sampled_from(["positivePoint", "negativePoint", "positiveStroke", "negativeStroke"]))
    def take_pen(self, pen):
        getattr(self.running.ui, f"{pen}Button").click()

    @rule(n=st.integers(0, 9))
    def select(self, n):
        if not self.session:
            return
        selector = self.running.ui.segmentSelector
        if selector.count:
            selector.currentIndex = n % selector.count
            selector.activated.emit(n % selector.count)

    @rule()
    def editors_undo(self):
        if self.session and self.session.writer.logic.CanUndo():
            self.session.writer.logic.Undo()

    @rule(n=st.integers(0, 9))
    def delete_segment(self, n):
        if not self.session:
            return
        segmentation = self.session.node.GetSegmentation()
        if segmentation.GetNumberOfSegments():
            segmentation.RemoveSegment(segmentation.GetNthSegmentID(n % segmentation.GetNumberOfSegments()))

    @rule(lock=st.booleans())
    def lock_hand_edits(self, lock):
        self.running.ui.lockCheckBox.checked = lock

    @rule()
    def leave_and_come_back(self):
        self.running.widget.exit()
        self.running.widget.enter()

    @rule()
    def remove_the_segmentation(self):
        if self.session:
            slicer.mrmlScene.RemoveNode(self.session.node)

    @rule(ticks=st.integers(1, 6))
    def wait_a_moment(self, ticks):
        for _ in range(ticks):
            self.running.jobs.tick()

    @rule()
    def wait_till_all_is_done(self):
        self.running.wait()
        assert not self.session or agree(self.session)

    def teardown(self):
        self.running.wait()
        assert not self.session or agree(self.session)


def check_a_hundred_actions_leave_no_error_no_node_and_no_observer(running, folder):
    with_prior(running)
    running.ui.positiveStrokeButton.click()
    User.running = running
    before = census()
    run_state_machine_as_test(
        User,
        settings=settings(
            max_examples=8,
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
