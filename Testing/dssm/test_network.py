"""The network and its inference."""

import pytest
import torch

from HiDiffRefineLib.dssm import markov_steps
from HiDiffRefineLib.dssm.inference import head_alone
from HiDiffRefineLib.dssm.latent import STEPS, signal, timesteps


def test_answers_are_probabilities_on_the_features_grid(make_network, image):
    for answer in markov_steps(make_network(), image, 4):
        assert answer.log_posterior.shape == (2, 3, 8, 8, 8) and answer.surprise.shape == (2, 1, 8, 8, 8)
        torch.testing.assert_close(answer.log_posterior.exp().sum(1), torch.ones(2, 8, 8, 8))
        torch.testing.assert_close(answer.v.square().mean(1), torch.ones(2, 8, 8, 8), atol=1e-3, rtol=0)


@pytest.mark.parametrize("steps", range(1, STEPS + 1))
def test_the_same_question_has_the_same_answer(make_network, image, steps):
    network = make_network()
    torch.manual_seed(1)
    first = [answer.log_posterior for answer in markov_steps(network, image, steps)]
    torch.manual_seed(2)
    again = [answer.log_posterior for answer in markov_steps(network, image, steps)]
    assert len(first) == steps and all(map(torch.equal, first, again))


def test_steps_go_from_the_last_state_down():
    assert [timesteps(n) for n in range(1, 5)] == [[4], [4, 2], [4, 3, 1], [4, 3, 2, 1]]
    assert signal()[0] == 1 and 0 < signal()[STEPS] < signal()[1]


def test_later_steps_tell_something_new(make_network, image):
    first, *_, last = markov_steps(make_network(), image, 4)
    assert not torch.allclose(first.log_posterior, last.log_posterior, atol=1e-4)


def test_the_first_of_many_steps_is_the_one_shot_answer(make_network, image):
    network = make_network()
    (alone,), (first, *_) = markov_steps(network, image, 1), markov_steps(network, image, 3)
    assert torch.equal(alone.log_posterior, first.log_posterior)


def test_tau_zero_leaves_the_head(make_network, image):
    network = make_network(discriminative=True, fusion=False)
    assert float(network.tau) == 0
    *_, answer = markov_steps(network, image, 4)
    torch.testing.assert_close(answer.log_posterior, head_alone(network, image))


def test_the_twin_has_the_same_size(make_network):
    sizes = [
        sum(weight.numel() for weight in make_network(discriminative=twin).parameters())
        for twin in (False, True)
    ]
    assert sizes[0] == sizes[1]


def test_a_flat_network_takes_pictures(make_network):
    network = make_network(strides=((1, 2, 2), (1, 2, 2)), kernel_kji=(1, 3, 3))
    (answer,) = markov_steps(network, torch.rand(2, 1, 1, 16, 24), 1)
    assert answer.log_posterior.shape == (2, 3, 1, 8, 12)


def test_a_flat_network_sees_slices_apart(make_network):
    network = make_network(strides=((1, 2, 2), (1, 2, 2)), kernel_kji=(1, 3, 3), fusion=False).eval()
    slices = torch.rand(1, 1, 3, 16, 16)
    other = slices.clone()
    other[:, :, 2] = 0
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.GroupNorm)):
        norm.forward = lambda x: x  # statistics of all slices are the one thing that they share
    (one,), (two,) = markov_steps(network, slices, 1), markov_steps(network, other, 1)
    torch.testing.assert_close(one.log_posterior[:, :, :2], two.log_posterior[:, :, :2])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_no_nan_under_autocast(make_network, image, scale):
    network = make_network().train()
    truth = torch.softmax(torch.randn(2, 3, 8, 8, 8), 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(scale * image, truth, torch.tensor([1, STEPS]), torch.tensor([True, False]))
        *_, answer = markov_steps(network, scale * image, 4)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in found.values())
    assert answer.log_posterior.isfinite().all() and answer.surprise.isfinite().all()
    found["posterior"].exp()[:, 0].mean().backward()
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def test_training_states_of_its_own_are_those_of_inference(make_network, image):
    """With recycling, the network is trained at the very states that it meets later."""
    network = make_network()
    pixels = network.pixels(image)
    given = network.classify(pixels).exp()
    own = network.own_state(pixels, given, torch.tensor([STEPS, 2]))
    torch.testing.assert_close(own[0], network.start(given)[0])
    states = []
    step = network.step

    def watched(pixels, given, latent, *rest):
        states.append(latent)
        return step(pixels, given, latent, *rest)

    network.step = watched
    list(markov_steps(network, image, 2))
    torch.testing.assert_close(own[1], states[1][1])
