"""An editing session on nodes: the session computes, the nodes show and save, and each follows the other."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from HiDiffRefineLib.geometry.boxes import voxel_box
from HiDiffRefineLib.hints.hint import Hint, bounds_ras
from HiDiffRefineLib.inference.messages import Preview, Progress
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.scene import segmentation_nodes as segmentations
from HiDiffRefineLib.scene.external_edits import ExternalEdits
from HiDiffRefineLib.scene.hint_nodes import (
    HintNodes,
    drop_new_points,
    make_room,
    new_hints,
    reopen,
    saved_hints,
    show_hints,
)
from HiDiffRefineLib.scene.labelmaps import Box, paste, slabs, within
from HiDiffRefineLib.scene.observers import Observers, observe_changes, observe_end
from HiDiffRefineLib.scene.segment_writer import SegmentWriter
from HiDiffRefineLib.scene.volume_nodes import volume_of
from HiDiffRefineLib.session.editing import SEED
from HiDiffRefineLib.session.engine import Models
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.session.steps import AnyStep, Step
from HiDiffRefineLib.volumes.provenance import made_here

# At a time, in a few milliseconds: the user interface waits meanwhile.
WRITTEN_VOXELS = 1_000_000


class SceneSession:
    """Segments of a segmentation node, corrected by hints from point lists and strokes.

    The segments are those of the node, by their IDs; the session's names follow. What others do to the nodes
    is only reported here (`changed`): `syncing` and `take_hints` act on it, once no job is open.

    Args:
        editor_node: settings of the Segment Editor, whose masking binds edits.
        changed: called whenever a node changed by other hands. It must do nothing but remember.
        gone: called when a node of the session is removed, or the image changes: the session must be closed.

    Raises:
        VolumeError: as `volume_of`; a segmentation of another geometry.
    """

    def __init__(
        self,
        volume_node,
        segmentation_node,
        hint_nodes: HintNodes,
        editor_node,
        models: Models,
        journal: Path | None = None,
        changed: Callable[[], None] = lambda: None,
        gone: Callable[[], None] = lambda: None,
    ):
        self.volume = volume_of(volume_node)
        self.volume_node, self.node, self.hint_nodes = volume_node, segmentation_node, hint_nodes
        self.writer = SegmentWriter(editor_node, segmentation_node, volume_node)
        self.session = RefinementSession(self.volume, models, journal)
        self.keys: dict[str, int] = {}  # of the session's layers, by segment ID
        self.external = ExternalEdits(self)
        self._observers = Observers()
        self._changed, self._gone = changed, gone
        self._writing = False
        reopen(hint_nodes, volume_node, self.volume)
        for segment_id in segmentations.segment_ids(segmentation_node):
            self.external.adopt(segment_id)
            name = self.name_of(segment_id)
            self.session.recall_hints(name, saved_hints(hint_nodes, segment_id, self.volume))
        if self.keys:
            self.select(next(iter(self.keys)))
        nodes = [volume_node, segmentation_node, editor_node, *hint_nodes]
        observe_changes(self._observers, segmentation_node, hint_nodes, self._on_changed)
        observe_end(self._observers, nodes, self._on_gone)

    def name_of(self, segment_id: str) -> str | None:
        """The session's name of a segment; None for one that it does not have."""
        key = self.keys.get(segment_id)
        return next((name for name, layer in self.session.state.layers.items() if layer.key == key), None)

    @property
    def selected(self) -> str | None:
        """ID of the segment that hints and edits concern."""
        if self.session.selected is None:
            return None
        key = self.session.state.layers[self.session.selected].key
        return next(segment_id for segment_id, its_key in self.keys.items() if its_key == key)

    def select(self, segment_id: str) -> None:
        """Directs hints and edits to a segment, and shows its hints."""
        self.session.select(self.name_of(segment_id))
        self.writer.editor_node.SetSelectedSegmentID(segment_id)
        with self._own_writes():
            make_room(self.hint_nodes, segment_id)
        self.show_hints()

    def add_segment(self, name: str) -> None:
        """An empty segment, which is selected."""
        with self._own_writes():
            segment_id = self.node.GetSegmentation().AddEmptySegment("", name)
            self.external.adopt(segment_id)
        self.writer.forget_states()
        self.select(segment_id)

    def segmenting(self, roi: tuple[RegionOfInterest, ...], progress: Progress) -> Iterator[None]:
        """Adds the segmentor's segments; None comes while there is nothing new, and between two segments."""
        with closing(self.session.segmenting(roi, progress)) as job:
            yield from job
        labels = self.session.engine.bundle.labels
        with self._own_writes():
            ids = segmentations.add_segments(self.node, labels)
        work = self._show_new(ids, [label.name for label in labels])
        try:
            for _ in work:
                yield None
        finally:
            # Cancelled now, the session has them all already: the node must, too.
            for _ in work:
                pass
            # States from before these segments would take them out again.
            self.writer.forget_states()
            self.select(ids[0])

    def _show_new(self, ids: list[str], names: list[str]) -> Iterator[None]:
        """Writes new segments, some slices at a time."""
        for segment_id, name in zip(ids, names, strict=True):
            found = self.session.state.layers[name].original
            for box in [] if found is None else slabs(found.box, WRITTEN_VOXELS):
                mask = self.session.mask(name)[box]
                with self._own_writes(), self.writer.unmasked():
                    self._write(segment_id, box, np.zeros_like(mask), mask)
                yield None
            with self._own_writes():
                segmentations.mark(self.node, segment_id, completed=False, made=self._made(name))
            self.external.met(segment_id, name)

    def new_hints(self) -> list[Hint]:
        """What the user placed since for the selected segment."""
        if self.selected is None:
            return []
        return new_hints(self.hint_nodes, self.selected, self.session.hints, self.volume)

    def take_hints(self) -> int:
        """Gives new points and paint to the selected segment; how many there were.

        Raises:
            HintError: one that could not hold. It and those after it are removed.
        """
        hints = self.new_hints()
        if not hints:
            return 0
        try:
            self.external.apply_masking()
            for hint in hints:
                self.session.add_hint(hint)
        finally:
            with self._own_writes():
                drop_new_points(self.hint_nodes)
            self.show_hints()
        return len(hints)

    def refining(self, steps: int | None = None) -> Iterator[Preview | None]:
        """Edits the selected segment by its new hints and shows each preview; see `RefinementSession.refine`.

        One undo step of the session and of the Segment Editor's logic.
        """
        segment_id, name = self.selected, self.session.selected
        self.external.apply_masking()
        before, pending = self._newest_step(), self.session.pending
        job = self.session.refine(steps, wait=False)
        shown: list[tuple[Box, np.ndarray]] = []
        try:
            for preview in job:
                if preview is not None:
                    self._show_part(segment_id, name, shown, preview.box, preview.mask)
                yield preview
        finally:
            job.close()
            if shown:
                self._show_edit(segment_id, shown, pending)
                step = self._newest_step()
                if step is before:
                    self.writer.forget_states()  # an error took the edit back
                else:
                    self.writer.edited(step)

    def undo(self) -> bool:
        """Takes back the newest edit, hand edit or waiting hint; False if there is none."""
        step = self._newest_step()
        return self.session.undo() and self._show_step(step, self.writer.undo)

    def redo(self) -> bool:
        """Does again what was undone last; False if there is nothing."""
        undone = self.session.state.undone
        step = undone[-1] if undone else None
        return self.session.redo() and self._show_step(step, self.writer.redo)

    def accept(self) -> None:
        """Marks the selected segment as completed."""
        with self._own_writes():
            segmentations.mark(self.node, self.selected, completed=True)

    def syncing(self, lock: bool) -> Iterator[None]:
        """Takes over what others did to the segments; None comes in between, for a timer to breathe.

        Args:
            lock: whether voxels edited by hand are locked against later edits.
        """
        before = self._hints()
        yield from self.external.taking_over(lock)
        # A stroke that is still to be taken would go otherwise.
        if self._hints() != before:
            self.show_hints()

    def show_hints(self) -> None:
        """Makes the hint nodes show the session's hints; strokes that were not taken go."""
        with self._own_writes():
            show_hints(self.hint_nodes, self._hints(), self.selected, self.volume)

    def show_mask(self, segment_id: str, box: Box) -> None:
        """Makes the node show the session's mask in a box, whatever masking says."""
        found = segmentations.segment_mask(self.node, segment_id, self.volume)
        after = self.session.mask(self.name_of(segment_id))[box]
        with self._own_writes(), self.writer.unmasked():
            self._write(segment_id, box, within(found, box), after)

    def close(self) -> None:
        """Ends the session, and observes nothing any more."""
        self._observers.release()
        self.session.close()

    def _show_part(
        self, segment_id: str, name: str, shown: list[tuple[Box, np.ndarray]], box: Box, mask: np.ndarray
    ) -> None:
        """Shows a preview in a box, on top of the session's mask and the previews shown so far."""
        before = self.session.mask(name)[box].copy()
        for earlier in shown:
            paste(before, box, earlier)
        with self._own_writes():
            if not self.writer.saved and (before != mask).any():
                self.writer.save_state()
            self._write(segment_id, box, before, mask)
        shown[:] = [*(earlier for earlier in shown if earlier[0] != box), (box, mask)]

    def _show_edit(
        self, segment_id: str, shown: list[tuple[Box, np.ndarray]], hints: tuple[Hint, ...]
    ) -> None:
        """Shows what became of an edit where that is not what its previews showed.

        What others changed there meanwhile stays in the node, for `syncing`.
        """
        mask = self.session.mask(self.name_of(segment_id))
        for n, (box, part) in enumerate(shown):
            before = part.copy()
            for later in shown[n + 1 :]:
                paste(before, box, later)
            with self._own_writes():
                self._write(segment_id, box, before, mask[box])
        for hint in hints:  # no preview may have reached it
            self.show_mask(segment_id, voxel_box(self.session.state.grid, bounds_ras(hint)))
        made = self._made(self.name_of(segment_id))
        with self._own_writes():
            segmentations.mark(self.node, segment_id, completed=False, made=made)

    def _made(self, name: str) -> dict[str, str]:
        """How a segment came about, for whoever it is exported to."""
        engine, hints = self.session.engine, self.session.state.layers[name].told.hints
        steps = engine.refiner_bundle.settings["steps"]
        return made_here(bundle=engine.bundle.name, seed=SEED, steps=steps, hints=len(hints))

    def _write(self, segment_id: str, box: Box, before: np.ndarray, after: np.ndarray) -> None:
        to_local = segmentations.ijk_to_local(self.node, self.volume)
        self.writer.write(segment_id, box, before, after, to_local)

    def _show_step(self, step: AnyStep, native: Callable[[AnyStep], None]) -> bool:
        """Makes the nodes follow a step that the session went, back or forth."""
        if isinstance(step, Step):
            segment_id = next(segment_id for segment_id, key in self.keys.items() if key == step.key)
            with self._own_writes():
                native(step)
            for block in step.blocks:
                self.show_mask(segment_id, block.box)
        else:
            with self._own_writes():
                came = self.external.show_segments()
            for segment_id in came:
                self.show_mask(segment_id, tuple(slice(0, n) for n in self.volume.array.shape))
        self.show_hints()
        return True

    def _on_gone(self, *_) -> None:
        self._gone()

    def _on_changed(self, *_) -> None:
        if not self._writing:
            self._changed()

    @contextmanager
    def _own_writes(self) -> Iterator[None]:
        """What is written here is no one else's change; one that was not seen yet stays one."""
        with self.external.own_writes():
            self._writing = True
            try:
                yield
            finally:
                self._writing = False

    def _hints(self) -> dict[str, tuple[Hint, ...]]:
        """By segment ID, those that are deleted included."""
        names = {segment_id: self.name_of(segment_id) for segment_id in self.keys}
        layers = self.session.state.layers
        return {segment_id: layers[name].told.hints if name else () for segment_id, name in names.items()}

    def _newest_step(self) -> AnyStep | None:
        done = self.session.state.done
        return done[-1] if done else None
