"""The refiner's samples: image, prior and truth show one object, unless the prior is displaced on purpose."""

from itertools import islice

import numpy as np
import pytest
import torch

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.training import refiner_patches

PATCH = (32, 48, 48)


@pytest.fixture
def make_patches(make_case, perfect_prior, monkeypatch):
    """(share of corrupted samples, seed) → patches of perfect priors, images without augmentation."""

    def make(corrupted=0.0, seed=0) -> refiner_patches.RefinerPatches:
        monkeypatch.setattr(refiner_patches, "CORRUPTED_SHARE", corrupted)
        for share in ("LOCAL", "MERGED", "ALONE", "WARPED"):
            monkeypatch.setattr(refiner_patches, f"{share}_SHARE", 0.0)
        cases = [make_case("a"), make_case("b", seed=1)]
        pairs = [(case, perfect_prior(case)) for case in cases]
        patches = refiner_patches.RefinerPatches([pairs], PATCH, seed, 0.0, 0.5)
        patches.augment = lambda image: image
        return patches

    return make


def agreement(a, b) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_image_prior_and_truth_show_one_object(make_patches):
    patches, sizes = make_patches(), []
    for _ in range(20):
        image, prior, others, truth = patches.draw()
        assert image.shape == prior.shape == others.shape == truth.shape == (1, *PATCH)
        assert set(truth.unique().tolist()) <= {0, 1}
        sizes.append(int(truth.sum()))
        if sizes[-1] > 200:
            assert agreement(prior > 0.5, truth > 0.5) > 0.9
            assert image[truth > 0.5].mean() > 0.35
    assert min(sizes) < 200 < max(sizes)


def test_a_displaced_prior_lies_elsewhere_by_that_much(make_patches, monkeypatch):
    shift = np.array([6.0, -4.8, 4.0])
    # Only the one that takes the object's own place is to move.
    monkeypatch.setattr(refiner_patches, "displacement", lambda rng, spacing: (shift, np.eye(3)))
    monkeypatch.setattr(refiner_patches, "random_linear", lambda rng, mirror: 1.25 * np.eye(3))
    monkeypatch.setattr(refiner_patches, "corrupt", lambda prior, rng: prior)
    patches, moved = make_patches(corrupted=1.0), 0
    for _, _, bounds, *_ in patches.sets[0]:
        bounds.pop(2)
    for _ in range(30):
        _, prior, _, truth = patches.draw()
        centers = [torch.nonzero(mask[0] > 0.5).float().mean(0).numpy() for mask in (prior, truth)]
        offset = centers[0] - centers[1]
        if np.abs(offset).max() > 1:
            moved += 1
            # Voxels of two thirds of the working grid, augmented; the grid moves one way, the object another.
            voxel_kji = 1.25 * np.array([2, 1.2, 1.0]) * 2 / 3
            assert offset == pytest.approx(-shift[::-1] / voxel_kji, abs=0.7)
            assert int((prior > 0.5).sum()) == pytest.approx(int(truth.sum()), rel=0.15)
    assert 3 <= moved <= 17


def test_objects_with_poor_priors_are_drawn_more_often(make_patches, monkeypatch):
    patches = make_patches()
    for *_, errors in patches.sets[0]:
        assert all(error < 0.15 for error in errors.values())
        errors.update(dict.fromkeys(errors, 0.0) | {1: 0.6})
    drawn = []
    monkeypatch.setattr(patches, "_view", lambda bounds, *more: drawn.append(bounds) or 1 / 0)
    for _ in range(400):
        with pytest.raises(ZeroDivisionError):
            patches.draw()
    first = [any(bounds is loaded[2][1] for loaded in patches.sets[0]) for bounds in drawn]
    others = len(patches.sets[0][0][2]) - 1
    assert np.mean(first) == pytest.approx(0.8 / (0.8 + 0.2 * others), abs=0.08)


def test_corruption_reaches_prior_and_nothing_else(make_patches):
    torch.manual_seed(0)
    patches = make_patches(corrupted=1.0)
    scores = []
    for _ in range(20):
        image, prior, _, truth = patches.draw()
        assert prior.min() >= 0 and prior.max() <= 1
        if truth.sum() > 200:
            assert image[truth > 0.5].mean() > 0.35
            scores.append(agreement(prior > 0.5, truth > 0.5))
    assert np.mean(scores) < 0.9


def test_batches_repeat_with_the_seed(make_patches):
    first, again, other = (next(iter(make_patches(0.4, seed))) for seed in (1, 1, 2))
    assert all(part.shape == (1, *PATCH) for part in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[2], other[2])


def test_an_empty_prior_leaves_image_and_truth(make_patches):
    patches = make_patches()
    patches.empty_share = 1.0
    for _ in range(5):
        image, prior, _, truth = patches.draw()
        assert not prior.any() and truth.any() and image.any()


def test_a_merged_prior_takes_in_a_neighbour(make_patches, monkeypatch):
    patches = make_patches()
    monkeypatch.setattr(refiner_patches, "MERGED_SHARE", 1.0)
    extra = [int(((prior > 0.5) & (truth < 0.5)).sum()) for _, prior, _, truth in islice(patches, 30)]
    assert max(extra) > 100


def test_a_local_view_shows_a_part_of_the_object_at_any_spacing(make_patches, monkeypatch):
    patches = make_patches()
    monkeypatch.setattr(refiner_patches, "LOCAL_SHARE", 1.0)
    _, prior, bounds, places, *_ = patches.sets[0][0]
    spacing = np.array([2, 1.2, 1.0])
    views = [patches._view(bounds[1] * 5, places[1], spacing) for _ in range(50)]
    whole = refiner_patches.region_grid(bounds[1] * 5, spacing, PATCH)
    found = np.array([spacing_kji for _, spacing_kji in views])
    assert (found >= 2 / 3 * spacing - 1e-9).all() and (found <= whole.spacing_kji + 1e-9).all()
    assert np.ptp(found[:, 0]) > 0.5 * (whole.spacing_kji[0] - 2 / 3 * spacing[0])
    for center, spacing_kji in views:
        offset = np.abs(places[1] - center) / spacing_kji[::-1]
        assert offset.max(1).min() <= 12


def test_where_there_is_no_prior_the_truth_comes_corrupted(make_case, monkeypatch):
    for share in ("MERGED", "ALONE", "WARPED"):
        monkeypatch.setattr(refiner_patches, f"{share}_SHARE", 0.0)
    torch.manual_seed(0)
    patches = refiner_patches.RefinerPatches(
        [[(make_case("a"), None), (make_case("b", seed=1), None)]], PATCH, 0, 0.0, 0.5
    )
    scores = [
        agreement(prior > 0.5, truth > 0.5) for _, prior, _, truth in islice(patches, 30) if truth.sum() > 200
    ]
    assert 0.3 < np.mean(scores) < 0.97
    # Confidence alone is changed at times, the border being left.
    assert np.mean([score > 0.99 for score in scores]) < 0.4


@pytest.mark.parametrize(("exponent", "expected"), [(0.0, 1 / 2), (0.5, 2**0.5 / (2**0.5 + 1)), (1.0, 2 / 3)])
def test_sets_are_drawn_by_their_number_of_labels(make_case, perfect_prior, exponent, expected):
    both, one = make_case("a"), make_case("b", seed=1)
    one.labels[one.labels == 2] = 0
    sets = [[(case, perfect_prior(case))] for case in (both, one)]
    patches = refiner_patches.RefinerPatches(sets, PATCH, 0, 0.2, exponent)
    assert patches.shares == pytest.approx([expected, 1 - expected])


def test_priors_without_any_object_are_refused(make_case, perfect_prior):
    case = make_case()
    prior = perfect_prior(case)
    with pytest.raises(ConfigError, match="empty"):
        empty = Prior(prior.probabilities * 0.4, prior.grid)
        refiner_patches.RefinerPatches([[(case, empty)]], PATCH, 0, 0.2, 0.5)
