"""A hint's effect fits what it points at (promise 8), with the shipped weights, in voxels of any size."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume

SIZES_MM = (0.02, 0.06, 0.1, 0.3, 1.0, 2.0)
SHAPE = (40, 40, 40)


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(load_bundle("refiner-only"), torch.device("cpu"))


def ball(radius, center=(20, 20, 20)):
    away = np.moveaxis(np.indices(SHAPE), 0, -1) - center
    return (away**2).sum(-1) <= radius**2


def image(bright):
    return (np.random.default_rng(0).normal(0.3, 0.08, SHAPE) + 0.4 * bright).astype(np.float32)


def edited(pipeline, array, size_mm, mask, at_kji, positive=True):
    """A mask after one click, one reverse step."""
    session = RefinementSession(Volume(array, np.diag([size_mm] * 3 + [1.0]), "ball"), pipeline, checksum=0)
    session.set_prior(mask, "ball")
    session.add_click(size_mm * np.array(at_kji[::-1], float), positive)
    for _ in session.refine(1):
        pass
    return session.mask().copy()


@pytest.mark.parametrize(("radius", "size_mm"), [*((2, size) for size in SIZES_MM), (14, 0.02), (14, 2.0)])
def test_a_click_in_a_right_mask_changes_nothing_beyond_its_border(pipeline, radius, size_mm):
    right = ball(radius)
    found = edited(pipeline, image(right), size_mm, right, (20, 20, 20))
    assert not (found & ~binary_dilation(right)).any() and not (binary_erosion(right) & ~found).any()
    assert np.count_nonzero(found != right) <= 0.1 * np.count_nonzero(right)


def test_a_small_thing_stays_small_beside_others(pipeline):
    centers = [(8, 8, 8), (8, 30, 8), (30, 8, 8), (30, 30, 30)]
    bright = np.any([ball(2, center) for center in centers], axis=0)
    missing = bright & ~ball(2, centers[-1])
    found = edited(pipeline, image(bright), 1.0, missing, centers[-1])
    new = found & ~missing
    assert np.array_equal(found & ~new, missing) and new[centers[-1]]
    assert not (new & ~ball(7, centers[-1])).any() and new.sum() < 4 * ball(2).sum()


def test_the_same_voxels_give_the_same_answer_whatever_their_size(pipeline):
    bright = ball(9)
    half = bright & (np.arange(40) < 20)[:, None, None]
    found = [edited(pipeline, image(bright), size, half, (25, 20, 20)) for size in SIZES_MM[::2]]
    assert np.count_nonzero(found[0] != half) > 100
    assert all(np.array_equal(found[0], other) for other in found[1:])
