"""Coarse masks."""

import numpy as np

from HiDiffRefineLib.evaluation.coarse import ellipsoid
from HiDiffRefineLib.evaluation.metrics import dice


def test_an_ellipsoid_is_its_own_coarse_mask():
    k, j, i = np.indices((40, 50, 60))
    turned = (j - 25) + 0.5 * (i - 30)
    mask = ((k - 20) / 9) ** 2 + (turned / 14) ** 2 + ((i - 30) / 20) ** 2 <= 1
    assert dice(ellipsoid(mask), mask) > 0.97


def test_what_is_no_ellipsoid_becomes_one_in_its_place():
    mask = np.zeros((20, 30, 40), bool)
    mask[:12, 5:8, 2:30] = mask[3:6, 5:25, 2:6] = True
    found = ellipsoid(mask)
    assert found.any() and 0.2 < dice(found, mask) < 0.8  # cut off where the volume ends


def test_a_voxel_and_nothing_at_all():
    mask = np.zeros((5, 5, 5), bool)
    assert not ellipsoid(mask).any()
    mask[2, 3, 4] = True
    np.testing.assert_array_equal(ellipsoid(mask), mask)
