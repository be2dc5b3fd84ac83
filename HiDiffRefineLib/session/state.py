"""All that a session knows, and the events that change it. No network: a journal replays the same events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import hint_values, hint_voxels
from HiDiffRefineLib.session.blocks import Block, Box, apply
from HiDiffRefineLib.session.layer import Layer, Told


class Step(NamedTuple):
    """What one undo takes back.

    Args:
        name: of the segment.
        blocks: that changed its mask, in this order.
        before, after: its hints.
        hint_only: a hint that waits for its edit, which will take this step's place.
    """

    name: str
    blocks: tuple[Block, ...]
    before: Told
    after: Told
    hint_only: bool = False


class NewSegment(NamedTuple):
    """A segment to be added; see `Layer`."""

    name: str
    value: int
    label: int | None
    mask: Block | None


@dataclass(eq=False)
class State:
    """Segments, locks and history on one grid. Each method named in `EVENTS` is one event of the journal."""

    grid: Grid
    layers: dict[str, Layer] = field(default_factory=dict)
    selected: str | None = None
    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    locked: np.ndarray = field(init=False)

    def __post_init__(self):
        self.locked = np.zeros(self.grid.shape_kji, bool)

    def add(self, segments: Sequence[NewSegment]) -> None:
        """New segments, the first of them selected. Not an undo step, and what was undone is gone."""
        for name, value, label, mask in segments:
            self.layers[name] = Layer(value, label, mask, self.grid.shape_kji)
        self.selected = segments[0][0]
        self.undone.clear()

    def select(self, name: str) -> None:
        """The segment that hints and edits concern."""
        self.selected = name

    def hint(self, hint: Hint) -> None:
        """A hint on the selected segment, for the next edit."""
        hints, refined = self.layers[self.selected].told
        self._step(self.selected, (), Told((*hints, hint), refined), hint_only=True)

    def edit(self, name: str, blocks: Sequence[Block]) -> None:
        """An edit that obeys all hints of a segment; one step together with the hints it waited for."""
        layer = self.layers[name]
        before, told = layer.told, layer.told
        for n in reversed(range(len(self.done))):
            if self.done[n].name == name:
                if not self.done[n].hint_only:
                    break
                before = self.done.pop(n).before
        layer.told = before
        self._step(name, tuple(blocks), Told(told.hints, len(told.hints)))

    def paint(self, name: str, block: Block) -> None:
        """A mask edited by hand. Hints obeyed so far that it contradicts are withdrawn."""
        layer = self.layers[name]
        layer.flip(block)
        kept = _obeyed(layer.told.hints[: layer.told.refined], layer.mask, self.grid)
        layer.flip(block)
        self._step(name, (block,), Told(kept + layer.told.pending, len(kept)))

    def lock(self, block: Block) -> None:
        """Flips voxels between locked and free."""
        apply(self.locked, block)

    def undo(self) -> None:
        """Takes the newest step back."""
        step = self.done.pop()
        self._restore(step, step.before)
        self.undone.append(step)

    def redo(self) -> None:
        """Does again what was undone last."""
        step = self.undone.pop()
        self._restore(step, step.after)
        self.done.append(step)

    def protected(self, name: str, box: Box) -> np.ndarray:
        """Voxels of a box, bool of its shape, that edits of a segment leave: locked, or another segment's."""
        result = self.locked[box].copy()
        for other, layer in self.layers.items():
            if other != name:
                result |= layer.mask[box]
        return result

    def labelmap(self) -> np.ndarray:
        """All segments (k, j, i) by their values, 0 background; of those that overlap, the first shows."""
        highest = max((layer.value for layer in self.layers.values()), default=0)
        labelmap = np.zeros(self.grid.shape_kji, np.min_scalar_type(highest))
        for layer in reversed(self.layers.values()):
            labelmap[layer.mask] = layer.value
        return labelmap

    def _step(self, name: str, blocks: tuple[Block, ...], after: Told, hint_only: bool = False) -> None:
        step = Step(name, blocks, self.layers[name].told, after, hint_only)
        self._restore(step, after)
        self.done.append(step)
        self.undone.clear()

    def _restore(self, step: Step, told: Told) -> None:
        layer = self.layers[step.name]
        for block in step.blocks:
            layer.flip(block)
        layer.told = told


EVENTS = {
    event.__name__: event
    for event in (
        State.add,
        State.select,
        State.hint,
        State.edit,
        State.paint,
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
