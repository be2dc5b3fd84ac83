"""Patches: labels move with the image, rare labels are seen, seeds repeat."""

from itertools import islice

import numpy as np
import pytest
import torch

from HiDiffRefineLib.training.patches import (
    SegmentationPatches,
    batches,
    intensity_augmentation,
    label_places,
    random_linear,
    random_warp,
)


@pytest.fixture
def make_patches(make_case):
    def make(seed=0, mirror=True) -> SegmentationPatches:
        cases = [make_case("a"), make_case("b", shape=(20, 34, 30), seed=1)]
        return SegmentationPatches(cases, (12, 24, 24), (2.0, 1.2, 1.2), mirror, seed)

    return make


def test_labels_stay_on_their_voxels_under_every_rotation_scale_and_mirror(make_patches):
    patches = make_patches()
    patches.augment = lambda image: image
    seen = 0
    for _ in range(20):
        image, labels = patches.draw()
        assert image.shape == labels.shape == (1, 12, 24, 24)
        assert set(labels.unique().tolist()) <= {0, 1, 2}
        # The image shows label 1 as 100 of 255, label 2 as 200.
        for label, level in ((1, 50 / 255), (2, 150 / 255)):
            shown, told = image > level, labels >= label
            assert (shown != told).float().mean() < 0.03
        seen += int((labels == 1).sum())
    assert seen > 1000


def test_a_rare_label_is_seen_often(make_patches):
    patches = make_patches()
    share = np.mean([bool((patches.draw()[1] == 2).any()) for _ in range(60)])
    # Of 70 % of the patches half are meant for it; its voxels are one in two thousand.
    assert share > 0.25


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_repeat_with_the_seed_and_workers_draw_different_samples(make_patches, workers):
    def first(seed):
        torch.manual_seed(0)
        return list(islice(batches(make_patches(seed), 2, workers, torch.device("cpu")), 4))

    found = first(5)
    for (image, labels), (image_again, labels_again) in zip(found, first(5), strict=True):
        assert image.shape == (2, 1, 12, 24, 24)
        assert torch.equal(image, image_again) and torch.equal(labels, labels_again)
    assert not torch.equal(found[0][1], first(6)[0][1])
    assert not torch.equal(found[0][0], found[1][0])


def test_a_warp_is_smooth_and_within_a_few_voxels():
    rng = np.random.default_rng(0)
    warps = [random_warp(rng, (24, 48, 48), (2.0, 1.0, 1.0)) for _ in range(20)]
    assert all(warp.shape == (24, 48, 48, 3) for warp in warps)
    for axis, voxel in enumerate((1.0, 1.0, 2.0)):
        shifts = torch.stack([warp[..., axis] for warp in warps]) / voxel
        assert 0.3 < shifts.std() < 2 and shifts.abs().max() < 9
        # Neighbours move together, or the image would tear.
        assert shifts.diff(dim=3).abs().max() < 0.9


def test_places_are_voxels_of_their_label(make_case):
    case = make_case()
    found = label_places(case, np.random.default_rng(0))
    assert set(found) == {1, 2}
    for label, places in found.items():
        ijk = (np.c_[places, np.ones(len(places))] @ np.linalg.inv(case.ijk_to_ras).T)[:, :3]
        i, j, k = np.rint(ijk).astype(int).T
        assert ijk == pytest.approx(np.rint(ijk), abs=1e-6)
        assert (case.labels[k, j, i] == label).all()


def test_a_case_without_labels_gives_patches_too(make_case):
    case = make_case()
    empty = type(case)(case.name, case.image, np.zeros_like(case.labels), case.ijk_to_ras)
    patches = SegmentationPatches([empty], (12, 24, 24), (2.0, 1.2, 1.2), False, 0)
    assert not any(patches.draw()[1].any() for _ in range(5))


def test_intensity_augmentation_changes_values_and_no_place():
    torch.manual_seed(0)
    augment = intensity_augmentation(0)
    image = torch.zeros(1, 8, 16, 16)
    image[:, :, :, 8:] = 1
    changed = 0
    for _ in range(20):
        found = augment(image.clone())
        assert type(found) is torch.Tensor and found.shape == image.shape and found.isfinite().all()
        assert found[..., 10:].mean() > found[..., :6].mean() + 0.5
        changed += not torch.equal(found, image)
    assert changed > 5


def test_any_contrast_also_turns_the_grey_scale_upside_down():
    augment = intensity_augmentation(0, any_contrast=True)
    image = torch.zeros(1, 8, 16, 16)
    image[:, :, :, 8:] = 1
    found = [augment(image.clone()) for _ in range(40)]
    brighter = [bool(one[..., 10:].mean() > one[..., :6].mean()) for one in found]
    assert 20 < sum(brighter) < 40
    assert all(one.min() >= 0 and one.max() <= 1 for one in found)


@pytest.mark.parametrize("mirror", [False, True])
def test_random_linear_stays_within_what_it_says(mirror):
    rng = np.random.default_rng(0)
    maps = np.stack([random_linear(rng, mirror) for _ in range(300)])
    scales = np.linalg.norm(maps, axis=1)
    assert scales.min() > 0.74 * 0.95 and scales.max() < 1.34 * 1.06
    mirrored = np.linalg.det(maps) < 0
    assert mirrored.mean() == pytest.approx(0.5 if mirror else 0, abs=0.1)
    # Up stays up, front stays front.
    assert (np.diagonal(maps, axis1=1, axis2=2)[:, 1:] > 0.6).all()
