"""What the user points at: clicks, scribbles and painted voxels, in RAS millimetres.

Hints come as a list ordered in time, the newest last.
"""

from dataclasses import dataclass
from numbers import Real
from typing import TypeAlias

import numpy as np

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid

# 1 km: no scanner reaches as far from its origin, so such a coordinate is as wrong as NaN.
FARTHEST_MM = 1e6
# A pen of 50 mm covers 200 000 voxels of a CT at one dot.
WIDEST_MM = 50.0


@dataclass(frozen=True, eq=False)
class Click:
    """One point.

    Args:
        point_ras: (3,) RAS mm.
        positive: whether the point belongs to the segment.

    Raises:
        HintError: not three coordinates, one is NaN, infinite or beyond `FARTHEST_MM`, or no sign.
    """

    point_ras: np.ndarray
    positive: bool

    def __post_init__(self):
        points = _checked(self.point_ras, "click")
        if len(points) != 1:
            raise HintError(f"A click is one point, not {len(points)}.", "Place each by itself.")
        object.__setattr__(self, "point_ras", points[0])
        object.__setattr__(self, "positive", _sign(self.positive))


@dataclass(frozen=True, eq=False)
class Scribble:
    """A stroke: straight lines from point to point, drawn with a round pen.

    Args:
        points_ras: (n, 3) RAS mm, n ≥ 1; a single point is a dot.
        positive: whether the stroke belongs to the segment.
        width_mm: the pen's diameter.

    Raises:
        HintError: no point, a coordinate or sign as for `Click`, or a width not within 0…`WIDEST_MM`.
    """

    points_ras: np.ndarray
    positive: bool
    width_mm: float

    def __post_init__(self):
        points = _checked(self.points_ras, "scribble")
        if not len(points):
            raise HintError("The scribble has no points.", "Draw it again.")
        if not isinstance(self.width_mm, (Real, np.number)) or not 0 < self.width_mm <= WIDEST_MM:
            raise HintError(
                f"A scribble cannot be {self.width_mm} mm wide.",
                f"Choose a width of more than 0 and at most {WIDEST_MM:g} mm.",
            )
        object.__setattr__(self, "points_ras", points)
        object.__setattr__(self, "positive", _sign(self.positive))


@dataclass(frozen=True, eq=False)
class Painted:
    """Voxels painted on a labelmap, which may have a grid of its own. Kept cropped to the paint.

    Args:
        mask: (k, j, i) bool, or a labelmap whose paint is not 0.
        ijk_to_ras: 4×4 of the mask's grid.
        positive: whether the paint belongs to the segment.

    Raises:
        HintError: nothing is painted, no labelmap in three dimensions, no sign, or the affine places it
            nowhere.
    """

    mask: np.ndarray
    ijk_to_ras: np.ndarray
    positive: bool

    def __post_init__(self):
        mask, ijk_to_ras = np.asarray(self.mask), np.array(self.ijk_to_ras, float)
        if mask.ndim != 3 or mask.dtype.kind not in "buif" or not (mask == np.floor(mask)).all():
            raise HintError(
                "What was painted is no labelmap: a block of whole numbers in three dimensions.",
                "Paint on a segmentation or a labelmap, and cut maps of probabilities first.",
            )
        mask = mask.astype(bool)
        somewhere = ijk_to_ras.shape == (4, 4) and (np.abs(ijk_to_ras) < FARTHEST_MM).all()
        if not somewhere or np.linalg.matrix_rank(ijk_to_ras) < 4:
            raise HintError(
                "The painted labelmap has no place in space (singular or infinite matrix).",
                "Paint on a segmentation whose reference geometry is the image.",
            )
        if not mask.any():
            raise HintError("Nothing is painted on the labelmap.", "Paint at least one voxel.")
        sides = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        box = tuple(slice(int(side[0]), int(side[-1]) + 1) for side in sides)
        object.__setattr__(self, "mask", _frozen(mask[box].copy()))
        object.__setattr__(self, "positive", _sign(self.positive))
        cropped = part_of(Grid(mask.shape, ijk_to_ras), box)
        object.__setattr__(self, "ijk_to_ras", _frozen(cropped.ijk_to_ras))

    @property
    def grid(self) -> Grid:
        """The grid of the cropped mask."""
        return Grid(self.mask.shape, self.ijk_to_ras)


Hint: TypeAlias = Click | Scribble | Painted


def bounds_ras(hint: Hint) -> np.ndarray:
    """(2, 3) RAS mm: lowest and highest corner of the box around a hint; a click's has no extent."""
    if isinstance(hint, Click):
        return np.stack([hint.point_ras, hint.point_ras])
    if isinstance(hint, Painted):
        return hint.grid.bounds_ras()
    reach = hint.width_mm / 2
    return np.stack([hint.points_ras.min(0) - reach, hint.points_ras.max(0) + reach])


def place_ras(hint: Hint) -> np.ndarray:
    """(3,) RAS mm: a point on a hint, as near to its middle as there is one."""
    if isinstance(hint, Click):
        return hint.point_ras
    if isinstance(hint, Painted):
        kji = np.argwhere(hint.mask)
        points = kji[:, ::-1] @ hint.ijk_to_ras[:3, :3].T + hint.ijk_to_ras[:3, 3]
    else:
        points = hint.points_ras
    return points[np.linalg.norm(points - points.mean(0), axis=1).argmin()]


def _checked(points: np.ndarray, kind: str) -> np.ndarray:
    """A copy (n, 3) of RAS coordinates in mm that nobody can change; refuses what is no place."""
    try:
        points = np.array(points, float).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise HintError(
            f"The {kind} has coordinates that are not R, A, S in mm.", "Give three numbers for each point."
        ) from error
    if not (np.abs(points) < FARTHEST_MM).all():  # NaN fails the comparison as well
        raise HintError(
            f"The {kind} has a coordinate that is not a number, or farther than 1 km away.",
            "Remove this hint and place it again.",
        )
    return _frozen(points)


def _sign(positive: bool) -> bool:
    """Whether a hint is positive; -1 and "no" would count as true."""
    if not isinstance(positive, (bool, np.bool_)):
        raise HintError(
            f"A hint is positive or not: True or False, not {positive!r}.", "Say which of the two it is."
        )
    return bool(positive)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
