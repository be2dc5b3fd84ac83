"""Grids as scanners and exports make them: oblique, anisotropic, flipped, far from the origin."""

import numpy as np
import pytest
from hypothesis import strategies as st


def _affine(angles, spacing, flips, origin) -> np.ndarray:
    linear = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        linear = linear @ turn
    affine = np.eye(4)
    affine[:3, :3] = linear * (np.array(spacing) * flips)
    affine[:3, 3] = origin
    return affine


def _three(strategy):
    return st.tuples(strategy, strategy, strategy)


@pytest.fixture(scope="session")
def affines():
    """Strategy of 4×4 ijk_to_ras: any rotation, 0.3…6 mm, any axes flipped, origin within 300 mm."""
    return st.builds(
        _affine,
        _three(st.floats(-3.1, 3.1)),
        _three(st.floats(0.3, 6)),
        _three(st.sampled_from([-1, 1])),
        _three(st.floats(-300, 300)),
    )
