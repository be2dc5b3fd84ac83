"""Corrupted priors stay priors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.training import corruption


def ball(radius=6.0, shape=(14, 24, 24)) -> torch.Tensor:
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    distance = np.sqrt(sum(axis**2 for axis in axes))
    return torch.sigmoid(torch.from_numpy(2 * (radius - distance)).float())[None]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 1.0, None]))
def test_probabilities_stay_probabilities(seed, constant):
    prior = ball() if constant is None else torch.full((1, 14, 24, 24), constant)
    kept = prior.clone()
    found = corruption.corrupt(prior, np.random.default_rng(seed))
    assert found.shape == prior.shape and found.dtype == torch.float32
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(prior, kept)
    assert torch.equal(found, corruption.corrupt(prior, np.random.default_rng(seed)))


def test_corruption_does_not_leave_the_prior_alone():
    changes = [(corruption.corrupt(ball(), np.random.default_rng(n)) - ball()).abs().max() for n in range(30)]
    assert min(changes) > 1e-4 and np.median(changes) > 0.2


@given(st.integers(0, 10_000), st.sampled_from([3.0, 6.0, 20.0]))
def test_half_missing_cuts_a_part_off_and_leaves_the_rest(seed, radius):
    prior = ball(radius)
    found = corruption._half_missing(prior, np.random.default_rng(seed))
    assert ((found == prior) | (found == 0)).all()
    object_ = prior > 0.5
    lost = 1 - ((found > 0.5) & object_).sum() / object_.sum()
    # Voxels at one height go together, hence a little more than the half at times.
    assert 0.1 < lost < 0.6


def test_half_missing_holds_for_objects_of_any_size():
    prior = torch.ones(1, 48, 96, 96)
    for seed in range(6):
        lost = 1 - corruption._half_missing(prior, np.random.default_rng(seed)).mean()
        assert 0.14 < lost < 0.51


@given(st.integers(0, 10_000))
def test_grown_or_shrunk_moves_the_border_one_way(seed):
    prior = ball()
    found = corruption._grown_or_shrunk(prior, np.random.default_rng(seed))
    assert (found >= prior - 1e-6).all() or (found <= prior + 1e-6).all()
    assert (found > 0.5).sum() != (prior > 0.5).sum()


def test_ragged_moves_the_border_and_keeps_the_object():
    prior = ball()
    for seed in range(10):
        found = corruption._ragged(prior, np.random.default_rng(seed)) > 0.5
        assert (found & (prior > 0.5)).sum() > 0.5 * (prior > 0.5).sum()
        assert (found != (prior > 0.5)).any()


@given(st.integers(0, 10_000))
def test_confidence_changes_no_vote(seed):
    prior = ball()
    found = corruption._confidence(prior, np.random.default_rng(seed))
    assert torch.equal(found > 0.5, prior > 0.5)


@given(st.integers(0, 10_000))
def test_displacement_is_small_and_real(seed):
    spacing = np.array([3.0, 1.5, 1.0])
    shift, skew = corruption.displacement(np.random.default_rng(seed), spacing)
    assert (np.abs(shift) <= 4 * spacing[::-1]).all() and np.abs(shift).max() > 0
    assert np.linalg.det(skew) == pytest.approx(1, abs=0.45)
