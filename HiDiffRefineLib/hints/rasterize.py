"""From hints in RAS millimetres to the voxels of a grid. The cost follows the hints' size, not the grid's.

A voxel reaches half a voxel to each side of its centre, so the voxels fill the volume without gaps.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Painted, Scribble

# Rounding must not decide about voxels exactly on a scribble's edge, which round numbers make common.
TOLERANCE_MM = 1e-6
# A point on the face between two voxels belongs to the one that lies in this direction. The direction is
# one of space, so that a flipped grid gives the same anatomy; its three parts differ so that hardly any
# oblique face is parallel to it.
TIE_BREAK_RAS = np.array([1.0, 0.7, 0.4]) * 1e-6
# Voxels looked at together: arrays of some MB stay in the processor's cache.
CHUNK = 1 << 16


def hint_voxels(hint: Hint, grid: Grid) -> np.ndarray:
    """Voxels of a grid that a hint covers.

    - A click covers the voxel that holds its point.
    - A scribble covers each voxel whose centre lies within half its width of the line, and each voxel that
      the line passes through, so that a thin line leaves no gap on thick slices.
    - Paint covers each voxel whose centre lies in a painted voxel, and each voxel that holds the centre of
      a painted voxel, so that a coarse grid loses no stroke.

    Returns:
        (n, 3) int (k, j, i), each voxel once, in the array's order; n = 0 for a hint outside the grid.
    """
    return np.stack(np.unravel_index(_flat_indices(hint, grid), grid.shape_kji), axis=1)


def hint_values(hints: Sequence[Hint], grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Hinted voxels and what their hints say; the newest (last) wins where two disagree.

    Returns:
        (n, 3) int (k, j, i), each voxel once, in the array's order, and (n,) int8: 1 positive, -1 negative.
    """
    newest_first = [(_flat_indices(hint, grid), 1 if hint.positive else -1) for hint in reversed(hints)]
    indices = np.concatenate([np.empty(0, int), *(voxels for voxels, _ in newest_first)])
    values = np.concatenate([np.empty(0), *(np.full(len(voxels), value) for voxels, value in newest_first)])
    indices, first = np.unique(indices, return_index=True)
    return np.stack(np.unravel_index(indices, grid.shape_kji), axis=1), values[first].astype(np.int8)


def hint_labels(hints: Sequence[Hint], grid: Grid) -> np.ndarray:
    """`hint_values` as an int8 array (k, j, i): 0 no hint, 1 positive, -1 negative."""
    voxels_kji, values = hint_values(hints, grid)
    labels = np.zeros(grid.shape_kji, np.int8)
    labels[tuple(voxels_kji.T)] = values
    return labels


def check_inside(hints: Sequence[Hint], grid: Grid) -> None:
    """Refuses hints that cover no voxel of the grid.

    Raises:
        HintError: names the first of them.
    """
    for number, hint in enumerate(hints, 1):
        if not len(_flat_indices(hint, grid)):
            raise HintError(
                f"Hint {number} ({describe(hint)}) lies outside the volume.",
                "Remove it, or choose the volume that it was made on.",
            )


def describe(hint: Hint) -> str:
    """A hint in words: its sign, its kind and where it is or begins."""
    if isinstance(hint, Click):
        kind, (r, a, s) = "click", hint.point_ras
    elif isinstance(hint, Scribble):
        kind, (r, a, s) = "scribble", hint.points_ras[0]
    else:
        kind, (r, a, s) = "paint", hint.grid.center_ras
    return f"{'positive' if hint.positive else 'negative'} {kind} at R {r:.1f}, A {a:.1f}, S {s:.1f} mm"


def _flat_indices(hint: Hint, grid: Grid) -> np.ndarray:
    """`hint_voxels` as ascending indices into the flattened array."""
    if isinstance(hint, Click):
        found = [_voxels_at(hint.point_ras[None], grid)]
    elif isinstance(hint, Scribble):
        found = _scribbled(hint, grid)
    else:
        found = _painted(hint, grid)
    flat = [_flat_inside(voxels_ijk, grid) for voxels_ijk in found]
    indices = np.sort(np.concatenate([np.empty(0, int), *flat]))
    return indices[np.diff(indices, prepend=-1) > 0]


def _flat_inside(voxels_ijk: np.ndarray, grid: Grid) -> np.ndarray:
    inside = voxels_ijk[_inside(voxels_ijk, grid)]
    return np.ravel_multi_index(tuple(inside[:, ::-1].T), grid.shape_kji)


def _scribbled(scribble: Scribble, grid: Grid) -> Iterator[np.ndarray]:
    """Voxels (n, 3) ijk that a scribble covers, some of them twice or outside the grid."""
    radius = scribble.width_mm / 2
    starts, ends = _pieces(*_near_grid(scribble, grid), max(radius, grid.spacing_kji.min()))
    middles, halves = (starts + ends) / 2, (ends - starts) / 2
    squared = np.maximum((halves**2).sum(-1), 1e-30)  # a dot has no length to divide by
    starts_ijk, ends_ijk = _ijk_of(starts, grid), _ijk_of(ends, grid)
    bases_ijk = _voxels_at(middles, grid)
    offsets_ijk = _block(*_reach(radius + np.sqrt(squared.max(initial=0)), grid))
    offsets_ras = offsets_ijk @ grid.ijk_to_ras[:3, :3].T
    # A line through a voxel passes its centre within half the diagonal; thicker pens cover all of those.
    thin = radius < np.linalg.norm(grid.spacing_kji) / 2
    to_bases = bases_ijk @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3] - middles
    for some in _chunks(len(middles), len(offsets_ijk)):
        voxels_ijk = bases_ijk[some, None] + offsets_ijk
        from_line = to_bases[some, None] + offsets_ras
        share = (from_line * halves[some, None]).sum(-1) / squared[some, None]
        from_line -= np.clip(share, -1, 1)[..., None] * halves[some, None]
        covered = (from_line**2).sum(-1) <= (radius + TOLERANCE_MM) ** 2
        if thin:
            enter, leave = _span(
                starts_ijk[some, None], ends_ijk[some, None], voxels_ijk - 0.5, voxels_ijk + 0.5
            )
            covered |= enter <= leave
        yield voxels_ijk[covered]


def _painted(painted: Painted, grid: Grid) -> Iterator[np.ndarray]:
    """Voxels (n, 3) ijk that paint covers, some of them twice or outside the grid."""
    centers = _centers(np.argwhere(painted.mask)[:, ::-1], painted.grid)
    yield _voxels_at(centers, grid)
    painted_to_grid = grid.ras_to_ijk @ painted.ijk_to_ras
    # Reach of a painted voxel along (i, j, k) of the grid; 1e-4 of a voxel is more than the tie break moves.
    half_voxel = np.abs(painted_to_grid[:3, :3]).sum(1) / 2 + 1e-4
    first_ijk = np.ceil(_ijk_of(centers, grid) - half_voxel).astype(int)
    offsets_ijk = _block(np.zeros(3, int), np.floor(2 * half_voxel).astype(int))
    for some in _chunks(len(centers), len(offsets_ijk)):
        voxels_ijk = (first_ijk[some, None] + offsets_ijk).reshape(-1, 3)
        paint_ijk = _voxels_at(_centers(voxels_ijk, grid), painted.grid)
        inside = _inside(paint_ijk, painted.grid)
        i, j, k = paint_ijk[inside].T
        yield voxels_ijk[inside][painted.mask[k, j, i]]


def _near_grid(scribble: Scribble, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends (n, 3) RAS mm of the scribble's lines, cut to what can cover voxels of the grid."""
    points = scribble.points_ras
    starts, ends = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
    low, high = _reach(scribble.width_mm / 2, grid)
    high = high + grid.shape_kji[::-1]
    first, last = _span(_ijk_of(starts, grid), _ijk_of(ends, grid), low, high)
    near = first <= last
    starts, along = starts[near], (ends - starts)[near]
    return starts + first[near, None] * along, starts + last[near, None] * along


def _pieces(starts: np.ndarray, ends: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Lines (n, 3) cut into equal pieces (m, 3) no longer than `longest` mm."""
    along = ends - starts
    counts = np.maximum(np.ceil(np.linalg.norm(along, axis=1) / longest), 1).astype(int)
    line = np.repeat(np.arange(len(starts)), counts)
    nth = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = (along / counts[:, None])[line]
    return starts[line] + nth[:, None] * step, starts[line] + (nth + 1)[:, None] * step


def _span(start: np.ndarray, end: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple:
    """Where lines run inside boxes, as shares 0…1 of their length: first and last; first > last if nowhere.

    All four are (..., 3) and broadcast; the shares are (...).
    """
    along = end - start
    along = np.where(np.abs(along) < 1e-12, 1e-12, along)  # parallel to a face: never meets it within 0…1
    to_low, to_high = (low - start) / along, (high - start) / along
    first = np.minimum(to_low, to_high).max(-1)
    last = np.maximum(to_low, to_high).min(-1)
    return np.maximum(first, 0), np.minimum(last, 1)


def _reach(distance: float, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (3,) ijk offset from a voxel that can matter to what lies `distance` mm around it.

    Whatever point of the voxel is the middle: the offsets lead to each voxel that has its centre in that
    ball, or that holds any point of a line from the middle to the ball's surface.
    """
    per_mm = np.linalg.norm(grid.ras_to_ijk[:3, :3], axis=1)
    steps = np.floor(distance * per_mm + 1 + 1e-4).astype(int)
    return -steps, steps


def _block(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """All (n, 3) index offsets from `low` to `high`, both included."""
    sides = (np.arange(a, b + 1) for a, b in zip(low, high, strict=True))
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)


def _chunks(count: int, candidates: int) -> Iterator[slice]:
    """Slices of `count` things, each with so many candidates, to be looked at together."""
    step = max(CHUNK // candidates, 1)
    return (slice(start, start + step) for start in range(0, count, step))


def _ijk_of(points_ras: np.ndarray, grid: Grid) -> np.ndarray:
    """Continuous (n, 3) ijk of points in RAS mm, ties broken."""
    linear, origin = grid.ras_to_ijk[:3, :3], grid.ras_to_ijk[:3, 3]
    return (points_ras + TIE_BREAK_RAS) @ linear.T + origin


def _voxels_at(points_ras: np.ndarray, grid: Grid) -> np.ndarray:
    """(n, 3) ijk of the voxels that hold points in RAS mm, inside the grid or not."""
    return np.floor(_ijk_of(points_ras, grid) + 0.5).astype(int)


def _centers(voxels_ijk: np.ndarray, grid: Grid) -> np.ndarray:
    return voxels_ijk @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3]


def _inside(voxels_ijk: np.ndarray, grid: Grid) -> np.ndarray:
    return ((voxels_ijk >= 0) & (voxels_ijk < grid.shape_kji[::-1])).all(-1)
