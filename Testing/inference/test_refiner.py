"""The refiner's region, its reverse steps and the way back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.inference.refiner import (
    FADE_KJI,
    Region,
    plain_refinement,
    refined_probability,
    reverse_steps,
    segment_region,
)
from HiDiffRefineLib.inference.regions import CONTEXT_KJI, ZOOM, region_grid
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.networks.refiner import PRIOR_MARGIN, BernoulliRefiner

PATCH = (48, 96, 96)


@given(
    st.tuples(*[st.floats(-200, 200)] * 3),
    st.tuples(*[st.floats(0.5, 400)] * 3),
    st.tuples(*[st.floats(0.5, 4)] * 3),
)
def test_region_holds_the_object_with_context_no_coarser_than_needed(low, extent, finest):
    bounds = np.array([low, np.add(low, extent)])
    grid = region_grid(bounds, finest, PATCH)
    assert grid.shape_kji == PATCH
    context = (np.array(CONTEXT_KJI) * grid.spacing_kji)[::-1]
    assert (grid.bounds_ras()[0] <= bounds[0] - context + 1e-6).all()
    assert (grid.bounds_ras()[1] >= bounds[1] + context - 1e-6).all()
    for size, fine, spacing, room in zip(extent[::-1], finest, grid.spacing_kji, (40, 72, 72), strict=True):
        if size <= room * ZOOM * fine:
            assert spacing == pytest.approx(ZOOM * fine)
        else:
            assert spacing * room == pytest.approx(size)


@pytest.fixture
def prior():
    """A soft ball at the origin as label 1, sure in its middle."""
    grid = centered_grid((0, 0, 0), (30, 40, 40), (1, 1, 1))
    k, j, i = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in grid.shape_kji), indexing="ij")
    logit = torch.from_numpy(3 * (5 - np.sqrt(k**2 + j**2 + i**2)))
    ball = torch.sigmoid(logit)
    return Prior(torch.stack([1 - ball, ball]).half(), grid)


@pytest.fixture
def region(prior):
    """The middle of it, in a patch that does not reach the prior's border."""
    grid = centered_grid((0.3, 0.2, 0.1), (16, 24, 24), (1.3, 1.1, 1.1))
    image = torch.rand(1, *grid.shape_kji, generator=torch.Generator().manual_seed(0))
    return Region(grid, image, prior.resampled(1, grid), prior.others_resampled(1, grid), torch.zeros(3))


def test_segment_region_takes_image_and_prior_from_one_place(prior):
    region = segment_region(prior.probabilities[1:].float(), prior.grid.ijk_to_ras, prior, 1, PATCH)
    assert torch.allclose(region.image, region.prior, atol=1e-6)
    assert region.prior.max() > 0.99
    assert region.grid.center_ras == pytest.approx([0, 0, 0], abs=0.01)


def test_a_label_that_the_prior_lacks_has_no_region(prior):
    absent = Prior(prior.probabilities * 0.4, prior.grid)
    assert segment_region(prior.probabilities[1:].float(), prior.grid.ijk_to_ras, absent, 1, PATCH) is None


def native():
    return centered_grid((1, 2, -1), (60, 60, 60), (0.7, 0.6, 0.6))


def outside(region, target, margin=0.0) -> np.ndarray:
    """Samples of the target that lie outside the region's box."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in target.shape_kji), indexing="ij")
    places = (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ target.ijk_to_ras.T)[..., :3]
    low, high = region.grid.bounds_ras()
    return ((places < low - margin) | (places > high + margin)).any(-1)


def test_a_region_left_alone_gives_the_prior_to_the_last_bit(region, prior):
    found = refined_probability(region, region.prior, prior, 1, native())
    assert torch.equal(found, prior.resampled(1, native()))


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_region_rewritten_changes_nothing_outside(region, prior, value):
    refined = torch.full_like(region.prior, value)
    found, kept = refined_probability(region, refined, prior, 1, native()), prior.resampled(1, native())
    away = outside(region, native())
    assert away.any()
    assert torch.equal(found[0][away], kept[0][away])
    assert not torch.equal(found[0][~away], kept[0][~away])
    middle = refined_probability(region, refined, prior, 1, centered_grid((0, 0, 0), (2, 2, 2), (1, 1, 1)))
    assert middle.numpy() == pytest.approx(value, abs=0.02)


def test_no_seam_shows_at_the_rim():
    everywhere = centered_grid((0, 0, 0), (30, 40, 40), (1, 1, 1))
    undecided = Prior(torch.full((2, 30, 40, 40), 0.5).half(), everywhere)
    grid = centered_grid((0, 0, 0), (16, 24, 24), (1, 1, 1))
    nothing = torch.zeros(1, 16, 24, 24)
    region = Region(grid, nothing, undecided.resampled(1, grid), nothing, torch.zeros(3))
    fine = centered_grid((0, 0, 0), (80, 120, 120), (0.25, 0.25, 0.25))
    found = torch.logit(refined_probability(region, torch.ones_like(region.prior), undecided, 1, fine)[0])
    highest = float(torch.logit(torch.tensor(1 - PRIOR_MARGIN)))
    assert found.max() == pytest.approx(highest, abs=0.01)
    for axis, width in enumerate(FADE_KJI):
        assert found.diff(dim=axis).abs().max() <= 1.05 * highest * 0.25 / width


class Watched(torch.nn.Module):
    """A refiner that writes down its calls."""

    def __init__(self, network):
        super().__init__()
        self.network, self.encoded, self.shares = network, [], []

    def encode(self, condition):
        self.encoded.append(condition)
        return self.network.encode(condition)

    def denoise(self, state, prior, t_share, features):
        assert set(state.unique().tolist()) <= {0, 1}
        self.shares.append(t_share.unique().item())
        return self.network.denoise(state, prior, t_share, features)


def run(network, region, steps=3, seed=0, samples=1) -> list[torch.Tensor]:
    return list(reverse_steps(network, BernoulliChain(10, "cosine"), region, steps, seed, samples))


def test_same_seed_same_bits_other_seed_other_bits(refiner, region):
    first, again, other = (run(refiner, region, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[-1], other[-1])
    assert all(a.shape == region.prior.shape and a.min() >= 0 and a.max() <= 1 for a in first)
    assert not torch.equal(first[0], first[-1])


def test_the_condition_is_encoded_once_without_hints(refiner, region):
    network = Watched(refiner)
    run(network, region, steps=4)
    (condition,) = network.encoded
    assert torch.equal(condition[0, 0], region.image[0]) and torch.equal(condition[0, 1], region.prior[0])
    assert torch.equal(condition[0, 2], region.others[0])
    assert torch.equal(condition[0, 3], (region.prior[0] > 0.5).float())
    assert (condition[0, 4:] == 0).all()
    assert network.shares == pytest.approx([1.0, 0.8, 0.5, 0.3])


def test_samples_are_averaged(refiner, region):
    one, two = run(refiner, region, steps=1), run(refiner, region, steps=1, samples=2)
    assert two[-1].shape == one[-1].shape
    # The first chain is the one that runs alone; what is left is the second one's answer.
    second = 2 * two[-1] - one[-1]
    assert second.min() > -0.05 and second.max() < 1.05
    assert (second - one[-1]).abs().max() > 0.05


def test_an_untrained_refiner_keeps_the_prior_at_every_step(region):
    network = BernoulliRefiner((8, 8, 16, 16), (1, 1, 1, 1), (8, 8, 8, 16), embedding=16, heads=2)
    kept = region.prior.clamp(PRIOR_MARGIN, 1 - PRIOR_MARGIN)
    for answer in [*run(network, region, steps=10), plain_refinement(network, region)]:
        assert answer.numpy() == pytest.approx(kept.numpy(), abs=1e-6)


def test_the_plain_refiner_sees_the_soft_prior_as_state(region):
    class Echo(torch.nn.Module):
        def encode(self, condition):
            return condition

        def denoise(self, state, prior, t_share, features):
            assert t_share.tolist() == [1]
            return torch.logit(state, eps=1e-6) + features[:, :1]

    found = plain_refinement(Echo(), region)
    expected = torch.sigmoid(torch.logit(region.prior, eps=1e-6) + region.image)
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
