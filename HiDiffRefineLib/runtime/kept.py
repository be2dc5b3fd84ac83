"""The segmentor's probabilities in shared memory: a worker that was killed need not segment again."""

import zlib
from contextlib import suppress

import numpy as np

from HiDiffRefineLib.errors import WorkerError
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.runtime import shared

# Before the numbers: 1 when all of them are there.
_HEAD = 64


def prior_key(key: str, roi: RegionOfInterest | None) -> str:
    """Name of the shared memory for a volume's probabilities in a region of interest; None for all of it."""
    place = () if roi is None else (*map(float, roi.center_ras), float(roi.radius_mm))
    return f"{key}_{zlib.crc32(repr(place).encode()):08x}"


class SharedPriors:
    """See `prepared.PriorCache`.

    Args:
        key: of the volume.
    """

    def __init__(self, key: str):
        self._key = key
        self._memories: dict = {}

    def load(self, roi: RegionOfInterest | None, shape: tuple) -> np.ndarray | None:
        """float16 of a shape, as it was saved; None if it was not."""
        name = prior_key(self._key, roi)
        try:
            memory = shared.attach(name)
        except FileNotFoundError:
            return None
        size = int(np.prod(shape)) * 2
        if memory.buf[0] != 1 or memory.size < _HEAD + size:
            memory.close()
            shared.unlink(name)
            return None
        self._memories[name] = memory
        return np.frombuffer(memory.buf, np.float16, size // 2, _HEAD).reshape(shape)

    def save(self, roi: RegionOfInterest | None, probabilities: np.ndarray) -> None:
        """Keeps float16 (labels, k, j, i), if there is room."""
        name = prior_key(self._key, roi)
        with suppress(WorkerError):
            memory = shared.create(name, _HEAD + probabilities.nbytes)
            self._memories[name] = memory
            target = np.frombuffer(memory.buf, np.float16, probabilities.size, _HEAD)
            target[:] = probabilities.ravel()
            memory.buf[0] = 1
