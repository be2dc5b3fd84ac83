"""Which of the changes that a refiner proposes a user asked for.

What a network would change far from a hint is right half of the time: kept in bounds, the first click lowers
Dice half as often and the mean is no lower (model card of the refiner, "Tried without training").
"""

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, label, maximum_filter
from scipy.spatial import cKDTree

from HiDiffRefineLib.geometry.boxes import bounding_box
from HiDiffRefineLib.geometry.grids import Grid

# Distances are in units of the region's finest spacing: it follows from what is looked at, whatever its size.
# A change answers a hint if one piece of it comes this near.
LINK = 3.0
# How far from one half the probability of a change must be for every unit from its hint, and at most.
SURER, SUREST = 0.015, 0.4
# The same wherever a piece starts beside others: of four lesions drawn into a head the network took in 27 to
# 125 voxels around at .48, 6 to 58 at this.
SURE = 0.495


def answering(
    probability: np.ndarray,
    before: np.ndarray,
    hinted_kji: np.ndarray,
    values: np.ndarray,
    grid: Grid,
    fresh: bool = False,
) -> np.ndarray:
    """Changes that go the way of their nearest hint, the surer the further off, and are linked to one.

    Args:
        probability: (k, j, i), the refiner's answer.
        before: bool (k, j, i), the mask.
        hinted_kji: (n, 3) voxels (k, j, i) of the hints to be answered.
        values: (n,) above 0 where a hint says that the voxel belongs to the segment.
        grid: of the answer.
        fresh: whether it starts a piece beside others that are there already.

    Returns:
        bool (k, j, i), the voxels that are to change.
    """
    changed = one_way(probability > 0.5, before, values) != before
    changed[changed] = surer_than_asked(probability, before, changed, hinted_kji, values, grid, fresh) >= 0
    return linked(changed, hinted_kji, grid)


def surer_than_asked(
    probability: np.ndarray,
    before: np.ndarray,
    changed: np.ndarray,
    hinted_kji: np.ndarray,
    values: np.ndarray,
    grid: Grid,
    fresh: bool = False,
) -> np.ndarray:
    """By how much the probability of each of some changes is further from one half than its hint asks for.

    Args:
        changed: bool (k, j, i), the changes. Others: as for `answering`.

    Returns:
        (n,) in the order of `np.argwhere(changed)`, -inf for what goes against its nearest hint.
    """
    box = bounding_box(changed)
    if box is None or not len(hinted_kji):
        return np.full(np.count_nonzero(changed), -np.inf)
    here = changed[box]
    changed_kji = np.argwhere(here) + [s.start for s in box]
    unit_kji = _in_units(grid)
    distance, nearest = cKDTree(hinted_kji * unit_kji).query(changed_kji * unit_kji)
    outside = ~before[box][here]
    sure = np.where(outside, probability[box][here] - 0.5, 0.5 - probability[box][here])
    needed = np.minimum(SURER * distance, SUREST)
    needed = np.maximum(needed, SURE) if fresh else needed
    return np.where((values[nearest] > 0) == outside, sure - needed, -np.inf)


def linked(changed: np.ndarray, hinted_kji: np.ndarray, grid: Grid) -> np.ndarray:
    """Those pieces (26-connected) of a change that come within `LINK` of a hinted voxel, along each axis.

    Args:
        changed: bool (k, j, i).
        hinted_kji: (n, 3) voxels (k, j, i).
        grid: where it is.

    Returns:
        bool of that shape.
    """
    box, kept = bounding_box(changed), np.zeros_like(changed)
    if box is None or not len(hinted_kji):
        return kept
    pieces = np.zeros(changed.shape, np.int32)
    count = label(changed[box], np.ones((3, 3, 3)), output=pieces[box])
    # No rounding may decide: the same grid in other units gives the same.
    reach = np.ceil(LINK / _in_units(grid) - 1e-6).astype(int)
    low, high = np.maximum(hinted_kji.min(0) - reach, 0), hinted_kji.max(0) + reach + 1
    around = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    near = np.zeros(pieces[around].shape, bool)
    near[tuple((hinted_kji - low).T)] = True
    linked_to = np.zeros(count + 1, bool)
    linked_to[pieces[around][maximum_filter(near, 2 * reach + 1, mode="constant")]] = True
    linked_to[0] = False
    kept[box] = linked_to[pieces[box]]
    return kept


def within_border(found: np.ndarray, before: np.ndarray) -> np.ndarray:
    """A mask without changes beyond one voxel, across a face, on either side of the border that there was.

    Args:
        found, before: bool (k, j, i), the masks after and before.
    """
    return (found & binary_dilation(before)) | binary_erosion(before, border_value=True)


def one_way(found: np.ndarray, before: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A mask without changes against the hints: finer voxels at a change's border may have moved so.

    Args:
        found, before: bool (k, j, i), the masks after and before.
        values: (n,) of the hints to be answered; where they say both, nothing is held back.
    """
    if (values > 0).all():
        return found | before
    return found if (values > 0).any() else found & before


def _in_units(grid: Grid) -> np.ndarray:
    """Distance between samples along (k, j, i) in units of the shortest of the three."""
    return grid.spacing_kji / grid.spacing_kji.min()
