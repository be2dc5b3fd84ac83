import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.bernoulli import BernoulliChain, kernels
from HiDiffRefineLib.errors import ConfigError


@given(data=st.data(), steps=st.integers(1, 200))
def test_timesteps_stride_down_from_the_start(data, steps):
    chain = BernoulliChain(steps)
    start = data.draw(st.none() | st.integers(1, steps))
    top = steps if start is None else start
    n = data.draw(st.integers(1, top))
    timesteps = chain.timesteps(n, start)
    strides = [t - s for t, s in zip(timesteps, [*timesteps[1:], 0], strict=True)]
    assert len(timesteps) == n
    assert timesteps[0] == top
    assert min(strides) >= 1
    assert max(strides) - min(strides) <= 1


def test_timesteps_of_the_common_cases():
    chain = BernoulliChain(10)
    assert chain.timesteps(10) == list(range(10, 0, -1))
    assert chain.timesteps(4) == [10, 8, 5, 3]
    assert chain.timesteps(1) == [10]
    assert chain.timesteps(2, start=9) == [9, 5]
    assert BernoulliChain(1000, "cosine2").timesteps(10) == list(range(1000, 0, -100))


@pytest.mark.parametrize("n, start", [(0, None), (11, None), (2.5, None), (4, 3)])
def test_timesteps_refuses_what_does_not_fit(n, start):
    with pytest.raises(ConfigError, match=r"^n = .* Ask for 1 to"):
        BernoulliChain(10).timesteps(n, start)


@pytest.mark.parametrize("start", [0, 11, -1])
def test_timesteps_refuses_a_start_outside_the_chain(start):
    with pytest.raises(ConfigError, match=r"^start = .* from 1 to 10"):
        BernoulliChain(10).timesteps(1, start)


def test_add_noise_samples_the_marginal_with_the_given_uniforms():
    chain = BernoulliChain(10)
    y0, prior = torch.tensor(True), torch.full((200_000,), 0.3)
    uniform = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    theta = chain.alpha_bar[6].item() + (1 - chain.alpha_bar[6].item()) * 0.3
    y = chain.add_noise(y0, prior, 6, uniform)
    assert y.dtype == torch.float32
    assert y.mean().item() == pytest.approx(theta, abs=5e-3)
    assert torch.equal(y, (uniform < theta).float())


def test_add_noise_at_zero_is_the_mask():
    y0, uniform = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1 - 2**-24])
    assert torch.equal(BernoulliChain(10).add_noise(y0, torch.tensor(0.5), 0, uniform), y0)


def test_steps_may_differ_between_samples():
    chain = BernoulliChain(10)
    y = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    y0_hat, prior, uniform = torch.rand(3, 2, 3, generator=torch.Generator().manual_seed(0))
    t, s = torch.tensor([[10], [4]]), torch.tensor([[7], [0]])
    noised = chain.add_noise(y, prior, t, uniform)
    for kernel in ("ddim", "posterior", "plug_in"):
        both = chain.step_probability(y, y0_hat, prior, t, s, kernel)
        for i, (t_i, s_i) in enumerate([(10, 7), (4, 0)]):
            one = chain.step_probability(y[i], y0_hat[i], prior[i], t_i, s_i, kernel)
            torch.testing.assert_close(both[i], one, atol=1e-7, rtol=0)
            assert torch.equal(noised[i], chain.add_noise(y[i], prior[i], t_i, uniform[i]))


def test_step_probability_picks_the_kernel():
    chain = BernoulliChain(10)
    y, y0_hat, prior = torch.tensor(1.0), torch.tensor(0.03), torch.tensor(0.01)
    bars = chain.alpha_bar[1], chain.alpha_bar[2]
    law = {
        kernel: chain.step_probability(y, y0_hat, prior, 2, 1, kernel)
        for kernel in ("ddim", "posterior", "plug_in")
    }
    torch.testing.assert_close(law["ddim"], kernels.ddim(y, y0_hat, *bars))
    torch.testing.assert_close(law["posterior"], kernels.posterior_mixture(y, y0_hat, prior, *bars))
    torch.testing.assert_close(law["plug_in"], kernels.posterior_plug_in(y, y0_hat, prior, *bars))
    assert chain.step_probability(y, y0_hat, prior, 2, 1) == law["ddim"]


@pytest.mark.parametrize(
    "t, s, name",
    [
        (0, 0, "t"),
        (11, 3, "t"),
        (2.5, 1, "t"),
        (3, -1, "s"),
        (3, 3, "s"),
        (3, 4, "s"),
        (torch.tensor([3, 11]), 1, "t"),
        (torch.tensor([3.0]), 1, "t"),
        (torch.tensor([3, 4]), torch.tensor([2, 4]), "s"),
    ],
)
def test_steps_outside_the_chain_are_refused(t, s, name):
    half = torch.tensor(0.5)
    with pytest.raises(ConfigError, match=f"^{name} = "):
        BernoulliChain(10).step_probability(half, half, half, t, s)


def test_unknown_kernel_is_refused():
    half = torch.tensor(0.5)
    with pytest.raises(ConfigError, match=r"kernel 'ddpm'.*ddim, posterior, plug_in"):
        BernoulliChain(10).step_probability(half, half, half, 2, 1, kernel="ddpm")
