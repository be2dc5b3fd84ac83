"""More or less of an edit: the nested changes that it could as well have ended with."""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from HiDiffRefineLib.geometry.boxes import Box, bounding_box

# From the least change to the most.
LEVELS = range(1, 10)
# The edit as it was answered.
ANSWER = 5
NEVER = LEVELS.stop


@dataclass(frozen=True, eq=False)
class Extents:
    """What an edit changes at each of `LEVELS`; what changes at one does so at all that follow.

    Args:
        box: slices (k, j, i) of the native grid, with start and stop; outside, no level changes anything.
        packed: uint8 of the box's shape, the first level at which a voxel changes, 0 where none changes it;
            compressed by zlib, as most of it is 0.
    """

    box: Box
    packed: bytes

    def flips(self, level: int) -> np.ndarray:
        """What changes at a level, bool of the box's shape."""
        return (_unpacked(self.packed) <= level).reshape([s.stop - s.start for s in self.box])


# Of the edit whose levels the user goes through: 5 million voxels take 7 ms.
@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> np.ndarray:
    """The first level at which each voxel changes, `NEVER` where none changes it; (n,) uint8."""
    first = np.frombuffer(zlib.decompress(packed), np.uint8).copy()
    first[first == 0] = NEVER
    return first


def extents_of(first: np.ndarray, answer: np.ndarray, box: Box) -> Extents | None:
    """The extents of an edit in a box; None if no level changes anything.

    Args:
        first: uint8 of the box's shape, the first level at which each voxel changes, `NEVER` where none
            changes it. At `ANSWER` the answer holds, whatever it says.
        answer: what the edit changes, bool likewise.
    """
    first = np.where(answer, np.minimum(first, ANSWER), np.maximum(first, ANSWER + 1))
    tight = bounding_box(first < NEVER)
    if tight is None:
        return None
    whole = tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(tight, box, strict=True))
    first = first[tight].astype(np.uint8)
    first[first >= NEVER] = 0
    return Extents(whole, zlib.compress(first.tobytes(), 1))
