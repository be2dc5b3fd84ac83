"""The class-conditional density: against scipy, and EM."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from HiDiffRefineLib.dssm.mixture import (
    VARIANCE_FLOOR,
    ClassMixture,
    Gaussians,
    class_log_density,
    em_step,
    responsibilities,
)


def drawn(seed, classes=2, components=3, dimension=4, count=300):
    """A mixture, and features of known classes in clumps of their own."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(classes, components, dimension))
    variance = rng.uniform(0.2, 2, mean.shape)
    mass = rng.uniform(0.1, 1, mean.shape[:2])
    known = rng.integers(classes, size=count)
    clump = rng.integers(4, size=count)
    v = rng.normal(size=(count, dimension)) * 0.5 + 2 * np.sin(7 * known + 3 * clump)[:, None]
    gaussians = Gaussians(*(torch.tensor(a, dtype=torch.float64) for a in (mass, mean, variance)))
    return gaussians, torch.tensor(v), torch.tensor(known)


@given(st.integers(0, 10_000))
def test_the_density_is_the_mixture_of_the_textbook(seed):
    gaussians, v, _ = drawn(seed, count=20)
    mass, mean, variance = (part.numpy() for part in gaussians)
    expected = [
        logsumexp(
            [
                np.log(mass[c, m] / mass[c].sum())
                + multivariate_normal(mean[c, m], np.diag(variance[c, m])).logpdf(v.numpy())
                for m in range(3)
            ],
            axis=0,
        )
        for c in range(2)
    ]
    np.testing.assert_allclose(class_log_density(v, gaussians).numpy(), np.transpose(expected), rtol=1e-9)


@given(st.integers(0, 10_000))
def test_em_never_lowers_the_likelihood(seed):
    gaussians, v, known = drawn(seed)
    likelihoods = []
    for _ in range(8):
        gaussians = em_step(v, known, gaussians)
        found = class_log_density(v, gaussians).gather(1, known[:, None])
        likelihoods.append(float(found.sum()))
    # A component without any feature keeps a weight of 1e-6.
    assert (np.diff(likelihoods) > -1e-3).all()
    assert likelihoods[-1] > likelihoods[0]
    assert (gaussians.variance >= VARIANCE_FLOOR).all()


def test_a_step_is_the_weighted_mean_and_variance():
    gaussians, v, known = drawn(3)
    shares = responsibilities(v, known, gaussians)
    found = em_step(v, known, gaussians)
    own, weight = v[known == 1], shares[known == 1][:, 2:]
    mean = (weight * own).sum(0) / weight.sum()
    torch.testing.assert_close(found.mean[1, 2], mean)
    variance = (weight * (own - mean) ** 2).sum(0) / weight.sum()
    torch.testing.assert_close(found.variance[1, 2], variance.clamp(min=VARIANCE_FLOOR))
    torch.testing.assert_close(found.mass[1, 2], weight.sum() / len(v))


def test_two_halves_with_their_shares_are_the_whole():
    """Statistics that fade: half of the first batch and half of the second count as both together."""
    gaussians, v, known = drawn(5, components=1)
    first = em_step(v[:150], known[:150], gaussians)
    both = em_step(v[150:], known[150:], first, share=0.5)
    for found, expected in zip(both, em_step(v, known, gaussians), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_class_that_is_not_there_keeps_its_mixture():
    gaussians, v, known = drawn(7)
    found = em_step(v, torch.zeros_like(known), gaussians, share=0.3)
    torch.testing.assert_close(found.mean[1], gaussians.mean[1])
    torch.testing.assert_close(found.variance[1], gaussians.variance[1])
    alone = em_step(v, torch.zeros_like(known), gaussians)
    assert all(part.isfinite().all() for part in alone)
    torch.testing.assert_close(alone.mean[1], gaussians.mean[1])


def test_buffers_are_saved_moved_by_em_and_not_by_gradients():
    torch.manual_seed(0)
    mixture = ClassMixture(2, 3, 4)
    assert not list(mixture.parameters())
    v, known = torch.randn(200, 4) + 1, torch.randint(2, (200,))
    mixture.update(v, known, 0.5)
    other = ClassMixture(2, 3, 4)
    before = other(v.T.view(1, 4, 1, 10, 20))
    other.load_state_dict(mixture.state_dict())
    maps = v.T.view(1, 4, 1, 10, 20)
    assert torch.equal(other(maps), mixture(maps)) and not torch.equal(before, other(maps))
    assert float(mixture.log_prior().exp().sum()) == pytest.approx(1)
    share = float((known == 1).float().mean())
    assert float(mixture.log_prior()[1].exp()) == pytest.approx(0.5 * 0.5 + 0.5 * share)


def test_autocast_leaves_the_density_in_float32():
    mixture, v = ClassMixture(3, 2, 8), torch.randn(2, 8, 2, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mixture(v)
    assert found.dtype == torch.float32 and torch.equal(found, mixture(v))
