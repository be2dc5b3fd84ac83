"""Grids and hints as users make them, round numbers and the volume's edge included.

All are made from a seed: drawing each number by hypothesis takes ten times as long as the tests themselves.
"""

import numpy as np
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Painted, Scribble

RNGS = st.integers(0, 2**32 - 1).map(np.random.default_rng)
ROUND_SHARES = [0, 0.5, 1]


def affine(rng: np.random.Generator) -> np.ndarray:
    """4×4 ijk_to_ras: half of them oblique, spacing 0.3…6 mm, any axes flipped, origin within 300 mm."""
    linear = np.linalg.qr(rng.normal(size=(3, 3)))[0] if rng.random() < 0.5 else np.eye(3)
    spacing = np.where(rng.random(3) < 0.5, rng.choice([0.5, 1, 2, 5], 3), rng.uniform(0.3, 6, 3))
    result = np.eye(4)
    result[:3, :3] = linear * spacing * rng.choice([-1, 1], 3)
    result[:3, 3] = rng.integers(-300, 300, 3) if rng.random() < 0.5 else rng.uniform(-300, 300, 3)
    return result


def grid(rng: np.random.Generator) -> Grid:
    return Grid(tuple(rng.integers(1, 9, 3).tolist()), affine(rng))


def points_in(grid: Grid, shares) -> np.ndarray:
    """(n, 3) RAS mm of places given as shares 0…1 of the grid's sides along (i, j, k)."""
    ijk = np.asarray(shares, float).reshape(-1, 3) * grid.shape_kji[::-1] - 0.5
    return ijk @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3]


def places(grid: Grid, count: int, rng: np.random.Generator, around: float = 0.5) -> np.ndarray:
    """(count, 3) RAS mm in the grid, on its faces, and up to the share `around` of its sides outside."""
    anywhere = rng.uniform(-around, 1 + around, (count, 3))
    return points_in(
        grid, np.where(rng.random((count, 3)) < 0.3, rng.choice(ROUND_SHARES, (count, 3)), anywhere)
    )


def positive(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)


def click(grid: Grid, rng: np.random.Generator) -> Click:
    return Click(places(grid, 1, rng)[0], positive(rng))


def scribble(grid: Grid, rng: np.random.Generator, around: float = 0.5) -> Scribble:
    """1 to 4 points, width 0.01…15 mm."""
    width = rng.choice([0.1, 1, 2, 4]) if rng.random() < 0.5 else rng.uniform(0.01, 15)
    return Scribble(places(grid, rng.integers(1, 5), rng, around), positive(rng), width)


def paint(grid: Grid, rng: np.random.Generator) -> Painted:
    """Paint in and around a grid: half of it on that grid, half on a grid of its own."""
    shape = rng.integers(1, 5, 3)
    mask = rng.random(shape) < 0.3
    mask[tuple(shape // 2)] = True
    ijk_to_ras = grid.ijk_to_ras
    if rng.random() < 0.5:
        ijk_to_ras = affine(rng)
        ijk_to_ras[:3, 3] = places(grid, 1, rng)[0] - ijk_to_ras[:3, :3] @ (shape[::-1] // 2)
    return Painted(mask, ijk_to_ras, positive(rng))


def hint(grid: Grid, rng: np.random.Generator) -> Hint:
    return (click, scribble, paint)[rng.integers(3)](grid, rng)
