"""Samples of editing sessions: targets of every size, priors of every kind, regions at every zoom."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.training import edit_samples, targets
from HiDiffRefineLib.training.cases import Case
from HiDiffRefineLib.training.device_volumes import device_volume, sampled, unit_coordinates, unit_matrix
from HiDiffRefineLib.training.edit_samples import EditSamples
from HiDiffRefineLib.training.targets import draw_lesions, flood, grown, partly_right

CPU, PATCH = torch.device("cpu"), (16, 32, 32)


@pytest.fixture
def volumes(make_case, perfect_prior):
    """One with a prior, one without, and a label map alone."""
    rng, case = np.random.default_rng(0), make_case()
    bare = Case("map", None, case.labels, case.ijk_to_ras)
    return [
        device_volume(case, CPU, rng, perfect_prior(case)),
        device_volume(case, CPU, rng),
        device_volume(bare, CPU, rng),
    ]


def draw(volumes, monkeypatch, size=24, **settings):
    for name, value in settings.items():
        monkeypatch.setattr(edit_samples, name, value)
    torch.manual_seed(0)
    return EditSamples([[v] for v in volumes], [1] * len(volumes), PATCH, CPU, 0).batch(size)


def dice(a, b):
    return 2 * (a * b).sum() / (a.sum() + b.sum())


def test_a_batch_is_finite_and_in_range(volumes, monkeypatch):
    found = draw(volumes, monkeypatch)
    for part in (found.image, found.prior, found.others, found.truth):
        assert part.shape == (24, 1, *PATCH) and part.dtype == torch.float32
        assert part.isfinite().all() and part.min() >= 0 and part.max() <= 1
    assert ((found.truth == 0) | (found.truth == 1)).all()
    assert found.zoom.shape == (24, 3) and found.zoom.isfinite().all()


def test_a_right_prior_is_the_truth_and_an_empty_one_is_empty(volumes, monkeypatch):
    right = draw(volumes, monkeypatch, EMPTY_SHARE=0.0, RIGHT_SHARE=1.0)
    assert torch.equal(right.prior, right.truth)
    assert not draw(volumes, monkeypatch, EMPTY_SHARE=1.0, RIGHT_SHARE=0.0).prior.any()


def test_a_perfect_prior_out_of_fold_agrees_with_the_truth(volumes, monkeypatch):
    shares = {"EMPTY_SHARE": 0.0, "RIGHT_SHARE": 0.0, "OUT_OF_FOLD_SHARE": 1.0, "FURTHER_SHARE": 0.0}
    found = draw(volumes[:1], monkeypatch, KIND_SHARES=(1, 0, 0, 0, 0), ZOOMS=(0.7, 1.0), **shares)
    assert volumes[0].errors[1] < 0.1
    large = found.truth.flatten(1).sum(1) > 300
    assert large.any() and dice(found.prior[large], found.truth[large]) > 0.9


def test_without_a_prior_the_mask_is_wrong(volumes, monkeypatch):
    found = draw(volumes[1:], monkeypatch, EMPTY_SHARE=0.0, RIGHT_SHARE=0.0)
    wrong = [not torch.equal(p > 0.5, t > 0.5) for p, t in zip(found.prior, found.truth, strict=True)]
    assert np.mean(wrong) > 0.7


def test_a_partly_right_prior_is_better_and_still_wrong_in_places():
    torch.manual_seed(0)
    truth = torch.zeros(16, 1, 24, 48, 48)
    truth[:, :, 6:18, 12:36, 12:36] = 1
    prior = torch.roll(0.6 * truth + 0.2, 6, 4)  # 0.8 inside, displaced
    wrong = ((prior > 0.5) != (truth > 0.5)).float().mean((1, 2, 3, 4))
    better = partly_right(prior, truth)
    left = ((better > 0.5) != (truth > 0.5)).float().mean((1, 2, 3, 4))
    assert better.min() >= 0 and better.max() <= 1
    assert (left <= wrong).all() and 0.2 * wrong.mean() < left.mean() < 0.8 * wrong.mean()


def test_lesions_are_small_and_can_be_seen():
    torch.manual_seed(0)
    image, flat = torch.full((8, 1, 24, 48, 48), 0.4), torch.full((8,), 2.0)
    after, truth, mask = draw_lesions(image, flat, np.random.default_rng(0), torch.zeros(8, dtype=torch.bool))
    sizes = truth.flatten(1).sum(1)
    assert (sizes > 0).all() and sizes.min() < 200
    for one, where in zip(after, truth > 0.5, strict=True):
        assert abs(one[where].mean() - 0.4) > 0.04
    assert ((mask <= truth).all()) and mask.any() and not torch.equal(mask, truth)


def test_flooding_stays_within_what_is_allowed_and_needs_a_link():
    allowed = torch.zeros(1, 1, 4, 12, 12)
    allowed[..., 2:5], allowed[..., 8:10] = 1, 1
    seed = torch.zeros_like(allowed)
    seed[0, 0, 1, 6, 3] = 1
    found = flood(seed, allowed)
    assert torch.equal(found[..., :6], allowed[..., :6]) and not found[..., 6:].any()


def test_tissue_hangs_together_and_is_alike(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(targets, "TISSUE_RADII", (20.0, 40.0))
    image = torch.full((8, 1, 16, 32, 32), 0.2)
    image[..., 4:12, 8:24, 8:24] = 0.7
    tissue, any_found = grown(image, torch.ones(8), np.random.default_rng(0))
    assert any_found.any()
    for one, picture in zip(tissue[any_found.flatten()], image[any_found.flatten()], strict=True):
        assert picture[one > 0].std() < 0.1


def test_tissue_whose_border_cannot_be_seen_is_no_target():
    torch.manual_seed(0)
    even = torch.full((8, 1, 16, 64, 64), 0.5)
    _, any_found = grown(even, torch.ones(8), np.random.default_rng(0))
    assert not any_found.any()


def test_sampling_is_the_resampling_of_the_product():
    from HiDiffRefineLib.geometry.grids import centered_grid
    from HiDiffRefineLib.geometry.sampling import resample

    rng = np.random.default_rng(0)
    volume = torch.from_numpy(rng.random((1, 9, 11, 13)).astype(np.float32))
    affine = np.array([[-1.1, 0.1, 0, 5], [0.1, 1.2, 0, -3], [0, 0, 2.2, 1], [0, 0, 0, 1.0]])
    region = centered_grid(np.array([-1.0, 2.0, 8.0]), (6, 8, 10), (1.5, 1.0, 2.0))
    k, j, i = torch.meshgrid(*(torch.arange(float(n)) for n in region.shape_kji), indexing="ij")
    matrix = unit_matrix(volume.shape[1:], affine, region.ijk_to_ras)
    found = sampled([volume], unit_coordinates(torch.stack([i, j, k])[None], [matrix]))
    torch.testing.assert_close(found[0], resample(volume, affine, region), rtol=1e-4, atol=1e-5)
