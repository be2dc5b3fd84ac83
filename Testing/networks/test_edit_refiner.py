"""The refiner's network: shapes, its start, and its activations after steps of training."""

import pytest
import torch

from HiDiffRefineLib.networks.bounded import PostNormBlock
from HiDiffRefineLib.networks.edit_refiner import CONDITION_CHANNELS, DIVISOR_KJI, EditRefiner, _spread


@pytest.fixture
def network():
    torch.manual_seed(0)
    return EditRefiner(channels=(8, 16, 16, 16), blocks=(1, 1, 1, 1), light=(8, 8, 16))


def inputs(batch=2, shape=(8, 16, 32)):
    condition = torch.rand(batch, CONDITION_CHANNELS, *shape)
    condition[:, 3] = (condition[:, 3] > 0.5).float()
    state = (torch.rand(batch, 1, *shape) > 0.5).float()
    return condition, state, torch.rand(batch, 1, *shape), torch.full((batch,), 0.5)


def test_logits_have_the_masks_shape_whatever_the_input(network):
    for shape in (DIVISOR_KJI, (16, 16, 48)):
        condition, state, prior, t = inputs(1, shape)
        logits = network.denoise(state, prior, t, network.encode(condition))
        assert logits.shape == state.shape and logits.dtype == torch.float32


def test_untrained_it_says_what_prior_and_mask_say_together(network):
    condition, state, prior, t = inputs()
    logits = network.denoise(state, prior, t, network.encode(condition))
    mask = condition[:, 3:4]
    torch.testing.assert_close(logits, 0.5 * torch.logit(prior, eps=0.001) + 2.5 * (2 * mask - 1))


def test_samples_do_not_see_each_other(network):
    torch.nn.init.normal_(network.denoiser.head.weight)
    condition, state, prior, t = inputs()
    both = network.denoise(state, prior, t, network.encode(condition))
    one = network.denoise(state[:1], prior[:1], t[:1], network.encode(condition[:1]))
    torch.testing.assert_close(both[:1], one, rtol=1e-4, atol=1e-4)


def test_state_and_step_are_heard(network):
    torch.nn.init.normal_(network.denoiser.head.weight)
    torch.nn.init.normal_(network.denoiser.block0.film.weight)
    condition, state, prior, t = inputs()
    features = network.encode(condition)
    said = network.denoise(state, prior, t, features)
    assert not torch.allclose(said, network.denoise(1 - state, prior, t, features), atol=1e-3)
    assert not torch.allclose(said, network.denoise(state, prior, 2 * t, features), atol=1e-3)


def test_activations_stay_bounded_in_training(network):
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    condition, state, prior, t = inputs()
    for _ in range(10):
        logits = network.denoise(state, prior, t, network.encode(condition))
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, state).backward()
        optimizer.step()
    seen = []
    for module in network.modules():
        if isinstance(module, PostNormBlock):
            module.register_forward_hook(lambda *about: seen.append(about[-1].detach().abs().max().item()))
    network.denoise(state, prior, t, network.encode(condition))
    assert seen and max(seen) < 100


def test_four_channels_become_the_voxels_of_a_finer_slice():
    x = torch.arange(8.0).view(1, 8, 1, 1, 1)
    assert _spread(x)[0, :, 0].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
