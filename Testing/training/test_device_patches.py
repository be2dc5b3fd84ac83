"""Patches drawn on the device are those that worker processes would draw."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.training.device_patches import DevicePatches, augmented
from HiDiffRefineLib.training.patches import SegmentationPatches

ARGUMENTS = {"patch_kji": (8, 16, 16), "spacing_kji": (2.0, 1.2, 1.0), "mirror": True, "seed": 3}


def unchanged(image, *_):
    return image


@pytest.fixture
def cases(make_case):
    return [make_case("one"), make_case("two", shape=(20, 33, 25), seed=1)]


def test_a_batch_is_what_single_draws_are(cases, monkeypatch):
    monkeypatch.setattr("HiDiffRefineLib.training.device_patches.augmented", unchanged)
    single = SegmentationPatches(cases, **ARGUMENTS)
    single.augment = unchanged
    images, labels = next(DevicePatches(cases, **ARGUMENTS, device=torch.device("cpu")).batches(6))
    assert images.shape == labels.shape == (6, 1, 8, 16, 16)
    for image, label in zip(images, labels, strict=True):
        expected, truth = single.draw()
        torch.testing.assert_close(image, expected, atol=1e-4, rtol=0)
        # A sample midway between two voxels may fall to either.
        assert (label == truth).float().mean() > 0.99


def test_a_picture_is_a_volume_of_one_slice(make_case):
    case = make_case(shape=(24, 30, 36))
    flat = type(case)("flat", case.image[10:11], case.labels[10:11], case.ijk_to_ras)
    patches = DevicePatches([flat], (1, 16, 16), (1.0, 1.2, 1.0), True, 0, torch.device("cpu"))
    image, labels = next(patches.batches(4))
    assert image.shape == (4, 1, 1, 16, 16)
    assert labels.any() and set(labels.unique().tolist()) <= {0, 1, 2}


def test_same_seed_same_batches(cases):
    first, again = (DevicePatches(cases, **ARGUMENTS, device=torch.device("cpu")) for _ in range(2))
    for one, other in zip(next(first.batches(3)), next(again.batches(3)), strict=True):
        assert torch.equal(one, other)


def test_augmentation_stays_in_range_changes_some_and_leaves_some():
    image = torch.rand(64, 1, 4, 12, 12, generator=torch.Generator().manual_seed(0))
    image = 0.2 + 0.6 * image
    found = augmented(image, torch.Generator().manual_seed(1))
    assert found.shape == image.shape and found.min() >= 0 and found.max() <= 1
    change = (found - image).abs().amax((1, 2, 3, 4)).numpy()
    assert np.count_nonzero(change < 1e-5) > 3 and np.count_nonzero(change > 0.02) > 20
