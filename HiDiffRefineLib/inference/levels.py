"""From an answer's probability to its `Extents`: what an edit would change were more, or less, asked of it.

An answer changes what is surer than its hints ask for (`changes`). The levels before it ask for more, down to
the hints alone. Those after it ask for ever less probability, at any distance from the hints: who wants more
sees where it goes. Each step adds about as many voxels as the next. Whatever else holds for an edit holds at
each level: changes go the hints' way, are linked to a hint, and leave alone what is protected.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import minimum_filter

from HiDiffRefineLib.geometry.boxes import Box, bounding_box, part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.changes import linked, surer_than_asked
from HiDiffRefineLib.inference.extents import ANSWER, LEVELS, NEVER

# What the last level asks for: a probability of .02.
LEAST = -0.48


@dataclass(frozen=True)
class Levels:
    """The first level at which each voxel of a region changes.

    Args:
        first: uint8 (k, j, i), `NEVER` where no level changes it.
        less: float, what each level before the answer asks for, falling: by how much surer than its hints ask
            for a change must be.
        more: float, what each level after it asks for, falling: by how much the probability of a change must
            be above one half.
    """

    first: np.ndarray
    less: np.ndarray
    more: np.ndarray


def levels_on_region(
    probability: np.ndarray,
    before: np.ndarray,
    changed: np.ndarray,
    hinted_kji: np.ndarray,
    values: np.ndarray,
    grid: Grid,
    fresh: bool = False,
) -> Levels:
    """The levels of an answer.

    Args:
        changed: bool (k, j, i), what the answer changes. Others: as for `changes.answering`.
    """
    chance = _chance(probability, before)
    could = (chance > LEAST) & np.where(before, (values < 0).any(), (values > 0).any())
    sure = np.full(changed.shape, -np.inf)
    sure[could] = surer_than_asked(probability, before, could, hinted_kji, values, grid, fresh)
    most = linked(sure > -np.inf, hinted_kji, grid) | changed
    # The first level is none of it, but for the hints themselves.
    less = np.append(np.inf, _spaced(sure[changed], ANSWER - 1)[:-1])
    more = _spaced(chance[most & ~changed], LEVELS[-1] - ANSWER)
    first = np.full(changed.shape, NEVER, np.uint8)
    for level, asked in reversed(list(enumerate(more, ANSWER + 1))):
        first[linked(most & (chance >= asked), hinted_kji, grid)] = level
    first[changed] = ANSWER
    for level, asked in reversed(list(enumerate(less, LEVELS[0]))):
        first[linked(changed & (sure >= asked), hinted_kji, grid)] = level
    return Levels(first, less, more)


def levels_on_image(
    levels: Levels,
    probability: torch.Tensor,
    was: np.ndarray,
    region: Grid,
    old: np.ndarray,
    answer: np.ndarray,
    native: Grid,
    rim_kji: tuple[int, int, int],
) -> tuple[Box, np.ndarray] | None:
    """The first level at which each voxel of the native grid changes.

    Args:
        levels: on the region's grid.
        probability: (1, k, j, i) the answer there.
        was: bool (k, j, i), the mask there before.
        old: bool (k, j, i), the mask before on the native grid.
        answer: bool (k, j, i), what the answer changes there.
        rim_kji: voxels at the region's rim that stay.

    Returns:
        slices (k, j, i) of the native grid beyond which nothing changes at any other level than the answer's,
        and uint8 of their shape, `NEVER` where none of them changes it; None if there is nothing.
    """
    box = bounding_box(levels.first < NEVER)
    if box is None:
        return None
    # Finer voxels one further than a change are judged as well: its border runs between the two.
    sides = zip(box, rim_kji, was.shape, strict=True)
    around = tuple(slice(max(s.start - 1, rim), min(s.stop + 1, n - rim)) for s, rim, n in sides)
    if any(s.start >= s.stop for s in around):
        return None
    place = part_of(region, around)
    part = voxel_box(native, place.bounds_ras())
    if any(s.start >= s.stop for s in part):
        return None
    near = []
    for value in (False, True):
        first = np.where(was == value, levels.first, NEVER)
        near.append((minimum_filter(first, 3) if first.min() < NEVER else first)[around])
    probability = probability.float()
    near = torch.from_numpy(np.stack(near)).to(probability)
    outside, inside = resample(near, place.ijk_to_ras, native, "nearest", part=part).cpu().numpy()
    smooth = resample(probability, region.ijk_to_ras, native, part=part)[0].cpu().numpy()
    allowed = np.where(old[part], inside, outside)
    allowed[allowed == 0] = NEVER  # beyond the region
    chance = _chance(smooth, old[part])
    less, more = (np.searchsorted(-asked, -chance, side="left") for asked in (levels.less, levels.more))
    met = np.where(answer[part], LEVELS[0] + less, ANSWER + 1 + more)
    return part, np.maximum(allowed, met).astype(np.uint8)


def _chance(probability: np.ndarray, before: np.ndarray) -> np.ndarray:
    """By how much the probability of a change of a mask (bool) is above one half."""
    return np.where(before, 0.5 - probability, probability - 0.5)


def _spaced(sure: np.ndarray, count: int) -> np.ndarray:
    """Thresholds, falling, each of which lets as many further values pass; the last lets all pass."""
    if not len(sure):
        return np.zeros(count)
    return np.quantile(sure, 1 - np.arange(1, count + 1) / count)
