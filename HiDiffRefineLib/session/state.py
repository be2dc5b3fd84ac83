"""All that a session knows, and the events that change it. No network: a journal replays the same events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from HiDiffRefineLib.geometry.boxes import overlap
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import hint_values, hint_voxels
from HiDiffRefineLib.inference.extents import Extents
from HiDiffRefineLib.session.blocks import Block, Box, apply, block_of, together
from HiDiffRefineLib.session.layer import GivenHints, Layer
from HiDiffRefineLib.session.steps import AnyStep, Deletion, Extent, NewSegment, Renaming, Step


@dataclass(eq=False)
class State:
    """Segments, locks and history on one grid. Each method named in `EVENTS` is one event of the journal."""

    grid: Grid
    layers: dict[str, Layer] = field(default_factory=dict)
    selected: str | None = None
    done: list[AnyStep] = field(default_factory=list)
    undone: list[AnyStep] = field(default_factory=list)
    added: int = 0
    # What else an edit leaves alone in a box, for the moment: no matter of the journal.
    masked: Callable[[Box], np.ndarray | bool] = lambda box: False
    locked: np.ndarray = field(init=False)

    def __post_init__(self):
        self.locked = np.zeros(self.grid.shape_kji, bool)

    def add(self, segments: Sequence[NewSegment]) -> None:
        """New segments, the first of them selected. Not an undo step, and what was undone is gone."""
        for _ in self.adding(segments):
            pass

    def adding(self, segments: Sequence[NewSegment]) -> Iterator[None]:
        """`add` block by block; nothing has changed before the last."""
        layers = {}
        for key, (name, value, label, original, *rois) in enumerate(segments, self.added + 1):
            rois = tuple(rois[0]) if rois else ()
            layers[name] = Layer(value, label, tuple(original), self.grid.shape_kji, rois, key)
            for block in original:
                layers[name].flip(block)
                yield None
        self.layers.update(layers)
        self.added += len(layers)
        self.selected = segments[0][0]
        self.undone.clear()

    def select(self, name: str) -> None:
        """The segment that hints and edits concern."""
        self.selected = name

    def hint(self, hint: Hint) -> None:
        """A hint on the selected segment, for the next edit."""
        hints, refined = self.layers[self.selected].given
        self._step(self.selected, (), GivenHints((*hints, hint), refined), hint_only=True)

    def recall(self, name: str, hints: Sequence[Hint]) -> None:
        """Hints that a mask from elsewhere came with, if they hold and lie on the grid. No undo step."""
        layer = self.layers[name]
        inside = tuple(hint for hint in hints if len(hint_voxels(hint, self.grid)))
        kept = _obeyed(inside, layer.mask, self.grid)
        layer.given = GivenHints(kept, len(kept))

    def edit(
        self, name: str, blocks: Sequence[Block], extents: Extents | None = None, block: Block | None = None
    ) -> None:
        """An edit that obeys all hints of a segment; one step together with the hints it waited for.

        Args:
            blocks: what it changes, but for the block.
            extents: what else it could change in place of the block.
        """
        layer = self.layers[name]
        before, given = layer.given, layer.given
        for n in reversed(range(len(self.done))):
            step = self.done[n]
            if isinstance(step, Step) and step.key == layer.key:
                if not step.hint_only:
                    break
                before = self.done.pop(n).before
        layer.given = before
        extent = extents and Extent(extents, block)
        blocks = (*blocks, *filter(None, [block]))
        self._step(name, blocks, GivenHints(given.hints, len(given.hints)), extent=extent)

    def extend(self, level: int, block: Block | None) -> None:
        """Another level of the edit that is the newest step; what was undone is gone.

        Args:
            block: what the level changes, in the place of what the present one does.
        """
        step, layer = self.done[-1], self.layers[self.selected]
        old = step.extent.block
        changed = [one for one in (old, block) if one is not None]
        if changed:
            layer.change(*together(changed))
        blocks = (*(one for one in step.blocks if one is not old), *filter(None, [block]))
        extent = step.extent._replace(block=block, level=level)
        self.done[-1] = step._replace(blocks=blocks, extent=extent)
        self.undone.clear()

    def paint(self, name: str, blocks: Sequence[Block]) -> None:
        """A mask edited by hand. Hints obeyed so far that it contradicts are withdrawn."""
        layer = self.layers[name]
        for block in blocks:
            layer.flip(block)
        before = layer.given
        kept = _obeyed(before.hints[: before.refined], layer.mask, self.grid)
        layer.given = GivenHints(kept + before.pending, len(kept))
        self._record(Step(layer.key, tuple(blocks), before, layer.given))

    def withdraw(self, name: str, numbers: Sequence[int]) -> None:
        """Takes hints of a segment back, by their places in its list. The mask stays as it is."""
        layer = self.layers[name]
        rest = [(n, hint) for n, hint in enumerate(layer.given.hints) if n not in numbers]
        obeyed = tuple(hint for n, hint in rest if n < layer.given.refined)
        pending = tuple(hint for n, hint in rest if n >= layer.given.refined)
        # An older hint that a withdrawn one had overruled is not what the mask shows.
        kept = _obeyed(obeyed, layer.mask, self.grid)
        self._step(name, (), GivenHints(kept + pending, len(kept)))

    def delete(self, name: str) -> None:
        """Takes a segment out; the next one is selected in its place."""
        self._record(self._taken_out(name))

    def rename(self, name: str, to: str) -> None:
        """Gives a segment another name."""
        self._name(name, to)
        self._record(Renaming(self.layers[to].key, name, to))

    def lock(self, block: Block) -> None:
        """Flips voxels between locked and free."""
        apply(self.locked, block)

    def undo(self) -> None:
        """Takes the newest step back."""
        step = self.done.pop()
        if isinstance(step, Deletion):
            self._put_back(step)
        elif isinstance(step, Renaming):
            self._name(self._name_of(step.key), self._free(step.before))
        else:
            self._flip(step, step.before)
        self.undone.append(step)

    def redo(self) -> None:
        """Does again what was undone last."""
        step = self.undone.pop()
        if isinstance(step, Deletion):
            self._taken_out(self._name_of(step.key))
        elif isinstance(step, Renaming):
            self._name(self._name_of(step.key), self._free(step.after))
        else:
            self._flip(step, step.after)
        self.done.append(step)

    @property
    def extent(self) -> Extent | None:
        """Of the newest step, if that is an edit of the selected segment which was not broken off."""
        step = self.done[-1] if self.done else None
        if not isinstance(step, Step) or self.selected is None:
            return None
        return step.extent if step.key == self.layers[self.selected].key else None

    def protected(self, name: str, box: Box) -> np.ndarray:
        """Voxels of a box, bool of its shape, that edits of a segment leave: locked, or another segment's."""
        result, masked = self.others(name, box), self.masked(box)
        result |= self.locked[box]
        return result if masked is False else result | masked

    def locked_at(self, voxels_kji: np.ndarray) -> np.ndarray:
        """Which of some voxels (n, 3) no edit may change, bool (n,)."""
        if not len(voxels_kji):
            return np.zeros(0, bool)
        low, high = voxels_kji.min(0), voxels_kji.max(0) + 1
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return (self.locked[box] | self.masked(box))[tuple((voxels_kji - low).T)]

    def others(self, name: str, box: Box) -> np.ndarray:
        """Voxels of a box, bool of its shape, that any other segment has."""
        result = np.zeros([side.stop - side.start for side in box], bool)
        for other, layer in self.layers.items():
            if other != name and layer.box is not None and overlap(layer.box, box):
                result |= layer.mask[box]
        return result

    def labelmap(self) -> np.ndarray:
        """All segments (k, j, i) by their values, 0 background; of those that overlap, the first shows."""
        highest = max((layer.value for layer in self.layers.values()), default=0)
        labelmap = np.zeros(self.grid.shape_kji, np.min_scalar_type(highest))
        for layer in reversed(self.layers.values()):
            labelmap[layer.mask] = layer.value
        return labelmap

    def _step(
        self,
        name: str,
        blocks: tuple[Block, ...],
        after: GivenHints,
        hint_only: bool = False,
        extent: Extent | None = None,
    ) -> None:
        layer = self.layers[name]
        step = Step(layer.key, blocks, layer.given, after, hint_only, extent)
        self._flip(step, after)
        self._record(step)

    def _record(self, step: AnyStep) -> None:
        self.done.append(step)
        self.undone.clear()

    def _flip(self, step: Step, given: GivenHints) -> None:
        layer = self.layers[self._name_of(step.key)]
        for block in step.blocks:
            layer.flip(block)
        layer.given = given

    def _name_of(self, key: int) -> str:
        """History outlives names: a deleted segment's may belong to another one by now."""
        return next(name for name, layer in self.layers.items() if layer.key == key)

    def _free(self, name: str) -> str:
        """The name, or one like it where another segment has taken it."""
        names = (name, *(f"{name} {n}" for n in range(2, len(self.layers) + 3)))
        return next(free for free in names if free not in self.layers)

    def _name(self, name: str, to: str) -> None:
        self.layers = {to if old == name else old: layer for old, layer in self.layers.items()}
        if self.selected == name:
            self.selected = to

    def _taken_out(self, name: str) -> Deletion:
        names = list(self.layers)
        place, layer = names.index(name), self.layers.pop(name)
        names.remove(name)
        if self.selected == name:
            self.selected = names[min(place, len(names) - 1)] if names else None
        segment = NewSegment(name, layer.value, layer.label, layer.original, layer.rois)
        block = None if layer.box is None else block_of(layer.mask[layer.box], layer.box)
        return Deletion(layer.key, segment, () if block is None else (block,), layer.given, place)

    def _put_back(self, deletion: Deletion) -> None:
        name, value, label, original, rois = deletion.segment
        layer = Layer(value, label, original, self.grid.shape_kji, rois, deletion.key)
        for block in deletion.blocks:
            layer.flip(block)
        layer.given = deletion.given
        name = self._free(name)
        items = list(self.layers.items())
        items.insert(deletion.place, (name, layer))
        self.layers, self.selected = dict(items), name


EVENTS = {
    event.__name__: event
    for event in (
        State.add,
        State.select,
        State.hint,
        State.recall,
        State.edit,
        State.extend,
        State.paint,
        State.withdraw,
        State.delete,
        State.rename,
        State.lock,
        State.undo,
        State.redo,
    )
}


def _obeyed(hints: tuple[Hint, ...], mask: np.ndarray, grid: Grid) -> tuple[Hint, ...]:
    """The hints without those that a mask contradicts, such that the rest hold, the newest first."""
    while hints:
        voxels_kji, values = hint_values(hints, grid)
        broken = mask[tuple(voxels_kji.T)] != (values > 0)
        if not broken.any():
            break
        # An older hint beneath a broken one would come to light: what it says there counts as well.
        wrong = np.ravel_multi_index(tuple(voxels_kji[broken].T), grid.shape_kji)
        hints = tuple(hint for hint in hints if not _contradicted(hint, wrong, mask, grid))
    return hints


def _contradicted(hint: Hint, wrong: np.ndarray, mask: np.ndarray, grid: Grid) -> bool:
    voxels = hint_voxels(hint, grid)
    voxels = voxels[np.isin(np.ravel_multi_index(tuple(voxels.T), grid.shape_kji), wrong)]
    return bool((mask[tuple(voxels.T)] != hint.positive).any())
