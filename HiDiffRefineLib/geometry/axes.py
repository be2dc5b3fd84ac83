"""An array along the axes that letters name, such as RAS: the nearest of its own, no resampling."""

import numpy as np

from HiDiffRefineLib.geometry.grids import Grid

# Toward which side of the patient a letter points: axis of RAS, sign.
LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def oriented(array: np.ndarray, grid: Grid, letters: str) -> tuple[np.ndarray, Grid]:
    """An array whose axes (i, j, k) run as nearly as they can toward the sides that three letters name.

    Args:
        array: (k, j, i).
        grid: of the array.
        letters: for i, j and k, one of each pair R L, A P, S I.

    Returns:
        a view of the array, and its grid: the same voxels in the same places.
    """
    sides, signs = _nearest_sides(grid.ijk_to_ras[:3, :3])
    wanted = [LETTERS[letter] for letter in letters]
    source = [sides.index(side) for side, _ in wanted]
    flipped = [signs[axis] != sign for axis, (_, sign) in zip(source, wanted, strict=True)]
    view = array.T.transpose(source)[tuple(slice(None, None, -1 if flip else 1) for flip in flipped)].T
    old, sizes = grid.ijk_to_ras, array.shape[::-1]
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, 3] = old[:3, 3]
    for new, (axis, flip) in enumerate(zip(source, flipped, strict=True)):
        ijk_to_ras[:3, new] = -old[:3, axis] if flip else old[:3, axis]
        if flip:
            ijk_to_ras[:3, 3] += old[:3, axis] * (sizes[axis] - 1)
    return view, Grid(view.shape, ijk_to_ras)


def stretched(grid: Grid, spacing_kji) -> Grid:
    """A grid from edge to edge of another, in about such steps that a whole number of them fits.

    Args:
        spacing_kji: steps in mm along (k, j, i).
    """
    sizes = np.array(grid.shape_kji)
    shape = np.maximum(np.rint(sizes * grid.spacing_kji / np.asarray(spacing_kji, float)), 1)
    steps = sizes / shape
    ijk_to_ras = grid.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ ((steps - 1) / 2)[::-1]
    ijk_to_ras[:3, :3] *= steps[::-1]
    return Grid(tuple(int(n) for n in shape), ijk_to_ras)


def _nearest_sides(linear: np.ndarray) -> tuple[list[int], list[int]]:
    """For each of (i, j, k) the axis of RAS nearest to it, each taken once, and its sign."""
    u, s, vt = np.linalg.svd(linear / np.linalg.norm(linear, axis=0))
    turn = u @ vt  # the nearest rotation: a sheared grid has axes too
    sides, signs = [0, 0, 0], [0, 0, 0]
    left = np.abs(turn)
    for axis in np.argsort(-left.max(0), kind="stable"):
        side = int(left[:, axis].argmax())
        sides[axis], signs[axis] = side, 1 if turn[side, axis] > 0 else -1
        left[side] = -1
    return sides, signs
