"""The baseline that knows no image: a ball painted at each click, of the radius that helps most.

Nobody's hand is that lucky. A refiner that does not beat it has learnt nothing from the image.
"""

from collections.abc import Callable, Sequence

import numpy as np

from HiDiffRefineLib.evaluation.robot_user import Answer, RobotHint

# First guess of how far to look, mm; doubled until nothing further away can help.
REACH_MM = 10.0


def ball_of_ideal_radius(
    mask: np.ndarray,
    truth: np.ndarray,
    index_kji: Sequence[int],
    positive: bool,
    spacing_kji: Sequence[float],
) -> float:
    """Radius in mm of the ball around a voxel that, painted, gives the best Dice of all; exact.

    Args:
        mask, truth: bool (k, j, i).
        index_kji: the click.
        positive: whether the ball adds to the mask or takes away from it.
        spacing_kji: voxel size in mm.

    Returns:
        the largest of the best radii; 0, which is the click's own voxel, if more does not help.
    """
    size, true = int(np.count_nonzero(mask)), int(np.count_nonzero(truth))
    overlap = int(np.count_nonzero(mask & truth))
    reach = REACH_MM
    while True:
        box, distance = _surroundings(mask.shape, index_kji, reach, spacing_kji)
        changes = (distance <= reach) & (mask[box] != positive)
        order = np.argsort(distance[changes], kind="stable")
        radii = np.concatenate([[0.0], distance[changes][order]])
        right = np.concatenate([[0], np.cumsum(truth[box][changes][order] == positive)])
        wrong = np.arange(len(radii)) - right
        if positive:
            scores = _dice(overlap + right, size + right + wrong, true)
            # Further out, the rest of the truth at best.
            hope = _dice(true, size + true - overlap + wrong[-1], true)
        else:
            scores = _dice(overlap - wrong, size - right - wrong, true)
            # Further out, the rest of what is too much at best.
            hope = _dice(overlap - wrong[-1], overlap - wrong[-1], true)
        # A ball holds all voxels at its radius, and its own voxel in any case.
        whole = np.append(radii[1:] > radii[:-1], True)
        scores = np.where(whole, scores, -1.0)
        best = scores.max()
        everything = all(s.start == 0 and s.stop == n for s, n in zip(box, mask.shape, strict=True))
        if hope < best or (everything and distance.max() <= reach):
            return float(radii[np.flatnonzero(scores == best)[-1]])
        reach *= 2


def paint_ball(
    mask: np.ndarray,
    index_kji: Sequence[int],
    radius_mm: float,
    positive: bool,
    spacing_kji: Sequence[float],
) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """A copy of a mask (k, j, i) with a ball added or taken away, and the ball's box of slices."""
    box, distance = _surroundings(mask.shape, index_kji, radius_mm, spacing_kji)
    painted = mask.copy()
    painted[box][distance <= radius_mm] = positive
    return painted, box


def ball_painter(
    truth: np.ndarray, spacing_kji: Sequence[float]
) -> Callable[[np.ndarray, Sequence[RobotHint]], Answer]:
    """A `refine` for `robot_user.play` with clicks: the newest one becomes a ball of ideal radius."""

    def refine(mask: np.ndarray, hints: Sequence[RobotHint]) -> Answer:
        (index_kji,), positive = hints[-1]
        radius_mm = ball_of_ideal_radius(mask, truth, index_kji, positive, spacing_kji)
        painted, box = paint_ball(mask, index_kji, radius_mm, positive, spacing_kji)
        return Answer(painted, region=box)

    return refine


def _surroundings(shape, index_kji, radius_mm, spacing_kji) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """The box of a ball, and in it the distance (k, j, i) to the ball's centre in mm."""
    reach = np.floor(np.divide(radius_mm, spacing_kji) + 1e-6).astype(int)
    low = np.maximum(np.subtract(index_kji, reach), 0)
    high = np.minimum(np.add(index_kji, reach) + 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = [
        (np.arange(a, b) - n) * size for a, b, n, size in zip(low, high, index_kji, spacing_kji, strict=True)
    ]
    k, j, i = np.ix_(*axes)
    return box, np.sqrt(k**2 + j**2 + i**2)


def _dice(overlap, size, true):
    """2 overlap / (size + true), 1 where both are empty."""
    total = np.asarray(size + true)
    return np.where(total == 0, 1.0, 2.0 * overlap / np.maximum(total, 1))
