"""The cross-transformer between diffusion and image features."""

import pytest
import torch

from HiDiffRefineLib.networks.exchange import CrossTransformer


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(2, 16, 2, 3, 4), torch.randn(2, 16, 2, 3, 4), torch.randn(2, 8)


@pytest.fixture
def network(randomise):
    return randomise(CrossTransformer(16, heads=4, embedding=8))


def test_untrained_gates_add_the_features_and_nothing_else(inputs):
    state, image, embedding = inputs
    assert torch.equal(CrossTransformer(16, 4, 8)(state, image, embedding), state + image)


@pytest.mark.parametrize("part", [0, 1, 2], ids=["state", "image", "step"])
def test_every_place_depends_on_every_input(network, inputs, part):
    # The corner voxel of an input is changed; attention carries it to the far corner of the output.
    changed = [tensor.clone() for tensor in inputs]
    changed[part].flatten(2 if part < 2 else 1)[..., 0] += 3
    with torch.no_grad():
        difference = network(*changed) - network(*inputs)
    assert difference[:, :, -1, -1, -1].abs().max() > 1e-4


def test_places_keep_their_order(inputs, randomise):
    # Attention knows no places: shuffled places must come out shuffled, and nothing else.
    state, image, embedding = inputs
    network = randomise(CrossTransformer(16, 4, 8))
    order = torch.randperm(24)

    def shuffled(x):
        return x.flatten(2)[:, :, order].reshape(x.shape)

    with torch.no_grad():
        expected = shuffled(network(state, image, embedding))
        assert torch.allclose(network(shuffled(state), shuffled(image), embedding), expected, atol=1e-4)
