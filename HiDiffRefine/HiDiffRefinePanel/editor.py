"""What the panel's buttons do: sessions opened, jobs started, one after the other. No widgets here."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from HiDiffRefinePanel.journals import kept, leftover_on, new_journal
from HiDiffRefinePanel.messages import told
from HiDiffRefinePanel.more_less import MoreLess
from HiDiffRefinePanel.nodes import complete, editor_settings, save_for_segment_editor
from HiDiffRefinePanel.overlay import Overlay

# Holds a hippocampus of an adult, and little else.
REGION_RADIUS_MM = 30.0
UNCERTAINTY_OPACITY = 0.6
# After the last change; a surface takes Slicer up to half a second, and hints come in quick succession.
SURFACES_AFTER_S = 1.0


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
        self.device = "auto"  # or "cpu", where the user says so
        self.leftover = None  # of a session on the chosen volume that a crash ended
        self.overlay = Overlay()
        self.before = None  # masks before their edits, of the session
        self.progress: Callable[[float, str], None] = lambda share, what: None
        self.say: Callable[[str], None] = lambda text: None
        self.shown: Callable[[], None] = lambda: None  # called when there is something new to show
        self._nodes: tuple | None = None  # volume and segmentation of the session that is open, or opened now
        self._journal = None  # held, so that no other 3D Slicer takes it for a leftover
        self._looked_at: tuple | None = None  # a volume, and how old its image was
        self._problem: str | None = None  # with a journal, as last told
        self._changed = False
        self.more_less = MoreLess(self)

    @property
    def waiting(self) -> bool:
        """Whether nodes changed or a level is wanted and nobody looked yet, or surfaces have to follow."""
        wanted = self._changed or self.more_less.wanted is not None
        return self.session is not None and (wanted or self.session.writer.stale_s is not None)

    def look(self) -> None:
        """The parameter node may name other nodes: then the session of the last ones ends."""
        if self._nodes not in (None, (self.parameters.volume, self.parameters.segmentation)):
            self.forget()

    def forget(self) -> None:
        """Ends the session; its nodes stay as they are."""
        if self._nodes is None:
            return
        self._nodes = None
        self.jobs.cancel()  # it may be opening it
        session, self.session = self.session, None
        if session is not None:
            self.before.close()
            self.before = None
            session.close()
            self._drop_journal(session.session.journal.path)
        self.shown()

    def close(self) -> None:
        """Ends the session and the worker."""
        self.forget()
        if self.worker is not None:
            self.worker.stop()
            self.worker = None

    def segment(self) -> None:
        """Has the model segment the volume."""
        self.jobs.start(self._segmenting(), self._warm_up)

    def refine_existing(self) -> None:
        """Opens the chosen segmentation for corrections."""
        self.jobs.start(self._opening(), self._warm_up)

    def recover(self) -> None:
        """Goes on with the session that a crash ended, in a new segmentation."""
        self.forget()
        self.parameters.model, self.parameters.segmentation = self.leftover.bundle, None
        self.jobs.start(self._opening(self.leftover.path), self._warm_up)

    def discard(self) -> None:
        """Deletes what the crash has left."""
        self.leftover.path.unlink(missing_ok=True)
        self.leftover = self._looked_at = None  # there may be more

    def discard_all(self) -> None:
        """Deletes what crashes have left, on whatever volume."""
        for path in kept():
            path.unlink(missing_ok=True)
        self.leftover = self._looked_at = None
        self.shown()

    def add_segment(self) -> None:
        """An empty segment, selected, to be started by a hint."""
        if self.session is None:
            self.jobs.start(self._opening(), self._add_segment)
        else:
            self.jobs.cancel()
            self._add_segment()

    def select(self, segment_id: str) -> None:
        """Directs hints to a segment."""
        self.jobs.cancel()
        self._take_hints()
        self.session.select(segment_id)
        self.shown()

    def delete_hint(self, hint) -> None:
        """Takes a hint of the selected segment back, as the deletion of its point does."""
        self.jobs.cancel()
        self._take_hints()
        self.session.withdraw(hint)
        self._on_changed()
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

    def uncertainty(self) -> None:
        """Shows where the refiner is unsure, or hides it."""
        if self.overlay.shown:
            self.overlay.hide()
        else:
            self._with_uncertainty(self._tell_places)

    def _with_uncertainty(self, then: Callable[[], None]) -> None:
        """Shows the places, computed where they were not since the last change, and goes on."""
        if self.session is None or self.session.selected is None:
            return
        if self.session.session.last_uncertainty is None:
            self.jobs.start(self.session.session.finding_uncertainty(), lambda: self._with_uncertainty(then))
            return
        segment = self.session.node.GetSegmentation().GetSegment(self.session.selected)
        if segment is not None:  # else deleted a moment ago, and nobody looked yet
            self._show_uncertainty(segment.GetColor())
            then()
        self.shown()

    def _show_uncertainty(self, segment_rgb) -> None:
        from HiDiffRefineLib.scene.uncertainty_node import show_uncertainty

        uncertainty, node = self.session.session.last_uncertainty, self.parameters.uncertainty
        self.parameters.uncertainty = show_uncertainty(uncertainty, self.parameters.volume, segment_rgb, node)
        self.overlay.show(self.parameters.uncertainty, UNCERTAINTY_OPACITY)

    def hide_old_uncertainty(self) -> None:
        """Takes the map away where the mask, a hint or the selected segment is another since."""
        if self.overlay.shown and (self.session is None or self.session.session.last_uncertainty is None):
            self.overlay.hide()

    def _tell_places(self) -> None:
        session = self.session.session
        uncertainty = session.last_uncertainty
        if uncertainty.places:
            percent = max(round(100 * uncertainty.share_of(session.mask()[uncertainty.box])), 1)
            text = _(
                "Doubtful places: {count}. About {percent} % ({volume:.1f} ml) of it is undecided. Key: D"
            )
            count, volume_ml = len(uncertainty.places), uncertainty.volume_ml
            self.say(text.format(count=count, percent=percent, volume=volume_ml))
        else:
            self.say(_("No place is doubtful: nothing is undecided but the border itself."))

    def next_doubtful_place(self) -> None:
        """Moves all slices to the next place where the refiner is unsure."""
        self._with_uncertainty(self._jump)

    def resume(self) -> None:
        """The module comes back to the front: work that its leaving ended, or hints meanwhile, may wait."""
        self._changed = True

    def attend(self) -> None:
        """Takes up what was done to the nodes since, when there is nothing else to do."""
        if self.parameters is None:
            return  # a scene is being loaded
        if self.session is None:
            self._look_for_leftover()
        elif self.more_less.wanted is not None:
            self.more_less.attend()
        elif self._changed:
            self._changed = False
            self.jobs.start(self.session.syncing(self.parameters.lockHandEdits), self._refine)
        elif self.waiting and self.session.writer.stale_s < SURFACES_AFTER_S:
            self.jobs.wake()
        else:
            self.settle()

    def settle(self) -> None:
        """What may follow later follows now."""
        if self.session is not None:
            self.session.update_surfaces()

    def _look_for_leftover(self) -> None:
        """Whether a crash has ended a session on the chosen volume, whenever there is another one."""
        volume = self.parameters.volume
        image = volume and volume.GetImageData()
        there = (volume, image.GetMTime()) if image else None
        if there != self._looked_at:
            self._looked_at, self.leftover = there, leftover_on(volume) if image else None
            self.shown()

    def _opening(self, leftover: Path | None = None) -> Iterator[None]:
        """Opens the session if there is none, on new nodes where the parameter node names none.

        Args:
            leftover: the journal to go on with.
        """
        if self.session is not None:
            return
        from HiDiffRefineLib.scene.before_node import BeforeNode
        from HiDiffRefineLib.scene.hint_nodes import HintNodes
        from HiDiffRefineLib.scene.scene_session import SceneSession
        from HiDiffRefineLib.scene.volume_nodes import volume_of
        from HiDiffRefineLib.session.engine import bundle_and_mode
        from HiDiffRefineLib.session.recovery import hold

        parameters = self.parameters
        volume_of(parameters.volume)  # what it refuses must not leave nodes behind
        new_nodes = complete(parameters)
        self._nodes = (parameters.volume, parameters.segmentation)
        hints = HintNodes(parameters.positive, parameters.negative, parameters.strokes)
        settings = editor_settings()
        gone = self.jobs.guard(self._on_gone)
        session = SceneSession(*self._nodes, hints, settings, self._on_changed, gone, self._on_saving)
        journal = leftover or new_journal()
        try:
            yield  # nodes have taken as long as a look at the volume will
            bundle, mode = bundle_and_mode(parameters.model)
            models = self._started_worker().models(bundle, self.device, mode)
            yield from session.restoring(models, journal) if leftover else session.opening(models, journal)
        except BaseException:  # cancelled, too
            self._nodes = None
            session.close()
            for node in new_nodes:
                slicer.mrmlScene.RemoveNode(node)
            if not leftover:
                self._drop_journal(journal)
            raise
        self.session, self.leftover, self.before = session, None, BeforeNode(session)
        self._journal = hold(journal)
        self._on_changed()  # hints that were placed, but not refined, when the scene was saved
        self.shown()

    def _segmenting(self) -> Iterator[None]:
        yield from self._opening()
        yield from self.session.segmenting(self._regions(), self.progress)

    def _add_segment(self) -> None:
        self.session.add_segment(_("New segment"))
        self.shown()

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

    def refine_now(self) -> None:
        """Refines by the hints that wait."""
        if self.session is not None:
            self._refine(now=True)

    def _refine(self, now: bool = False) -> None:
        self._take_hints()
        problem = self.session.session.journal.problem
        if problem and problem != self._problem:
            self._problem = problem
            self.say(problem)
        wanted = now or self.parameters.refineAtOnce
        if wanted and self.session.selected is not None and self.session.session.pending:
            self.jobs.start(self._refining(), self.shown, lambda preview: self.shown())
        self.shown()

    def _refining(self) -> Iterator:
        """Previews, until the user adds a hint: the newest must not wait, but where they all do."""
        with closing(self.session.refining()) as job:
            for preview in job:
                yield preview
                if self._changed and self.parameters.refineAtOnce and self.session.new_hints():
                    return

    def _take_hints(self) -> None:
        from HiDiffRefineLib.errors import HintError

        try:
            self.session.take_hints()
        except HintError as error:
            self.say(told(error))

    def _jump(self) -> None:
        session = self.session.session
        number = session.next_doubtful_place()
        if not session.last_uncertainty.places:
            self._tell_places()
        elif number is None:
            self.say(_("That was the last doubtful place. The next one is the first again."))
        else:
            place, count = session.last_uncertainty.places[number], len(session.last_uncertainty.places)
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place.point_ras)
            text = _("Doubtful place {number} of {count}: about {volume:.1f} ml of the mask may be wrong.")
            self.say(text.format(number=number + 1, count=count, volume=place.volume_ml))

    def _go(self, act: Callable) -> None:
        if self.session is not None:
            self.jobs.cancel()
            self.more_less.wanted = None
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

    def _drop_journal(self, path: Path) -> None:
        if self._journal is not None:
            self._journal.close()  # Windows deletes no open file
            self._journal = None
        with suppress(OSError):  # there may be none
            path.unlink()

    def _on_gone(self, why) -> None:
        self.forget()
        if why is not None:
            self.say(told(why))

    def compare(self) -> None:
        """Shows the selected segment as it was before its edits, or as it is again."""
        if self.before is not None:
            self.before.compare(not self.before.compared)
            self.shown()

    def _on_saving(self) -> None:
        self.before.remember()
        save_for_segment_editor(self._nodes[1])

    def _on_changed(self) -> None:
        self._changed = True
        self.jobs.wake()
