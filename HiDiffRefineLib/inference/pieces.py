"""The piece of a mask that a hint points at: of ten lesions in one segment, one."""

import numpy as np
from scipy.ndimage import find_objects, label

from HiDiffRefineLib.geometry.boxes import Box, part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import hint_voxels

# A piece is looked for within so many voxels on each side of a hint, then within twice as many, and so on.
NEAR, FAR = 16, 128
# Voxels that a small piece has at most from end to end: a larger one is looked at as all of the mask is.
LONGEST = 32
# A piece that is less than this share of the mask is a speck beside an organ, and says nothing of its size.
SPECK_SHARE = 0.005


def piece_near(mask: np.ndarray, hint: Hint, grid: Grid) -> np.ndarray | None:
    """Box (2, 3) in RAS mm around the piece (26-connected) of a mask that is nearest to a hint.

    None where it is large, a speck beside something larger, or too far away. The cost follows the distance to
    it, not its size or the mask's.

    Args:
        mask: bool (k, j, i).
        grid: of the mask.
    """
    hinted_kji, reach = hint_voxels(hint, grid), NEAR
    if not len(hinted_kji):
        return None
    around = hinted_kji.min(0), hinted_kji.max(0)
    while not mask[_window(around, reach, grid)].any():
        if reach >= FAR:
            return None
        reach *= 2
    # As far again as a small piece is long: what is cut off there is none.
    for further in (0, LONGEST):
        box, size = _nearest(mask, _window(around, reach + further, grid), around, grid)
        if max(s.stop - s.start for s in box) > LONGEST:
            return None
    if size < SPECK_SHARE * np.count_nonzero(mask):
        return None
    return part_of(grid, box).bounds_ras()


def _nearest(mask: np.ndarray, window: Box, around: tuple, grid: Grid) -> tuple[Box, int]:
    """The box of the nearest piece of what a window shows of a mask, and its number of voxels."""
    pieces, _ = label(mask[window], np.ones((3, 3, 3)))
    first = np.array([s.start for s in window])
    voxels_kji = np.argwhere(pieces)
    low, high = around - first
    off_mm = np.maximum(np.maximum(low - voxels_kji, voxels_kji - high), 0) * grid.spacing_kji
    nearest = pieces[tuple(voxels_kji[(off_mm**2).sum(1).argmin()])]
    box = find_objects(pieces, nearest)[-1]
    moved = tuple(slice(s.start + n, s.stop + n) for s, n in zip(box, first.tolist(), strict=True))
    return moved, np.count_nonzero(pieces[box] == nearest)


def _window(around: tuple, reach: int, grid: Grid) -> Box:
    """A box of voxels (first, last) with so many more on each side, as far as the grid has them."""
    sides = zip(*around, grid.shape_kji, strict=True)
    return tuple(slice(max(int(a) - reach, 0), min(int(b) + reach + 1, n)) for a, b, n in sides)
