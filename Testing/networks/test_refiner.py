"""The refiner: what its answer starts from, and what it depends on."""

from itertools import product

import pytest
import torch

from HiDiffRefineLib.networks.refiner import CONDITION_CHANNELS, DIVISOR_KJI, PRIOR_MARGIN, BernoulliRefiner

SHAPE = (4, 16, 8)
CHANNELS = ["image", "prior", "others", "mask", "click+", "click-", "scribble+", "scribble-"]


def small() -> BernoulliRefiner:
    torch.manual_seed(0)
    return BernoulliRefiner((8, 8, 16, 16), (1, 1, 1, 1), (8, 8, 8, 16), embedding=16, heads=2).eval()


@pytest.fixture
def network(randomise):
    return randomise(small())


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    return {
        "condition": rand(2, CONDITION_CHANNELS, *SHAPE),
        "state": (rand(2, 1, *SHAPE) < 0.5).float(),
        "prior": rand(2, 1, *SHAPE),
        "t_share": torch.tensor([0.5, 1.0]),
    }


def answer(network, condition, state, prior, t_share):
    with torch.no_grad():
        return network.denoise(state, prior, t_share, network.encode(condition))


def test_an_untrained_network_returns_the_priors_logit(inputs):
    inputs["prior"][0, 0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    logits = answer(small(), **inputs)
    assert torch.equal(logits, torch.logit(inputs["prior"], eps=PRIOR_MARGIN))
    assert logits.isfinite().all()


@pytest.mark.parametrize("times", list(product((1, 2, 3), (1, 3), (1, 2))), ids=str)
def test_every_size_that_divides(network, times):
    shape = [n * d for n, d in zip(times, DIVISOR_KJI, strict=True)]
    with torch.no_grad():
        features = network.encode(torch.rand(1, CONDITION_CHANNELS, *shape))
        mask = torch.zeros(1, 1, *shape)
        assert network.denoise(mask, mask, torch.ones(1), features).shape == mask.shape


@pytest.mark.parametrize("part", ["state", "prior", "t_share"])
def test_answer_depends_on_what_the_denoiser_is_given(network, inputs, part):
    changed = dict(inputs)
    changed[part] = 0.9 * inputs[part] if part == "t_share" else 1 - inputs[part]
    # Beyond the prior's own logit, which is added in any case.
    correction = answer(network, **inputs) - torch.logit(inputs["prior"], eps=PRIOR_MARGIN)
    other = answer(network, **changed) - torch.logit(changed["prior"], eps=PRIOR_MARGIN)
    assert (correction - other).abs().max() > 1e-3


@pytest.mark.parametrize("channel", range(CONDITION_CHANNELS), ids=CHANNELS)
def test_answer_depends_on_each_channel_of_the_condition(network, inputs, channel):
    changed = dict(inputs, condition=inputs["condition"].clone())
    changed["condition"][:, channel] = 1 - changed["condition"][:, channel]
    assert (answer(network, **inputs) - answer(network, **changed)).abs().max() > 1e-3


def test_one_encoding_serves_many_steps(network, inputs):
    with torch.no_grad():
        features = network.encode(inputs["condition"])
        kept = [feature.clone() for feature in features]
        state, prior = inputs["state"], inputs["prior"]
        first = network.denoise(state, prior, torch.ones(2), features)
        network.denoise(1 - state, prior, torch.full((2,), 0.3), features)
        assert torch.equal(network.denoise(state, prior, torch.ones(2), features), first)
    assert all(torch.equal(a, b) for a, b in zip(features, kept, strict=True))


def test_items_of_a_batch_do_not_mix(network, inputs):
    together = answer(network, **inputs)
    for n in range(2):
        alone = answer(network, **{key: value[n : n + 1] for key, value in inputs.items()})
        assert torch.allclose(together[n : n + 1], alone, atol=1e-4)


def test_gradient_reaches_every_weight(network, inputs):
    network.train()
    features = network.encode(inputs["condition"])
    network.denoise(inputs["state"], inputs["prior"], inputs["t_share"], features).square().mean().backward()
    assert [name for name, weight in network.named_parameters() if not weight.grad.abs().sum() > 0] == []


def test_an_untrained_network_can_learn(inputs):
    # A head at zero hides all weights behind it for one step, not for good.
    network = small().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        features = network.encode(inputs["condition"])
        logits = network.denoise(inputs["state"], inputs["prior"], inputs["t_share"], features)
        logits.square().mean().backward()
        optimizer.step()
    still = [name for name, weight in network.named_parameters() if not weight.grad.abs().sum() > 0]
    # What the exchange reads moves once its gates have.
    assert still == []
