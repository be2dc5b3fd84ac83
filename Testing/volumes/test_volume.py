"""A mask finds its place among a volume's voxels, or has none."""

import numpy as np
import pytest

from HiDiffRefineLib.volumes.volume import Volume, laid_on
from Testing.volumes.samples import OBLIQUE_LAS

SHAPE = (6, 7, 8)


def shifted(array, ijk, linear=1.0):
    matrix = OBLIQUE_LAS.copy()
    matrix[:3, 3] += matrix[:3, :3] @ np.array(ijk, float)
    matrix[:3, :3] *= linear
    return Volume(np.asarray(array, np.uint8), matrix)


@pytest.fixture
def volume():
    return Volume(np.zeros(SHAPE), OBLIQUE_LAS)


def test_a_cropped_mask_is_filled_up(volume):
    whole = np.zeros(SHAPE, np.uint8)
    whole[1:4, 2:4, 5] = 3
    assert np.array_equal(laid_on(volume, shifted(whole, (0, 0, 0))), whole)
    assert np.array_equal(laid_on(volume, shifted(whole[1:4, 2:5, 5:6], (5, 2, 1))), whole)


def test_labels_that_reach_out_are_another_geometry(volume):
    assert laid_on(volume, shifted(np.ones((4, 4, 4)), (-1, 0, 0))) is None
    assert laid_on(volume, shifted(np.ones((4, 4, 4)), (0, 0, 3))) is None
    assert laid_on(volume, shifted(np.ones((4, 4, 4)), (0, 0, 2))) is not None


def test_an_empty_segmentation_has_no_place_and_needs_none(volume):
    assert not laid_on(volume, Volume(np.zeros((1, 1, 1), np.uint8), np.eye(4))).any()
    assert laid_on(volume, Volume(np.ones((1, 1, 1), np.uint8), np.eye(4))) is None


def test_other_voxels_are_no_place(volume):
    part = np.ones((2, 2, 2))
    assert laid_on(volume, shifted(part, (0.4, 0, 0))) is None
    assert laid_on(volume, shifted(part, (0, 0, 0), linear=1.2)) is None
    assert laid_on(volume, shifted(part, (0, 0, 0), linear=-1)) is None
    assert laid_on(volume, shifted(part, (1.01, 0, 0))) is not None
