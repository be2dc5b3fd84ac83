"""The piece of a mask that a hint points at: of ten lesions in one segment, one."""

import numpy as np
from scipy.ndimage import label

from HiDiffRefineLib.geometry.boxes import Box, bounding_box, part_of
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
    it, not its size.

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
    window = _window(around, reach, grid)
    if np.count_nonzero(mask[window]) > LONGEST**3:
        return None  # no small pieces, or very many
    voxels_kji = np.argwhere(mask[window]) + [s.start for s in window]
    off = np.maximum(np.maximum(around[0] - voxels_kji, voxels_kji - around[1]), 0)
    off = off * grid.spacing_kji / grid.spacing_kji.min()
    # Of voxels equally far the first, whatever rounding says.
    nearest = voxels_kji[(off**2).sum(1).round(6).argmin()]
    if max(_run(mask, nearest, axis) for axis in range(3)) > LONGEST:
        return None  # most clicks into organs end here: labels take ten times as long
    # A small piece lies in here whole.
    window = _window((nearest, nearest), LONGEST, grid)
    first = np.array([s.start for s in window])
    pieces, _ = label(mask[window], np.ones((3, 3, 3)))
    piece = pieces == pieces[tuple(nearest - first)]
    box = bounding_box(piece)
    if max(s.stop - s.start for s in box) > LONGEST:
        return None
    if np.count_nonzero(piece) < SPECK_SHARE * np.count_nonzero(mask):
        return None
    moved = zip(box, first.tolist(), strict=True)
    return part_of(grid, tuple(slice(s.start + n, s.stop + n) for s, n in moved)).bounds_ras()


def _run(mask: np.ndarray, at_kji: np.ndarray, axis: int) -> int:
    """Voxels of a mask in line with one of them, along an axis, that hang together."""
    line = mask[tuple(slice(None) if n == axis else int(i) for n, i in enumerate(at_kji))]
    others = np.flatnonzero(~line)
    after = int(np.searchsorted(others, at_kji[axis]))
    first = others[after - 1] + 1 if after else 0
    last = others[after] if after < len(others) else len(line)
    return int(last - first)


def _window(around: tuple, reach: int, grid: Grid) -> Box:
    """A box of voxels (first, last) with so many more on each side, as far as the grid has them."""
    sides = zip(*around, grid.shape_kji, strict=True)
    return tuple(slice(max(int(a) - reach, 0), min(int(b) + reach + 1, n)) for a, b, n in sides)
