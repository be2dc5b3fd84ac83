"""Grids whose voxels lie in the same places, though cropped, flipped or with their axes swapped."""

from itertools import product

import numpy as np

# Share of a voxel by which two grids of the same voxels may differ: files round.
TOLERANCE = 0.05
# Numbers of a 4×4 beyond it place nothing, and become no whole numbers of voxels.
_FARTHEST = 1e7


def laid(
    array: np.ndarray, ijk_to_ras: np.ndarray, target: np.ndarray, tolerance: float = TOLERANCE
) -> tuple[np.ndarray, np.ndarray] | None:
    """An array as another grid sees it.

    Args:
        array: (k, j, i).
        ijk_to_ras: 4×4 of the array's grid.
        target: 4×4 of the other grid, which has no end here.
        tolerance: share of a voxel by which corners may be off.

    Returns:
        a view of the array along the (k, j, i) of the other grid, and the place (k, j, i) of its first voxel
        there, perhaps negative; None where the voxels lie elsewhere than those of the other grid.
    """
    if not (np.abs(ijk_to_ras) < _FARTHEST).all():  # NaN fails too
        return None
    to_target = np.linalg.inv(target) @ ijk_to_ras
    last = np.array(array.shape[::-1]) - 1
    turn = np.rint(to_target[:3, :3]) * (last > 0)
    for axis in np.flatnonzero(last == 0):  # one voxel long, it has no direction
        turn[np.abs(turn).sum(1).argmin(), axis] = 1
    if (np.abs(turn).sum(0) != 1).any() or (np.abs(turn).sum(1) != 1).any():
        return None
    shift = np.rint(to_target[:3, 3])
    corners = np.array([*product(*((0, n) for n in last))])
    # Small turns add up along the array.
    off = corners @ (to_target[:3, :3] - turn).T + to_target[:3, 3] - shift
    if np.abs(off).max() > tolerance:
        return None
    source = np.abs(turn).argmax(1)  # which axis of the array lies along each one of the target
    signs = turn[range(3), source].astype(int)
    first = np.minimum(shift, turn @ last + shift).astype(int)
    return array.T.transpose(source)[tuple(slice(None, None, s) for s in signs)].T, first[::-1]
