import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bernoulli import categorical, kernels

from .enumeration import path_probabilities, state_probability

classes = st.integers(0, 2)
alphas = st.lists(st.floats(0.001, 0.999), min_size=2, max_size=4)
weights = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1)


def one_hot(index, count=3):
    return torch.eye(count, dtype=torch.float64)[None, index]


def distribution(weights):
    return torch.tensor([weights], dtype=torch.float64) / sum(weights)


@settings(max_examples=60, deadline=None)
@given(y0=classes, y_s=classes, y_t=classes, weights=weights, alphas=alphas, data=st.data())
def test_laws_match_all_paths(y0, y_s, y_t, weights, alphas, data):
    t = len(alphas)
    s = data.draw(st.integers(1, t - 1))
    prior = distribution(weights)
    paths = path_probabilities(y0, categorical.clamp_prior(prior)[0].tolist(), alphas)
    bar_s, bar_t = math.prod(alphas[:s]), math.prod(alphas)

    for law, given_states, step in [
        (categorical.forward(one_hot(y0), prior, alphas[0]), {}, 1),
        (categorical.marginal(one_hot(y0), prior, bar_t), {}, t),
        (categorical.skip(one_hot(y_s), prior, bar_s, bar_t), {s: y_s}, t),
        (categorical.posterior(one_hot(y_t), one_hot(y0), prior, bar_s, bar_t), {t: y_t}, s),
    ]:
        expected = [state_probability(paths, given_states, step, k) for k in range(3)]
        assert law[0].tolist() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(y_t=classes, weights=weights, guess=weights, alphas=alphas)
def test_mixture_is_the_mean_of_the_posteriors(y_t, weights, guess, alphas):
    prior, y0_hat = distribution(weights), distribution(guess)
    bars = math.prod(alphas[:1]), math.prod(alphas)
    expected = sum(
        y0_hat[0, j] * categorical.posterior(one_hot(y_t), one_hot(j), prior, *bars) for j in range(3)
    )
    mixture = categorical.posterior_mixture(one_hot(y_t), y0_hat, prior, *bars)
    torch.testing.assert_close(mixture, expected, atol=1e-12, rtol=0)
    assert mixture.sum().item() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(y_t=st.integers(0, 1), y0_hat=st.floats(0, 1), prior=st.floats(0.001, 0.999), alphas=alphas)
def test_two_classes_are_the_binary_chain(y_t, y0_hat, prior, alphas):
    def pair(probability):
        return torch.tensor([[1 - probability, probability]], dtype=torch.float64)

    def single(probability):
        return torch.tensor([probability], dtype=torch.float64)

    bars = math.prod(alphas[:1]), math.prod(alphas)
    for law in ("marginal", "skip", "posterior_mixture", "ddim"):
        states = {"posterior_mixture": [y_t, y0_hat, prior], "ddim": [y_t, y0_hat]}.get(law, [y_t, prior])
        args = bars[1:] if law == "marginal" else bars
        binary = getattr(kernels, law)(*map(single, states), *args)
        classes = getattr(categorical, law)(*map(pair, states), *args)
        torch.testing.assert_close(classes[:, 1], binary, atol=1e-12, rtol=0)


@settings(max_examples=60, deadline=None)
@given(y0=classes, weights=weights, keep=st.floats(0.001, 0.999), bar_s=st.floats(0.001, 1))
def test_ddim_preserves_the_marginal(y0, weights, keep, bar_s):
    prior, truth = distribution(weights), one_hot(y0)
    at_t = categorical.marginal(truth, prior, keep * bar_s)
    at_s = sum(at_t[0, k] * categorical.ddim(one_hot(k), truth, bar_s, keep * bar_s) for k in range(3))
    torch.testing.assert_close(at_s, categorical.marginal(truth, prior, bar_s), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bar_s", [1.0, 0.5])
@pytest.mark.parametrize("bar_t", [0.2, 0.0])
def test_corners_give_finite_values_and_gradients(dtype, bar_s, bar_t):
    for y_t in range(3):
        for sure in range(3):
            for believed in range(3):
                prior = one_hot(sure).to(dtype).requires_grad_()
                y0_hat = one_hot(believed).to(dtype).requires_grad_()
                law = categorical.posterior_mixture(one_hot(y_t).to(dtype), y0_hat, prior, bar_s, bar_t)
                assert law.dtype == torch.float32
                assert law.sum().item() == pytest.approx(1, abs=1e-6)
                for gradient in torch.autograd.grad(law.square().sum(), (prior, y0_hat)):
                    assert gradient.isfinite().all()


def test_draw_inverts_the_cdf():
    probability = torch.tensor([0.2, 0.0, 0.5, 0.3]).view(1, 4, 1).expand(1, 4, 6)
    uniform = torch.tensor([0.0, 0.19, 0.2, 0.69, 0.71, 1 - 2**-24]).view(1, 1, 6)
    states = categorical.draw(probability, uniform)
    assert states.shape == (1, 4, 6)
    assert states.dtype == torch.float32
    assert (states.sum(dim=1) == 1).all()
    assert states.argmax(dim=1).tolist() == [[0, 0, 2, 2, 3, 3]]


def test_draw_frequencies():
    probability = torch.tensor([0.5, 0.3, 0.2]).view(1, 3, 1).expand(1, 3, 100_000)
    uniform = torch.rand(1, 1, 100_000, generator=torch.Generator().manual_seed(0))
    frequency = categorical.draw(probability, uniform).mean(dim=(0, 2))
    torch.testing.assert_close(frequency, torch.tensor([0.5, 0.3, 0.2]), atol=5e-3, rtol=0)
