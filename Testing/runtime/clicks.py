"""Where the tests' user clicks, and how long nobody notices a wait."""

import numpy as np

BLINK_S = 0.03


def at(*voxel_kji) -> np.ndarray:
    """RAS mm of a voxel of the fixture `volume`."""
    return np.array(voxel_kji[::-1]) * [1.0, 1, 1.5]
