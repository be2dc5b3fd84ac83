"""A look at a volume's voxels before a session is opened on it."""

import zlib
from collections.abc import Generator
from typing import TypeVar

import numpy as np

from HiDiffRefineLib.volumes.checks import check_affine, checking_intensities
from HiDiffRefineLib.volumes.volume import Volume

Result = TypeVar("Result")


def examine(volume: Volume) -> int:
    """Refuses what no session can be opened on; else the checksum by which journals know the volume.

    Raises:
        VolumeError: as `check_affine` and `check_intensities`.
    """
    return run(examining(volume))


def examining(volume: Volume) -> Generator[None, None, int]:
    """`examine` some slices at a time."""
    check_affine(volume.ijk_to_ras)
    checksum = 0
    for part in checking_intensities(volume.array):
        checksum = zlib.crc32(np.ascontiguousarray(part), checksum)
        yield None
    yield None  # after the look at all of them: whoever comes next has a turn of its own
    return checksum


def run(work: Generator[None, None, Result]) -> Result:
    """What an iterator returns at its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
