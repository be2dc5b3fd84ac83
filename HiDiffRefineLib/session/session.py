"""The editing session: what a user does with one volume, one method each. No torch: engines have it."""

import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import HintError, SessionError
from HiDiffRefineLib.geometry.boxes import Box, whole_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Painted, Scribble
from HiDiffRefineLib.inference.checks import check_segmentor, checked_steps
from HiDiffRefineLib.inference.messages import Preview, Progress, Uncertainty, WarmUpRequest
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session import jobs
from HiDiffRefineLib.session.blocks import Block, block_of, difference
from HiDiffRefineLib.session.checks import (
    check_free,
    check_level,
    check_new_hint,
    check_places,
    check_possible,
    checked,
    found,
)
from HiDiffRefineLib.session.editing import edit_request, extent_block, uncertainty_request
from HiDiffRefineLib.session.engine import Models, model_name, models_of
from HiDiffRefineLib.session.examining import examine
from HiDiffRefineLib.session.record import Journal, header
from HiDiffRefineLib.session.state import EVENTS, State
from HiDiffRefineLib.session.trying import Tried
from HiDiffRefineLib.volumes.volume import Volume


class RefinementSession:
    """Segments of one volume, corrected by hints.

    An edit changes the selected segment alone, and never a voxel that is locked or that another segment has:
    to give such a voxel away, correct the other segment first. Every edit, hand edit, deletion, new name and
    hint that still waits for its edit is one undo step. Undo and redo restore what was, in voxels locked
    since as well.

    Long work comes as an iterator, one at a time: closed, or still open when anything else is done, it ends
    there. Of an edit the last preview counts; other work leaves no trace. With wait=False an iterator gives
    None while nothing is new, for a timer of a user interface.

    Not thread-safe: all calls come from one thread, and none from within another's progress.

    Args:
        volume: an image, not a segmentation.
        bundle: of the segmentor, whose intensity rule and working spacing hold for every segment: a name or
            folder, for models in this process, or models elsewhere (`runtime.worker.Worker.models`). With
            "refiner-only" there is no segmentor: any image, and masks from elsewhere. Models of mode "dssm"
            segment in one shot and start edits from that.
        journal: a file that does not exist yet, which records the session (see `journal.restore`). If it
            cannot be written, the session goes on without; a warning says so once, `journal.problem` since.
        checksum: what `examining` returned, for who has run it already.

    Raises:
        VolumeError: NaN, a constant image, a segmentation, or what is not 3-D.
        BundleError: no such bundle.
        SessionError: the journal exists already.
    """

    def __init__(
        self,
        volume: Volume,
        bundle: str | Path | Models,
        journal: Path | None = None,
        checksum: int | None = None,
    ):
        checksum = examine(volume) if checksum is None else checksum
        models = models_of(bundle)
        self.state = State(Grid(volume.array.shape, volume.ijk_to_ras))
        self.journal = None
        if journal is not None:
            self.journal = Journal.create(journal, header(volume, model_name(models), checksum))
        self.engine = models.open(volume)
        self._open_job, self._asks = lambda: None, False
        self.last_uncertainty: Uncertainty | None = None  # as it was computed since the last change
        self._looked_at = 0  # places of it
        self.tried: Tried | None = None  # the newest answer of `trying` since the last change

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
        return found(self.selected, self.state).given.hints

    @property
    def pending(self) -> tuple[Hint, ...]:
        """Those of `hints` that wait for the next edit."""
        return found(self.selected, self.state).given.pending

    def mask(self, name: str | None = None) -> np.ndarray:
        """Read-only view (bool, k, j, i) of a segment's mask, which follows its edits; None: the selected."""
        view = found(self.selected if name is None else name, self.state).mask.view()
        view.setflags(write=False)
        return view

    def labelmap(self) -> np.ndarray:
        """All segments (k, j, i): the model's label values, further segments following on; 0 background.

        Where masks from elsewhere overlap, the segment that came first shows.
        """
        return self.state.labelmap()

    def segment(self, roi: Sequence[RegionOfInterest] = (), progress: Progress = jobs.ignore) -> None:
        """Adds the segmentor's mask of each label as a segment, and selects the first.

        Args:
            roi: only there; none for the whole volume.
            progress: called with the share done and what is being done.

        Raises:
            SessionError: a segment of that name is there.
            VolumeError: another modality than the bundle's, a volume larger than it was made for, or a region
                outside the volume.
            ConfigError, BundleError: a bundle that is no segmentor, or weights missing or damaged.
        """
        for _ in self.segmenting(roi, progress, wait=True):
            pass

    def segmenting(
        self, roi: Sequence[RegionOfInterest] = (), progress: Progress = jobs.ignore, wait: bool = False
    ) -> Iterator[None]:
        """`segment` as an iterator; the segments are there when it ends."""
        self._settle()
        check_segmentor(self.engine.bundle, self.engine.mode)
        for label in self.engine.bundle.labels:
            check_free(label.name, self.state)
        return self._open(jobs.segmenting(self, tuple(roi), progress, wait))

    def warming_up(self, progress: Progress = jobs.ignore, wait: bool = False) -> Iterator[None]:
        """Whatever the first edit would have to wait for."""
        self._settle()
        return self._open(self.engine.run(WarmUpRequest(), progress, wait))

    def set_prior(self, mask: np.ndarray, name: str) -> None:
        """Adds an existing mask (k, j, i), which may be empty, as a segment and selects it.

        Raises:
            SessionError: a segment of that name is there.
            VolumeError: a mask of another geometry.
        """
        self._settle()
        mask = checked(mask, self.state)
        for _ in self.adopting(name, jobs.slabs_of(mask, whole_box(mask.shape))):
            pass

    def adopting(self, name: str, parts: Iterable[tuple[Box, np.ndarray]]) -> Iterator[None]:
        """`set_prior` as an iterator, from masks of boxes (k, j, i) that do not overlap."""
        self._settle()
        check_free(name, self.state)
        return self._open(jobs.adopting(self, name, parts))

    def recall_hints(self, name: str, hints: Sequence[Hint]) -> None:
        """Gives a segment that has no hints yet those that its mask obeys already, as when both were saved.

        Raises:
            SessionError: it has hints.
        """
        self._settle()
        if found(name, self.state).given.hints:
            raise SessionError(f"'{name}' has hints already.", "Recall hints before any is placed.")
        self._do("recall", name=name, hints=tuple(hints))

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

    def refine(self, steps: int | None = None, wait: bool = True) -> Iterator[Preview | None]:
        """Edits the selected segment by its pending hints, or once more around its newest one.

        Yields a preview after each reverse step. Stop whenever you like: the last preview counts, as one undo
        step. Stopped before the first, or by an error of its own, an edit leaves mask and hints as they were.

        Args:
            steps: reverse steps; None for the refiner's default.
            wait: if not, None comes while nothing is new.

        Raises:
            HintError: no hint yet, or a pending one lies where something was locked or taken since.
            ConfigError: impossible steps.
            BundleError: weights missing or damaged; at the first step.
        """
        self._settle()
        given = found(self.selected, self.state).given
        if not given.hints:
            raise HintError(f"'{self.selected}' has no hint yet.", "Place a click or a scribble first.")
        check_possible(given.pending, self.state, self.selected)
        steps = checked_steps(self.engine.refiner_bundle, steps)
        request = edit_request(self.engine, self.state, self.selected, steps)
        return self._open(jobs.editing(self, self.selected, request, wait))

    @property
    def extent(self) -> int | None:
        """The level of an edit, from 1 (least) to 9; 5 as it was answered.

        None where the newest step is no edit of the selected segment, or one that was broken off.
        """
        extent = self.state.extent
        return extent and extent.level

    def set_extent(self, level: int) -> bool:
        """Has the edit that was the newest step change more, or less; False if it does already.

        It stays one undo step, and hints hold at each level. What was undone can't be redone any more.

        Raises:
            SessionError: no such level, or no such edit; see `extent`.
        """
        self._settle()
        check_level(level, self.state)
        if level == self.extent:
            return False
        block = extent_block(self.state, level)
        return self._do("extend", level=int(level), block=block)  # the journal knows no numbers of numpy

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
        block = difference(found(name, self.state).mask, checked(mask, self.state))
        if block is not None:
            self.change_by_hand(name, [block])

    def change_by_hand(self, name: str, blocks: Sequence[Block], lock: bool = False) -> None:
        """`set_mask` by what changes.

        Args:
            lock: whether no edit may change these voxels from now on.
        """
        self._settle()
        found(name, self.state)
        self._do("paint", name=name, blocks=blocks)
        for block in blocks if lock else ():
            free = block_of(block.flips() & ~self.state.locked[block.box], block.box)
            if free is not None:
                self._do("lock", block=free)

    def withdraw(self, name: str, numbers: Sequence[int]) -> None:
        """Takes hints of a segment back, by their places in its list, as one undo step; its mask stays.

        Raises:
            SessionError: no such hint.
        """
        self._settle()
        if numbers := check_places(numbers, found(name, self.state).given.hints):
            self._do("withdraw", name=name, numbers=numbers)

    def delete(self, name: str) -> None:
        """Takes a segment out, its hints too; undo brings both back. The next segment is selected."""
        self._settle()
        found(name, self.state)
        self._do("delete", name=name)

    def rename(self, name: str, to: str) -> None:
        """Gives a segment another name.

        Raises:
            SessionError: a segment of that name is there, or it is no name.
        """
        self._settle()
        found(name, self.state)
        if to != name:
            check_free(to, self.state)
            self._do("rename", name=name, to=to)

    def uncertainty(self) -> Uncertainty:
        """Where the refiner is uncertain about the selected segment.

        Raises:
            SessionError: an empty segment.
            BundleError: weights missing or damaged.
        """
        return [*self.finding_uncertainty(wait=True)][-1]

    def finding_uncertainty(self, wait: bool = False) -> Iterator[Uncertainty | None]:
        """`uncertainty` as an iterator, whose last value it is; it is kept as `last_uncertainty`."""
        self._settle()
        found(self.selected, self.state)
        steps = checked_steps(self.engine.refiner_bundle, None)
        request = uncertainty_request(self.engine, self.state, self.selected, steps)
        return self._open(jobs.finding_uncertainty(self, request, wait))

    def next_doubtful_place(self) -> int | None:
        """Index in `last_uncertainty.places` of the most doubtful place, at the next call of the second…

        After the last comes None, then the first again. After any change the search starts anew; as long as
        there is a `last_uncertainty` this answers at once.
        """
        if self.last_uncertainty is None:
            self.uncertainty()
        if self._looked_at == len(self.last_uncertainty.places):
            self._looked_at = 0
            return None
        self._looked_at += 1
        return self._looked_at - 1

    def close(self) -> None:
        """Ends what is open, and gives back what the engine holds."""
        self._settle()
        self.engine.close()

    @property
    def works(self) -> bool:
        """Whether work is open that is more than a question (see `trying`)."""
        job = self._open_job()
        return job is not None and job.gi_frame is not None and not self._asks

    def _open(self, job: Generator, asks: bool = False) -> Iterator:
        # Weak: work that nobody looks at any more ends at once.
        self._open_job, self._asks = weakref.ref(job), asks
        return job

    def _settle(self) -> None:
        """Ends work that is still open."""
        job = self._open_job()
        if job is None:
            return
        if job.gi_running:
            raise SessionError(
                "The session is busy with another call.", "Call it again when that one has returned."
            )
        job.close()

    def _do(self, event: str, **fields) -> bool:
        """Changes the state, then tells the journal: memory never waits for a full disk."""
        EVENTS[event](self.state, **fields)
        self._done(event, **fields)
        return True

    def _done(self, event: str, **fields) -> None:
        self.last_uncertainty = self.tried = None
        if self.journal is not None:
            self.journal.append(event, fields)

    def _set_locked(self, locked: np.ndarray) -> None:
        block = difference(self.state.locked, locked)
        if block is not None:
            self._do("lock", block=block)
