"""The robot user: who corrects a mask as a person would, knowing the truth."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import find_objects, label

from HiDiffRefineLib.evaluation.centre_line import centre_line, depth_mm
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.geometry.boxes import bounding_box

# Ways to give hints: at the deepest point of the largest error, near it, anywhere in it, some voxels off the
# deepest point wherever that is, or along the middle of it.
ROBOTS = ("click", "jitter", "random", "off", "scribble")
# How far a jittered click may miss the deepest point.
JITTER_MM = 5.0
# How far a click may be off it in voxels, as a hand is on a screen.
OFF_VOXELS = 3


class RobotHint(NamedTuple):
    """What the robot user marks.

    Args:
        voxels_kji: (n, 3) int indices: one for a click, else a scribble from end to end, each voxel a
            neighbour of the one before.
        positive: whether they belong to the segment.
    """

    voxels_kji: np.ndarray
    positive: bool


class Answer(NamedTuple):
    """What is made of the hints.

    Args:
        mask: bool (k, j, i).
        unclamped: the same before hinted voxels were set by force; None if it is not known.
        region: slices (k, j, i) of the voxels that the edit may change; None if no limit is claimed.
    """

    mask: np.ndarray
    unclamped: np.ndarray | None = None
    region: tuple[slice, slice, slice] | None = None


@dataclass(frozen=True)
class Curve:
    """The course of one session on one segment of one case.

    Args:
        dice: after 0, 1, …, n hints; continued at its last value once nothing is wrong.
        satisfaction: after each hint given, the share of all voxels hinted so far that hold their hint.
        satisfaction_unclamped: the same of `Answer.unclamped`; empty if that is not known.
        changed_voxels: changed by each hint.
        collateral_voxels: of these, outside `Answer.region`; empty if no limit is claimed.
        seconds: that each answer took.
    """

    dice: list[float]
    satisfaction: list[float] = field(default_factory=list)
    satisfaction_unclamped: list[float] = field(default_factory=list)
    changed_voxels: list[int] = field(default_factory=list)
    collateral_voxels: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def next_click(
    mask: np.ndarray,
    truth: np.ndarray,
    spacing_kji: Sequence[float],
    placed: Sequence[RobotHint] = (),
    rng: np.random.Generator | None = None,
    jitter_mm: float = JITTER_MM,
) -> RobotHint | None:
    """A click at the deepest point of the largest 26-connected component of the error `mask` ≠ `truth`.

    Depth is the distance to the nearest correct voxel in mm; what lies outside the array counts as correct.

    Args:
        mask, truth: bool (k, j, i).
        spacing_kji: voxel size in mm.
        placed: the hints so far; none of their voxels is clicked again.
        rng: None for the deepest point itself; else a random voxel of the component near it.
        jitter_mm: how near, with `rng`.

    Returns:
        a hint of one voxel that says what the truth is there; None if nothing (new) is wrong.
    """
    found = _largest_error(mask, truth, placed)
    if found is None:
        return None
    corner_kji, component, free = found
    deepest = _deepest(component, free, spacing_kji)
    if rng is not None:
        candidates = np.argwhere(free)
        miss_mm = np.linalg.norm((candidates - deepest) * np.asarray(spacing_kji, float), axis=1)
        deepest = rng.choice(candidates[miss_mm <= jitter_mm])
    voxel = corner_kji + deepest
    return RobotHint(voxel[None], bool(truth[tuple(voxel)]))


def next_random_click(
    mask: np.ndarray,
    truth: np.ndarray,
    spacing_kji: Sequence[float],
    placed: Sequence[RobotHint] = (),
    *,
    rng: np.random.Generator,
) -> RobotHint | None:
    """A click at any voxel of the largest error; arguments and result as for `next_click`."""
    return next_click(mask, truth, spacing_kji, placed, rng, np.inf)


def next_click_off(
    mask: np.ndarray,
    truth: np.ndarray,
    spacing_kji: Sequence[float],
    placed: Sequence[RobotHint] = (),
    *,
    rng: np.random.Generator,
) -> RobotHint | None:
    """A click up to `OFF_VOXELS` off the deepest point of the largest error, whatever is there.

    It says what the truth is where it falls: a user sees that. So it may tell nothing new, and nothing is
    gained by it.

    Args:
        mask, truth, spacing_kji, placed: as for `next_click`. rng: chooses the place.
    """
    deepest = next_click(mask, truth, spacing_kji, placed)
    if deepest is None:
        return None
    steps = np.indices((2 * OFF_VOXELS + 1,) * 3).reshape(3, -1).T - OFF_VOXELS
    places = deepest.voxels_kji + steps[np.linalg.norm(steps, axis=1) <= OFF_VOXELS]
    places = places[((places >= 0) & (places < mask.shape)).all(1)]
    told = {tuple(voxel) for hint in placed for voxel in hint.voxels_kji.tolist()}
    free = [voxel for voxel in places.tolist() if tuple(voxel) not in told]
    voxel = np.array(free[rng.integers(len(free))])
    return RobotHint(voxel[None], bool(truth[tuple(voxel)]))


def next_scribble(
    mask: np.ndarray,
    truth: np.ndarray,
    spacing_kji: Sequence[float],
    placed: Sequence[RobotHint] = (),
    *,
    rng: np.random.Generator,
) -> RobotHint | None:
    """A scribble along the middle of the largest error, in the slice through its deepest point.

    The slice lies across a random axis of the array. The scribble runs between the two ends of the error
    there that are furthest apart inside it, and keeps to the middle: a millimetre at depth d costs 1 / d².

    Args:
        mask, truth, spacing_kji, placed: as for `next_click`.
        rng: chooses the axis.

    Returns:
        a hint whose voxels are all wrong in `mask` and alike in `truth`; None if nothing (new) is wrong.
    """
    found = _largest_error(mask, truth, placed)
    if found is None:
        return None
    corner_kji, component, free = found
    deepest = _deepest(component, free, spacing_kji)
    box = tuple(slice(c, c + n) for c, n in zip(corner_kji, component.shape, strict=True))
    positive = bool(truth[box][tuple(deepest)])
    axis = int(rng.integers(3))
    plane = (free & (truth[box] == positive)).take(deepest[axis], axis)
    line = centre_line(plane, np.delete(deepest, axis), np.delete(np.asarray(spacing_kji, float), axis))
    return RobotHint(corner_kji + np.insert(line, axis, deepest[axis], axis=1), positive)


def placer(robot: str, seed: Sequence[int]) -> Callable[..., RobotHint | None]:
    """What `play` places hints by, for one of `ROBOTS`; the seed fixes whatever is random in it."""
    if robot == "click":
        return next_click
    ways = {
        "jitter": next_click,
        "random": next_random_click,
        "off": next_click_off,
        "scribble": next_scribble,
    }
    return partial(ways[robot], rng=np.random.default_rng(seed))


def play(
    refine: Callable[[np.ndarray, Sequence[RobotHint]], Answer],
    mask: np.ndarray,
    truth: np.ndarray,
    spacing_kji: Sequence[float],
    hints: int,
    place: Callable[..., RobotHint | None] = next_click,
) -> Curve:
    """A session of the robot user: a hint where the mask is worst, an answer, and so on.

    Args:
        refine: (mask, all hints so far, the newest last) → Answer. It must not change the mask it is given,
            and must have finished (GPU too) when it returns, since it is timed.
        mask: to start from, bool (k, j, i).
        truth: bool (k, j, i).
        spacing_kji: voxel size in mm.
        hints: how many to give at most; fewer once nothing is wrong.
        place: of `placer`.

    Raises:
        VolumeError: mask, truth and answers of different shapes.
    """
    mask = np.asarray(mask, bool)
    curve = Curve([dice(mask, truth)])
    placed: list[RobotHint] = []
    while len(placed) < hints:
        hint = place(mask, truth, spacing_kji, placed)
        if hint is None:
            break
        placed = [*placed, hint]
        started = time.perf_counter()
        answer = refine(mask, placed)
        curve.seconds.append(time.perf_counter() - started)
        curve.dice.append(dice(answer.mask, truth))
        curve.satisfaction.append(satisfaction(answer.mask, placed))
        if answer.unclamped is not None:
            curve.satisfaction_unclamped.append(satisfaction(answer.unclamped, placed))
        changed = answer.mask != mask
        curve.changed_voxels.append(int(np.count_nonzero(changed)))
        if answer.region is not None:
            inside = np.count_nonzero(changed[answer.region])
            curve.collateral_voxels.append(curve.changed_voxels[-1] - int(inside))
        mask = answer.mask
    curve.dice.extend([curve.dice[-1]] * (hints - len(placed)))
    return curve


def satisfaction(mask: np.ndarray, hints: Sequence[RobotHint]) -> float:
    """Share (0…1) of the hints' voxels that hold their hint in a bool mask (k, j, i)."""
    held = [mask[tuple(hint.voxels_kji.T)] == hint.positive for hint in hints]
    return float(np.concatenate(held).mean())


def _largest_error(
    mask: np.ndarray, truth: np.ndarray, placed: Sequence[RobotHint]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Its box's corner (3,), and in the box the component and its voxels that no hint has marked yet.

    Largest is the component with the most such voxels. Nothing outside the error's bounding box is looked
    at twice: a CT has 40 million voxels, an error a few thousand.
    """
    error = np.asarray(mask, bool) != np.asarray(truth, bool)
    around = bounding_box(error)
    if around is None:
        return None
    components, _ = label(error[around], np.ones((3, 3, 3)))
    free = components > 0
    corner_kji = np.array([s.start for s in around])
    for hint in placed:
        inside = hint.voxels_kji - corner_kji
        inside = inside[((inside >= 0) & (inside < free.shape)).all(1)]
        free[tuple(inside.T)] = False
    sizes = np.bincount(components[free])
    if sizes.size == 0:
        return None
    largest = int(sizes.argmax())
    box = find_objects(components, largest)[-1]
    component = components[box] == largest
    return corner_kji + [s.start for s in box], component, component & free[box]


def _deepest(component: np.ndarray, free: np.ndarray, spacing_kji) -> np.ndarray:
    depth = np.where(free, depth_mm(component, spacing_kji), 0)
    return np.array(np.unravel_index(depth.argmax(), depth.shape))
