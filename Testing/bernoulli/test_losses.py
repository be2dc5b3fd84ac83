import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bernoulli import BernoulliChain, kl_divergence_bernoulli, posterior_kl

inner = st.floats(0.01, 0.99)


@given(q=inner, p=inner)
@example(q=0.0625, p=0.99)
def test_kl_is_its_definition(q, p):
    for dtype, error in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
        pair = torch.tensor([q, p], dtype=dtype)
        # Of the numbers as this precision holds them: rounding p = .99 alone moves the result by 1e-6.
        q, p = pair.tolist()
        expected = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
        assert kl_divergence_bernoulli(*pair).item() == pytest.approx(expected, abs=error)


def test_kl_of_a_certain_truth_is_the_log_loss():
    q, p = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0.5, 0.5, 1.0, 0.0])
    expected = torch.tensor([math.log(2), math.log(2), 13.8155, 13.8155])
    torch.testing.assert_close(kl_divergence_bernoulli(q, p), expected, atol=0.05, rtol=0)
    torch.testing.assert_close(kl_divergence_bernoulli(q, p)[:2], expected[:2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_kl_is_finite_in_the_corners(dtype):
    q, p = (
        torch.cartesian_prod(torch.tensor([0, 1e-30, 0.5, 1]), torch.tensor([0, 1e-30, 0.5, 1])).to(dtype).T
    )
    q, p = q.clone().requires_grad_(), p.clone().requires_grad_()
    loss = kl_divergence_bernoulli(q, p)
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    for gradient in torch.autograd.grad(loss.sum(), (q, p)):
        assert gradient.isfinite().all()


def test_last_term_is_the_negative_log_likelihood():
    y0, y0_hat = torch.tensor([0.0, 1.0]), torch.tensor([0.2, 0.7])
    loss = posterior_kl(BernoulliChain(10), torch.ones(2), y0, y0_hat, torch.tensor(0.4), 1, 0)
    torch.testing.assert_close(loss, -torch.tensor([0.8, 0.7]).log())


@settings(max_examples=50, deadline=None)
@given(truth=st.floats(0.05, 0.95), prior=st.floats(0, 1), y_t=st.integers(0, 1), t=st.integers(2, 10))
def test_expected_kl_is_least_at_the_true_probability(truth, prior, y_t, t):
    """Holds for the mixture; the plug-in law would pull y0_hat elsewhere."""
    y0_hat = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    args = torch.tensor(prior, dtype=torch.float64), t, t - 1
    y_t = torch.tensor(float(y_t))
    one, zero = (posterior_kl(BernoulliChain(10), y_t, torch.tensor(y), y0_hat, *args) for y in (1.0, 0.0))
    best = y0_hat[(truth * one + (1 - truth) * zero).argmin()].item()
    assert best == pytest.approx(truth, abs=0.0051)


def test_gradient_reaches_the_prediction_but_not_the_prior():
    prior = torch.full((4,), 0.3, requires_grad=True)
    y0_hat = torch.full((4,), 0.6, requires_grad=True)
    y_t, y0 = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    posterior_kl(BernoulliChain(10), y_t, y0, y0_hat, prior, 5, 4).sum().backward()
    assert prior.grad is None
    assert (y0_hat.grad != 0).all()
