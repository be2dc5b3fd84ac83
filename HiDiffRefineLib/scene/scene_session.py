"""An editing session on nodes: the session computes, the nodes show and save, and each follows the other."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.inference.messages import Preview, Progress
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.scene import hint_nodes as nodes_of_hints
from HiDiffRefineLib.scene import segmentation_nodes as segmentations
from HiDiffRefineLib.scene.external_edits import ExternalEdits
from HiDiffRefineLib.scene.hint_nodes import HintNodes
from HiDiffRefineLib.scene.masking import masked
from HiDiffRefineLib.scene.observers import Observers, observe_changes, observe_end
from HiDiffRefineLib.scene.segment_writer import SegmentWriter
from HiDiffRefineLib.scene.shown_masks import ShownEdit, mark_made, show_mask, show_segments, showing, write
from HiDiffRefineLib.scene.volume_nodes import volume_of
from HiDiffRefineLib.session.engine import Models
from HiDiffRefineLib.session.examining import examining
from HiDiffRefineLib.session.journal import restoring
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.session.steps import AnyStep, Step


class SceneSession:
    """Segments of a segmentation node, corrected by hints from point lists and strokes.

    The segments are those of the node, by their IDs; the session's names follow. What others do to the nodes
    is only reported here (`changed`): `syncing` and `take_hints` act on it, once no job is open.

    Run `opening` or `restoring` to its end before anything else.

    Args:
        editor_node: settings of the Segment Editor, whose masking binds edits.
        changed: called whenever a node changed by other hands. It must do nothing but remember.
        gone: called when a node of the session is removed, or the image or its place changes, with a
            `SessionError` that says so; with None when the scene closes. The session must be closed.
        saving: called before an edit first changes a voxel, for histories of others.

    Raises:
        VolumeError: as `volume_of`.
    """

    def __init__(
        self,
        volume_node,
        segmentation_node,
        hint_nodes: HintNodes,
        editor_node,
        changed: Callable[[], None] = lambda: None,
        gone: Callable[[SessionError | None], None] = lambda why: None,
        saving: Callable[[], None] = lambda: None,
    ):
        self.volume = volume_of(volume_node)
        self.volume_node, self.node, self.hint_nodes = volume_node, segmentation_node, hint_nodes
        self.editor_node = editor_node
        editor_node.SetAndObserveSegmentationNode(segmentation_node)
        editor_node.SetAndObserveSourceVolumeNode(volume_node)
        self.writer = SegmentWriter(segmentation_node, volume_node)
        self.saving = saving
        self.session: RefinementSession | None = None
        self.keys: dict[str, int] = {}  # of the session's layers, by segment ID
        self.external = ExternalEdits(self)
        self._observers = Observers()
        self._changed = changed
        self._writing = False
        observe_changes(self._observers, segmentation_node, hint_nodes, self._on_changed)
        nodes = [volume_node, segmentation_node, editor_node, *hint_nodes]
        observe_end(self._observers, nodes, gone)

    def opening(self, models: Models, journal: Path | None = None) -> Iterator[None]:
        """Begins a session with the segments and hints that the nodes hold; None comes in between.

        Raises:
            VolumeError: as `RefinementSession`; a segmentation of another geometry.
        """
        checksum = yield from examining(self.volume)
        self._begin(RefinementSession(self.volume, models, journal, checksum))
        for segment_id in segmentations.segment_ids(self.node):
            yield from self.external.adopting(segment_id)
            hints = nodes_of_hints.saved_hints(self.hint_nodes, segment_id, self.volume)
            self.session.recall_hints(self.name_of(segment_id), hints)
        if self.keys:
            self.select(next(iter(self.keys)))

    def restoring(self, models: Models, journal: Path) -> Iterator[None]:
        """Goes on with the session of a journal, on nodes that are empty; None comes in between.

        Raises:
            SessionError: as `journal.restore`.
        """
        self._begin((yield from restoring(journal, self.volume, models)))
        for segment_id in show_segments(self):
            yield from showing(self, segment_id)
        if self.selected is not None:
            self.select(self.selected)

    def name_of(self, segment_id: str) -> str | None:
        """The session's name of a segment; None for one that it does not have."""
        key = self.keys.get(segment_id)
        return next((name for name, layer in self.session.state.layers.items() if layer.key == key), None)

    @property
    def selected(self) -> str | None:
        """ID of the segment that hints and edits concern."""
        if self.session.selected is None:
            return None
        return self._id_of(self.session.state.layers[self.session.selected].key)

    def select(self, segment_id: str) -> None:
        """Directs hints and edits to a segment, and shows its hints."""
        self.session.select(self.name_of(segment_id))
        self.editor_node.SetSelectedSegmentID(segment_id)
        with self.own_writes():
            nodes_of_hints.make_room(self.hint_nodes, segment_id)
        self.show_hints()

    def add_segment(self, name: str) -> None:
        """An empty segment, which is selected."""
        with self.own_writes():
            segment_id = segmentations.add_segment(self.node, name, None)
            for _ in self.external.adopting(segment_id):
                pass
        self.select(segment_id)

    def segmenting(self, roi: tuple[RegionOfInterest, ...], progress: Progress) -> Iterator[None]:
        """Adds the segmentor's segments; None comes while there is nothing new, and between two segments."""
        with closing(self.session.segmenting(roi, progress)) as job:
            yield from job
        ids = show_segments(self)
        work = chain.from_iterable(showing(self, segment_id) for segment_id in ids)
        try:
            for _ in work:
                yield None
        finally:
            # Cancelled now, the session has them all already: the node must, too.
            for _ in work:
                pass
            for segment_id in () if roi else ids:  # whoever chooses a region has a part in it
                mark_made(self, segment_id, automatic=True)
            self.select(ids[0])

    def new_hints(self) -> list[Hint]:
        """What the user placed since for the selected segment."""
        if self.selected is None:
            return []
        return nodes_of_hints.new_hints(self.hint_nodes, self.selected, self.session.hints, self.volume)

    def take_hints(self) -> int:
        """Gives new points and paint to the selected segment; how many there were.

        A point that was deleted is a hint withdrawn.

        Raises:
            HintError: one that could not hold. It and those after it are removed.
        """
        self.withdraw_deleted()
        hints = self.new_hints()
        if not hints:
            return 0
        try:
            for hint in hints:
                self.session.add_hint(hint)
        finally:
            with self.own_writes():
                nodes_of_hints.drop_new_points(self.hint_nodes)
            self.show_hints()
        return len(hints)

    def refining(self, steps: int | None = None) -> Iterator[Preview | None]:
        """Edits the selected segment by its new hints and shows each preview; see `RefinementSession.refine`.

        One undo step of the session, and of whoever `saving` tells.
        """
        pending = self.session.pending
        job = self.session.refine(steps, wait=False)
        edit = ShownEdit(self, self.selected)
        try:
            for preview in job:
                if preview is not None:
                    edit.show(preview.box, preview.mask)
                yield preview
        finally:
            job.close()
            if edit:
                edit.settle(pending)

    def extending(self, level: int) -> Iterator[None]:
        """Takes more or less of the newest edit, see `RefinementSession.set_extent`; None comes halfway."""
        extent = self.session.state.extent
        before = None if extent is None else self.session.mask()[extent.extents.box].copy()
        if not self.session.set_extent(level):
            return
        box, segment_id = extent.extents.box, self.selected
        try:
            yield None
        finally:
            # Cancelled now, the session has it already: the node must, too.
            write(self, segment_id, box, before, self.session.mask()[box])

    def withdraw_deleted(self) -> None:
        """Withdraws hints whose points the user has deleted since, before hints are shown anew."""
        for segment_id, hints in self._hints().items():
            removed = nodes_of_hints.removed_hints(self.hint_nodes, segment_id, hints)
            if removed:
                self.session.withdraw(self.name_of(segment_id), removed)

    def withdraw(self, hint: Hint) -> None:
        """Withdraws a hint of the selected segment, if it is still there; the mask stays."""
        numbers = [n for n, one in enumerate(self.session.hints) if one is hint]
        self.session.withdraw(self.session.selected, numbers)
        self.show_hints()

    def undo(self) -> bool:
        """Takes back the newest edit, hand edit or waiting hint; False if there is none."""
        self.withdraw_deleted()
        step = self._newest_step()
        return self.session.undo() and self._show_step(step)

    def redo(self) -> bool:
        """Does again what was undone last; False if there is nothing."""
        self.withdraw_deleted()
        undone = self.session.state.undone
        step = undone[-1] if undone else None
        return self.session.redo() and self._show_step(step)

    def accept(self) -> None:
        """Marks the selected segment as completed."""
        with self.own_writes():
            segmentations.mark(self.node, self.selected, completed=True)

    def syncing(self, lock: bool) -> Iterator[None]:
        """Takes over what others did to segments and hints; None comes in between, for a timer to breathe.

        Args:
            lock: whether voxels edited by hand are locked against later edits.
        """
        before = self._hints()
        self.withdraw_deleted()
        yield from self.external.taking_over(lock)
        # A stroke that is still to be taken would go otherwise.
        if self._hints() != before:
            self.show_hints()

    def update_surfaces(self) -> None:
        """Has the segments' surfaces follow what was written; see `SegmentWriter`."""
        with self.own_writes():
            self.writer.update_surfaces()

    def show_hints(self) -> None:
        """Makes the hint nodes show the session's hints; strokes that were not taken go."""
        with self.own_writes():
            nodes_of_hints.show_hints(self.hint_nodes, self._hints(), self.selected, self.volume)

    def close(self) -> None:
        """Ends the session, and observes nothing any more."""
        self._observers.release()
        self.writer.close()
        if self.session is not None:
            self.session.close()

    @contextmanager
    def own_writes(self) -> Iterator[None]:
        """What is written here is no one else's change; one that was not seen yet stays one."""
        with self.external.own_writes():
            before, self._writing = self._writing, True
            try:
                yield
            finally:
                self._writing = before

    def _begin(self, session: RefinementSession) -> None:
        self.session = session
        session.state.masked = lambda box: masked(self.editor_node, self.node, self.volume, box)
        with self.own_writes():
            nodes_of_hints.reopen(self.hint_nodes, self.volume_node)

    def _show_step(self, step: AnyStep) -> bool:
        """Makes the nodes follow a step that the session went, back or forth."""
        with self.own_writes():
            if isinstance(step, Step):
                # The node may show the step at another level.
                extents = [step.extent.extents] if step.extent else []
                for part in (*step.blocks, *extents):
                    show_mask(self, self._id_of(step.key), part.box)
            else:
                for segment_id in show_segments(self):
                    for _ in showing(self, segment_id):
                        pass
        self.show_hints()
        return True

    def _on_changed(self, *_) -> None:
        if not self._writing:
            self._changed()

    def _id_of(self, key: int) -> str:
        return next(segment_id for segment_id, its_key in self.keys.items() if its_key == key)

    def _hints(self) -> dict[str, tuple[Hint, ...]]:
        """By segment ID, those that are deleted included."""
        names = {segment_id: self.name_of(segment_id) for segment_id in self.keys}
        layers = self.session.state.layers
        return {segment_id: layers[name].given.hints if name else () for segment_id, name in names.items()}

    def _newest_step(self) -> AnyStep | None:
        done = self.session.state.done
        return done[-1] if done else None
