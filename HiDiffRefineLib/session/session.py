"""The editing session: what a user does with one volume, one method each."""

import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.hints.hint import Click, Hint, Painted, Scribble
from HiDiffRefineLib.inference.edit import Preview
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.session.blocks import difference
from HiDiffRefineLib.session.checks import check_free, check_new_hint, check_possible, checked, found
from HiDiffRefineLib.session.doubt import Doubt, doubtful_places, uncertainty
from HiDiffRefineLib.session.editing import edit_blocks, edit_previews
from HiDiffRefineLib.session.engine import Engine
from HiDiffRefineLib.session.record import Journal
from HiDiffRefineLib.session.state import EVENTS, NewSegment, State
from HiDiffRefineLib.volumes.checks import check_intensities
from HiDiffRefineLib.volumes.volume import Volume

# Doubtful places in one round: nobody looks at more before the next correction.
PLACES = 20


class RefinementSession:
    """Segments of one volume, corrected by hints.

    An edit changes the selected segment alone, and never a voxel that is locked or that another segment has:
    to give such a voxel away, correct the other segment first. Every edit, hand edit and hint that still
    waits for its edit is one undo step. Undo and redo restore what was, in voxels locked since as well.

    An edit still open when anything else is done ends there: its last preview counts.

    Args:
        volume: an image, not a segmentation.
        pipeline: of the segmentor's bundle, whose intensity rule and working spacing hold for every segment.
        journal: a file that does not exist yet, which records the session (see `journal.restore`). If it
            cannot be written, the session goes on without; a warning says so once, `journal.problem` since.

    Raises:
        VolumeError: NaN, a constant image or a segmentation.
        SessionError: the journal exists already.
    """

    def __init__(self, volume: Volume, pipeline: Pipeline, journal: Path | None = None):
        check_intensities(volume.array)
        self.engine = Engine(volume, pipeline)
        self.state = State(self.engine.grid)
        self.journal = None if journal is None else Journal.create(journal, volume, pipeline.bundle.name)
        self._open_edit = lambda: None
        self._doubtful: list[np.ndarray] | None = None

    @property
    def segments(self) -> list[str]:
        """Names, in the order in which they came."""
        return list(self.state.layers)

    @property
    def selected(self) -> str | None:
        """The segment that hints and edits concern; None as long as there is none."""
        return self.state.selected

    @property
    def hints(self) -> tuple[Hint, ...]:
        """Hints of the selected segment, the newest last."""
        return found(self.selected, self.state).told.hints

    @property
    def pending(self) -> tuple[Hint, ...]:
        """Those of `hints` that wait for the next edit."""
        return found(self.selected, self.state).told.pending

    def mask(self, name: str | None = None) -> np.ndarray:
        """Read-only view (bool, k, j, i) of a segment's mask, which follows its edits; None: the selected."""
        view = found(name or self.selected, self.state).mask.view()
        view.setflags(write=False)
        return view

    def labelmap(self) -> np.ndarray:
        """All segments (k, j, i): the model's label values, further segments following on; 0 background.

        Where masks from elsewhere overlap, the segment that came first shows.
        """
        return self.state.labelmap()

    def segment(self) -> None:
        """Adds the segmentor's mask of each label as a segment, and selects the first.

        Raises:
            SessionError: a segment of that name is there.
            VolumeError: another modality than the bundle's, or a volume larger than it was made for.
            BundleError: weights missing or damaged.
        """
        self._settle()
        for label in self.engine.pipeline.bundle.labels:
            check_free(label.name, self.state)
        self._do("add", segments=self.engine.segments())

    def set_prior(self, mask: np.ndarray, name: str) -> None:
        """Adds an existing mask (k, j, i), which may be empty, as a segment and selects it.

        Raises:
            SessionError: a segment of that name is there.
            VolumeError: a mask of another geometry.
        """
        self._settle()
        mask = checked(mask, self.state)
        check_free(name, self.state)
        # The model's values stay free for `segment`.
        used = [label.value for label in self.engine.pipeline.bundle.labels]
        used += [layer.value for layer in self.state.layers.values()]
        block = difference(np.zeros_like(mask), mask)
        self._do("add", segments=[NewSegment(name, max(used, default=0) + 1, None, block)])

    def select(self, name: str) -> None:
        """Directs hints and edits to a segment."""
        self._settle()
        found(name, self.state)
        self._do("select", name=name)

    def add_click(self, point_ras: Sequence[float], positive: bool = True) -> None:
        """A click at a point in RAS mm, on the selected segment; it waits for the next `refine`.

        Raises:
            HintError: outside the volume, in a locked place or in another segment.
        """
        self.add_hint(Click(point_ras, positive))

    def add_scribble(self, points_ras: np.ndarray, positive: bool, width_mm: float) -> None:
        """A stroke through points (n, 3) in RAS mm; see `add_click`."""
        self.add_hint(Scribble(points_ras, positive, width_mm))

    def add_painted(self, mask: np.ndarray, positive: bool) -> None:
        """Voxels painted on a mask (k, j, i) of the volume's geometry; see `add_click`."""
        self.add_hint(Painted(checked(mask, self.state), self.engine.volume.ijk_to_ras, positive))

    def add_hint(self, hint: Hint) -> None:
        """Any hint, paint on a grid of its own included; see `add_click`."""
        self._settle()
        found(self.selected, self.state)
        check_new_hint(hint, self.state)
        self._do("hint", hint=hint)

    def refine(self, steps: int | None = None) -> Iterator[Preview]:
        """Edits the selected segment by its pending hints, or once more around its newest one.

        Yields a preview after each reverse step. Stop whenever you like: the last preview counts, as one undo
        step. Stopped before the first, or by an error of its own, an edit leaves mask and hints as they were.

        Args:
            steps: reverse steps; None for the refiner's default.

        Raises:
            HintError: no hint yet, or a pending one lies where something was locked or taken since.
            ConfigError: impossible steps.
            BundleError: weights missing or damaged.
        """
        self._settle()
        told = found(self.selected, self.state).told
        if not told.hints:
            raise HintError(f"'{self.selected}' has no hint yet.", "Place a click or a scribble first.")
        check_possible(told.pending, self.state, self.selected)
        steps = self.engine.pipeline.check(steps, ["refiner"])
        edit = self._edit(self.selected, steps)
        # Weak: an edit that nobody looks at any more ends at once.
        self._open_edit = weakref.ref(edit)
        return edit

    def undo(self) -> bool:
        """Takes back the newest edit, hand edit or pending hint of any segment; False if there is none."""
        self._settle()
        return bool(self.state.done) and self._do("undo")

    def redo(self) -> bool:
        """Does again what was undone last; False if there is nothing."""
        self._settle()
        return bool(self.state.undone) and self._do("redo")

    def lock(self, mask: np.ndarray) -> None:
        """Lets no edit change the voxels of a mask (k, j, i), nor those locked before."""
        self._settle()
        self._set_locked(self.state.locked | checked(mask, self.state))

    def unlock(self) -> None:
        """Frees all locked voxels."""
        self._settle()
        self._set_locked(np.zeros_like(self.state.locked))

    def set_mask(self, name: str, mask: np.ndarray) -> None:
        """Takes over a mask (k, j, i) edited by hand, as one undo step.

        The hand is free: locks and other segments don't bind it. Hints that it contradicts are withdrawn,
        until undo brings them back; pending ones still wait.
        """
        self._settle()
        block = difference(found(name, self.state).mask, checked(mask, self.state))
        if block is not None:
            self._do("paint", name=name, block=block)

    def uncertainty(self) -> Doubt:
        """Where the refiner doubts the selected segment; see `doubt.uncertainty`."""
        found(self.selected, self.state)
        return uncertainty(self.engine, self.state, self.selected)

    def next_doubtful_place(self) -> np.ndarray | None:
        """(3,) RAS mm: the most doubtful place of the selected segment, at the next call the second…

        After the last comes None, then the first again. After any change the search starts anew.
        """
        if self._doubtful is None:
            doubt = self.uncertainty()
            self._doubtful = list(doubtful_places(doubt.values, doubt.grid, PLACES))
        if self._doubtful:
            return self._doubtful.pop(0)
        self._doubtful = None
        return None

    def _edit(self, name: str, steps: int) -> Iterator[Preview]:
        last: list[Preview] = []  # of each region
        try:
            for preview in edit_previews(self.engine, self.state, name, steps):
                last = [*(seen for seen in last if seen.box != preview.box), preview]
                yield preview
        except GeneratorExit:
            if not last:
                raise
        self._do("edit", name=name, blocks=edit_blocks(self.state, name, last))

    def _settle(self) -> None:
        """Ends an edit that is still open."""
        edit = self._open_edit()
        if edit is not None:
            edit.close()

    def _do(self, event: str, **fields) -> bool:
        """Changes the state, then tells the journal: memory never waits for a full disk."""
        EVENTS[event](self.state, **fields)
        self._doubtful = None
        if self.journal is not None:
            self.journal.append(event, fields)
        return True

    def _set_locked(self, locked: np.ndarray) -> None:
        block = difference(self.state.locked, locked)
        if block is not None:
            self._do("lock", block=block)
