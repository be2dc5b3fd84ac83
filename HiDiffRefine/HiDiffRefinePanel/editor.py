"""What the panel's buttons do: sessions opened, jobs started, one after the other. No widgets here."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import slicer
from slicer.i18n import tr as _

# Holds a hippocampus of an adult, and little else.
REGION_RADIUS_MM = 30.0


def python_path() -> str:
    """The interpreter that the worker runs in."""
    path = os.path.join(slicer.app.slicerHome, "bin", "PythonSlicer")
    return next((p for p in (path, f"{path}.exe") if os.path.exists(p)), sys.executable)


class Editor:
    """The session on the nodes that the parameter node names, and the worker behind it.

    What the user did to nodes is only noted; the next idle moment takes it up, and then hints are refined at
    once: a newer hint ends the work on an older one, whose last preview counts.
    """

    def __init__(self, jobs):
        self.jobs = jobs
        self.parameters = None
        self.session = None
        self.worker = None
        self.progress: Callable[[float, str], None] = lambda share, what: None
        self.say: Callable[[str], None] = lambda text: None
        self.shown: Callable[[], None] = lambda: None  # called when there is something new to show
        self._changed = False
        jobs.idle = self.attend

    @property
    def waiting(self) -> bool:
        """Whether nodes changed and nobody looked yet."""
        return self._changed and self.session is not None

    def open(self) -> None:
        """Opens the session if there is none; new nodes are made for what the parameter node does not name.

        Raises:
            HiDiffRefineError: the volume, the segmentation or the model cannot be used.
        """
        if self.session is not None:
            return
        from HiDiffRefineLib.scene.hint_nodes import HintNodes, new_hint_nodes
        from HiDiffRefineLib.scene.scene_session import SceneSession
        from HiDiffRefineLib.scene.segmentation_nodes import new_segmentation
        from HiDiffRefineLib.scene.volume_nodes import volume_of

        parameters = self.parameters
        volume_of(parameters.volume)  # what it refuses must not leave nodes behind
        if parameters.segmentation is None:
            name = f"{parameters.volume.GetName()} segmentation"
            parameters.segmentation = new_segmentation(parameters.volume, name)
        if None in (parameters.positive, parameters.negative, parameters.strokes):
            parameters.positive, parameters.negative, parameters.strokes = new_hint_nodes(parameters.volume)
        hints = HintNodes(parameters.positive, parameters.negative, parameters.strokes)
        self.session = SceneSession(
            parameters.volume,
            parameters.segmentation,
            hints,
            _editor_settings(),
            self._started_worker().models(parameters.model),
            _journal_path(),
            self._on_changed,
            self.forget,
        )
        self._changed = True  # hints that were placed, but not refined, when the scene was saved
        self.shown()

    def forget(self) -> None:
        """Ends the session; its nodes stay as they are."""
        if self.session is None:
            return
        self.jobs.cancel()
        session, self.session = self.session, None
        session.close()
        with suppress(OSError):
            session.session.journal.path.unlink()
        self.shown()

    def close(self) -> None:
        """Ends the session and the worker."""
        self.forget()
        if self.worker is not None:
            self.worker.stop()
            self.worker = None

    def segment(self) -> None:
        """Has the model segment the volume."""
        self.open()
        self.jobs.start(self.session.segmenting(self._regions(), self.progress), self._warm_up)

    def refine_existing(self) -> None:
        """Opens the chosen segmentation for corrections."""
        self.open()
        self._warm_up()

    def add_segment(self) -> None:
        """An empty segment, selected, to be started by a hint."""
        self.open()
        self.jobs.cancel()
        self.session.add_segment(_("New segment"))
        self.shown()

    def select(self, segment_id: str) -> None:
        """Directs hints to a segment."""
        self.jobs.cancel()
        self._take_hints()
        self.session.select(segment_id)
        self.shown()

    def undo(self) -> None:
        """Takes the newest step back."""
        self._go(lambda session: session.undo())

    def redo(self) -> None:
        """Does it again."""
        self._go(lambda session: session.redo())

    def accept(self) -> None:
        """Marks the selected segment as completed."""
        self._go(lambda session: session.accept())

    def doubt(self, then: Callable[[], None] = lambda: None) -> None:
        """Computes and shows where the refiner is unsure, and what comes `then`."""
        if self.session is None or self.session.selected is None:
            return
        from HiDiffRefineLib.scene.volume_nodes import show_doubt

        def show(doubt) -> None:
            self.parameters.doubt = show_doubt(doubt, self.parameters.volume, self.parameters.doubt)
            slicer.util.setSliceViewerLayers(foreground=self.parameters.doubt, foregroundOpacity=0.6)

        self.jobs.start(self.session.session.doubting(), then, show)

    def next_doubtful_place(self) -> None:
        """Moves all slices to the next place where the refiner is unsure."""
        if self.session is None or self.session.selected is None:
            return
        if self.session.session.doubted:
            self._jump()
        else:
            self.doubt(self._jump)

    def attend(self) -> None:
        """Takes up what was done to the nodes since, when there is nothing else to do."""
        if self.waiting:
            self._changed = False
            self.jobs.start(self.session.syncing(self.parameters.lockHandEdits), self._refine)

    def _regions(self) -> tuple:
        """Where the model looks: everywhere, or around the crosshair if it was made for small regions."""
        from HiDiffRefineLib.geometry.grids import Grid
        from HiDiffRefineLib.inference.roi import RegionOfInterest

        volume, limit_mm = self.session.volume, self.session.session.engine.bundle.settings.get("region_mm")
        low, high = Grid(volume.array.shape, volume.ijk_to_ras).bounds_ras()
        if limit_mm is None or (high - low).max() <= limit_mm:
            return ()
        center_ras = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode").GetCrosshairRAS()
        return (RegionOfInterest(center_ras, REGION_RADIUS_MM),)

    def _refine(self) -> None:
        self._take_hints()
        if self.session.selected is not None and self.session.session.pending:
            self.jobs.start(self._refining(), self.shown, lambda preview: self.shown())
        self.shown()

    def _refining(self) -> Iterator:
        """Previews, until the user adds a hint: the newest must not wait."""
        with closing(self.session.refining()) as job:
            for preview in job:
                yield preview
                if self._changed and self.session.new_hints():
                    return

    def _take_hints(self) -> None:
        from HiDiffRefineLib.errors import HintError

        try:
            self.session.take_hints()
        except HintError as error:
            self.say(f"{error.message} {error.remedy}")

    def _jump(self) -> None:
        place_ras = self.session.session.next_doubtful_place()
        if place_ras is None:
            self.say(_("That was the last doubtful place. The next one is the first again."))
        else:
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place_ras)

    def _go(self, act: Callable) -> None:
        if self.session is not None:
            self.jobs.cancel()
            act(self.session)
            self.shown()

    def _warm_up(self) -> None:
        self.shown()
        self.jobs.start(self.session.session.warming_up(self.progress))

    def _started_worker(self):
        from HiDiffRefineLib.runtime.worker import Worker

        if self.worker is None:
            self.worker = Worker(python_path(), lambda text: self.say(text))
        self.worker.start()
        return self.worker

    def _on_changed(self) -> None:
        self._changed = True


def _editor_settings():
    """The Segment Editor's own settings, so that masking chosen there binds edits here."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag("SegmentEditor")
        node = scene.AddNode(node)
    return node


def _journal_path() -> Path:
    return Path(slicer.app.temporaryPath) / f"hidiffrefine-{os.getpid()}-{time.time_ns()}.jsonl"
