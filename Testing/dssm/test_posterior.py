"""The Bayesian posterior map against numbers worked out by hand."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.dssm.mixture import ClassMixture
from HiDiffRefineLib.dssm.posterior import log_posterior, surprise


def maps(*values) -> torch.Tensor:
    return torch.log(torch.tensor(values)).view(1, -1, 1, 1, 1)


def test_a_voxel_by_hand():
    """One entry, one component a class: N(v; 0, 1) and N(v; 2, 4), at v = 1; priors .8 and .2."""
    mixture = ClassMixture(2, 1, 1)
    mixture.mean.copy_(torch.tensor([[[0.0]], [[2.0]]]))
    mixture.variance.copy_(torch.tensor([[[1.0]], [[4.0]]]))
    mixture.mass.copy_(torch.tensor([[0.8], [0.2]]))
    density = mixture(torch.ones(1, 1, 1, 1, 1))
    # exp(-1/2) / sqrt(2π) and exp(-1/8) / sqrt(8π)
    np.testing.assert_allclose(density.exp().flatten(), [0.2419707, 0.1760327], rtol=1e-5)
    joint = 0.8 * 0.2419707, 0.2 * 0.1760327
    found = log_posterior(maps(0.5, 0.5), density, mixture.log_prior(), gamma=0.0, tau=1.0)
    np.testing.assert_allclose(found.exp().flatten(), np.divide(joint, sum(joint)), rtol=1e-5)
    np.testing.assert_allclose(surprise(density, mixture.log_prior()).item(), -np.log(sum(joint)), rtol=1e-5)
    # Tempered, the answer is the same, but less sure of itself.
    tempered = log_posterior(maps(0.5, 0.5), density, mixture.log_prior(), gamma=0.0, tau=0.1)
    weaker = np.power(joint, 0.1)
    np.testing.assert_allclose(tempered.exp().flatten(), weaker / weaker.sum(), rtol=1e-5)
    # The head says .3 and .7; the density counts half.
    both = 0.3 * 0.2419707**0.5, 0.7 * 0.1760327**0.5
    found = log_posterior(maps(0.3, 0.7), density, mixture.log_prior(), gamma=1.0, tau=0.5)
    np.testing.assert_allclose(found.exp().flatten(), np.divide(both, sum(both)), rtol=1e-5)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.integers(0, 99))
def test_without_density_it_is_the_head(weights, seed):
    head = maps(*np.divide(weights, sum(weights)))
    density = torch.randn(head.shape, generator=torch.Generator().manual_seed(seed))
    found = log_posterior(head, density, maps(0.2, 0.3, 0.5).flatten(), gamma=1.0, tau=0.0)
    torch.testing.assert_close(found, head.float(), atol=1e-6, rtol=1e-5)
