import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bernoulli import alpha_bar, clamp_prior, kernels

from .enumeration import path_probabilities, state_probability

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}

bits = st.integers(0, 1)
probabilities = st.floats(0, 1)
alphas = st.lists(st.floats(0.001, 0.999), min_size=2, max_size=6)


def scalar(value, dtype=torch.float32):
    return torch.tensor(value, dtype=dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@settings(max_examples=60, deadline=None)
@given(y0=bits, y_s=bits, y_t=bits, prior=probabilities, alphas=alphas, data=st.data())
def test_laws_match_all_paths(dtype, y0, y_s, y_t, prior, alphas, data):
    t = len(alphas)
    s = data.draw(st.integers(1, t - 1))
    p = clamp_prior(scalar(prior, dtype)).item()
    paths = path_probabilities(y0, [1 - p, p], alphas)
    bar_s, bar_t = math.prod(alphas[:s]), math.prod(alphas)
    y0_, y_s_, y_t_, prior_ = (scalar(value, dtype) for value in (y0, y_s, y_t, prior))

    for law, expected in [
        (kernels.forward(y0_, prior_, alphas[0]), state_probability(paths, {}, 1, 1)),
        (kernels.marginal(y0_, prior_, bar_t), state_probability(paths, {}, t, 1)),
        (kernels.skip(y_s_, prior_, bar_s, bar_t), state_probability(paths, {s: y_s}, t, 1)),
        (kernels.posterior(y_t_, y0_, prior_, bar_s, bar_t), state_probability(paths, {t: y_t}, s, 1)),
    ]:
        assert law.dtype == dtype
        assert law.item() == pytest.approx(expected, abs=TOLERANCE[dtype])


@settings(max_examples=60, deadline=None)
@given(y_t=bits, y0_hat=probabilities, prior=probabilities, alphas=alphas, data=st.data())
def test_mixture_matches_all_paths(y_t, y0_hat, prior, alphas, data):
    t = len(alphas)
    s = data.draw(st.integers(1, t - 1))
    p = clamp_prior(scalar(prior)).item()
    given_y0 = [
        state_probability(path_probabilities(y0, [1 - p, p], alphas), {t: y_t}, s, 1) for y0 in (0, 1)
    ]
    expected = (1 - y0_hat) * given_y0[0] + y0_hat * given_y0[1]
    law = kernels.posterior_mixture(
        scalar(y_t), scalar(y0_hat), scalar(prior), math.prod(alphas[:s]), math.prod(alphas)
    )
    assert law.item() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(y0=bits, prior=probabilities, keep=st.floats(0.001, 0.999), bar_s=st.floats(0.001, 1))
def test_ddim_and_posterior_preserve_the_marginal(y0, prior, keep, bar_s):
    y0, prior, bar_t = scalar(y0, torch.float64), scalar(prior, torch.float64), keep * bar_s
    at_t, at_s = kernels.marginal(y0, prior, bar_t), kernels.marginal(y0, prior, bar_s)
    one, zero = torch.ones_like(y0), torch.zeros_like(y0)
    for law in (
        lambda y_t: kernels.ddim(y_t, y0, bar_s, bar_t),
        lambda y_t: kernels.posterior(y_t, y0, prior, bar_s, bar_t),
    ):
        torch.testing.assert_close(at_t * law(one) + (1 - at_t) * law(zero), at_s, atol=1e-12, rtol=0)


@pytest.mark.parametrize("value", [0, 1])
def test_ddim_never_leaves_the_truth(value):
    """To the last bit, since the largest uniform is one bit below 1."""
    bar_s, keep = torch.rand(2, 100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state = torch.full_like(bar_s, value, dtype=torch.float32)
    assert (kernels.ddim(state, state, bar_s, keep * bar_s) == value).all()


@settings(max_examples=100, deadline=None)
@given(y_t=bits, y0_hat=probabilities, prior=probabilities, bar_t=st.floats(0, 0.999))
def test_exact_laws_end_at_the_prediction(y_t, y0_hat, prior, bar_t):
    y_t, y0_hat, prior = scalar(y_t), scalar(y0_hat), scalar(prior)
    assert kernels.ddim(y_t, y0_hat, 1.0, bar_t).item() == pytest.approx(y0_hat.item(), abs=1e-7)
    mixture = kernels.posterior_mixture(y_t, y0_hat, prior, 1.0, bar_t)
    assert mixture.item() == pytest.approx(y0_hat.item(), abs=1e-7)


def test_plug_in_is_not_the_mixture():
    curve = alpha_bar("cosine", 10)
    args = scalar(1), scalar(0.03), scalar(0.01), curve[1], curve[2]
    assert kernels.posterior_mixture(*args).item() == pytest.approx(0.28, abs=5e-3)
    assert kernels.posterior_plug_in(*args).item() == pytest.approx(0.99, abs=5e-3)


@pytest.mark.parametrize("y0", [0, 1])
def test_plug_in_and_mixture_agree_on_a_binary_truth(y0):
    args = scalar(1), scalar(y0), scalar(0.2), 0.8, 0.5
    assert kernels.posterior_plug_in(*args) == kernels.posterior_mixture(*args) == kernels.posterior(*args)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("schedule", ["cosine", "alpha_bar_linear"])
@pytest.mark.parametrize("law", ["posterior", "posterior_mixture", "posterior_plug_in", "ddim"])
def test_corners_give_finite_values_and_gradients(law, schedule, dtype):
    curve = alpha_bar(schedule, 10)
    extremes = torch.tensor([0, 1e-30, 1e-6, 0.5, 1])
    corners = torch.cartesian_prod(torch.tensor([0.0, 1.0]), extremes, extremes).to(dtype)
    for s, t in itertools.combinations(range(11), 2):
        y_t, y0_hat, prior = corners.clone().unbind(1)
        inputs = [y0_hat.requires_grad_()] + ([] if law == "ddim" else [prior.requires_grad_()])
        result = getattr(kernels, law)(y_t, *inputs, curve[s], curve[t])
        assert result.dtype == torch.float32
        assert (result >= 0).all() and (result <= 1).all()
        if law in ("posterior", "posterior_plug_in") and dtype == torch.float16:
            inputs = inputs[1:]  # the slope in y_0 exceeds the largest float16; see posterior_plug_in
        for gradient in torch.autograd.grad(result.sum(), inputs):
            assert gradient.isfinite().all()


def test_a_wrong_prior_can_be_left():
    law = kernels.posterior_mixture(scalar(0), scalar(1.0), scalar(0.0), 0.5, 0.2)
    assert law > 0.3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(dtype):
    y_t, y0_hat, prior = (
        torch.rand(64, generator=torch.Generator().manual_seed(i)).to(dtype) for i in range(3)
    )
    y_t = y_t.round()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = kernels.posterior_mixture(y_t, y0_hat, prior, 0.8, 0.3)
    expected = kernels.posterior_mixture(y_t.double(), y0_hat.double(), prior.double(), 0.8, 0.3)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, atol=1e-6, rtol=0)


def test_boolean_states_and_steps_a_sample_broadcast():
    curve = alpha_bar("cosine", 10)
    t = torch.tensor([2, 7]).view(2, 1, 1)
    y_t = torch.tensor([True, False]).view(1, 2, 1)
    prior = torch.tensor([0.2, 0.5, 1.0])
    result = kernels.posterior_mixture(y_t, torch.tensor(0.4), prior, curve[t - 1], curve[t])
    assert result.shape == (2, 2, 3)
    one = kernels.posterior_mixture(y_t[0, 1], torch.tensor(0.4), prior[2], curve[6].item(), curve[7].item())
    torch.testing.assert_close(result[1, 1, 2], one[0])


def test_draw_compares_with_the_uniforms():
    theta = torch.tensor([0.0, 0.5, 0.5, 1.0])
    uniform = torch.tensor([0.0, 0.49, 0.5, 1 - 2**-24])
    assert kernels.draw(theta, uniform).tolist() == [0, 1, 0, 1]
