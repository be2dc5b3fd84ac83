"""One segment of a session: its mask, the bounds of it, and its hints."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session.blocks import Block, Box

# Part of the voxels that the bounds must hold along each axis: a few islands far away don't blow them up.
BOUNDS_SHARE = 0.999


class GivenHints(NamedTuple):
    """What the user said of a segment.

    Args:
        hints: in order of time, the newest last.
        refined: how many of them the mask obeys; the rest are pending.
    """

    hints: tuple[Hint, ...] = ()
    refined: int = 0

    @property
    def pending(self) -> tuple[Hint, ...]:
        """Hints that wait for the next edit."""
        return self.hints[self.refined :]


@dataclass(eq=False)
class Layer:
    """A segment, empty at first: `flip` fills it.

    Args:
        value: in the labelmap, 1 or more.
        label: of the segmentor's prior; None for a mask that came from elsewhere.
        original: the mask before any edit, in blocks that do not overlap.
        shape_kji: of the volume.
        rois: where the segmentor looked; none for the whole volume.
        key: tells it from every other of the session, whatever their names.
    """

    value: int
    label: int | None
    original: tuple[Block, ...]
    shape_kji: tuple[int, int, int]
    rois: tuple[RegionOfInterest, ...] = ()
    key: int = 0
    given: GivenHints = GivenHints()
    mask: np.ndarray = field(init=False)
    _counts: list[np.ndarray] = field(init=False, repr=False)

    def __post_init__(self):
        # Memory that is never written is never claimed: a small segment of a large CT takes little.
        self.mask = np.zeros(self.shape_kji, bool)
        # Voxels in each plane across k, j and i: exact bounds without ever looking at the volume again.
        self._counts = [np.zeros(n, np.int64) for n in self.shape_kji]

    def flip(self, block: Block) -> None:
        """Applies or reverts a block."""
        self.change(block.box, block.flips())

    def change(self, box: Box, flips: np.ndarray) -> None:
        """Flips voxels of a box, where a bool array of its shape says so."""
        here = self.mask[box]
        here ^= flips
        gained, changed = in_planes(flips & here), in_planes(flips)
        for count, side, more, all_ in zip(self._counts, box, gained, changed, strict=True):
            count[side] += 2 * more - all_

    @property
    def box(self) -> Box | None:
        """The smallest box that holds the mask; None if it is empty."""
        ends = [np.flatnonzero(count)[[0, -1]] for count in self._counts if count.any()]
        return tuple(slice(int(first), int(last) + 1) for first, last in ends) or None

    def bounds_ras(self, grid: Grid) -> np.ndarray | None:
        """(2, 3) RAS mm around the mask on its grid, stray voxels left out; None if it is empty."""
        total = int(self._counts[0].sum())
        if not total:
            return None
        tail = (1 - BOUNDS_SHARE) / 2 * total
        box = []
        for count in self._counts:
            below = np.cumsum(count)
            first = int(np.searchsorted(below, tail, side="right"))
            box.append(slice(first, int(np.searchsorted(below, total - tail)) + 1))
        return part_of(grid, tuple(box)).bounds_ras()


def in_planes(mask: np.ndarray) -> list[np.ndarray]:
    """How many voxels a mask (bool, k, j, i) has in each plane across k, j and i."""
    # Bytes, as many planes at a time as they can count: a tenth of the time that sums of integers take.
    parts = (mask[k : k + 255].view(np.uint8) for k in range(0, len(mask), 255))
    plane = sum(part.sum(axis=0, dtype=np.uint8).astype(np.int64) for part in parts)
    return [np.array([np.count_nonzero(part) for part in mask]), plane.sum(axis=1), plane.sum(axis=0)]
