"""The residual U-Net."""

import pytest
import torch

from HiDiffRefineLib.networks.segmentor import residual_unet


@pytest.mark.parametrize(
    ("strides", "shape"),
    [([1, 2, 2], (8, 12, 16)), ([1, [1, 2, 2], 2], (6, 12, 8)), ([1, [1, 2, 2], [1, 2, 2]], (3, 4, 8))],
)
def test_logits_have_the_images_size(strides, shape):
    network = residual_unet(labels=4, channels=[8, 16, 16], strides=strides, in_channels=2)
    assert network(torch.rand(2, 2, *shape)).shape == (2, 4, *shape)


def test_gradient_reaches_every_weight():
    torch.manual_seed(0)
    network = residual_unet(labels=3, channels=[8, 16, 16], strides=[1, [1, 2, 2], 2])
    network(torch.rand(1, 1, 8, 16, 16)).square().mean().backward()
    assert [name for name, weight in network.named_parameters() if not weight.grad.abs().sum() > 0] == []


def test_items_of_a_batch_do_not_mix():
    torch.manual_seed(0)
    network = residual_unet(labels=2, channels=[8, 16, 16], strides=[1, 2, 2]).eval()
    images = torch.rand(2, 1, 8, 8, 8)
    with torch.no_grad():
        together = network(images)
        assert torch.allclose(together[1:], network(images[1:]), atol=1e-5)


def test_state_dict_fits_a_second_network_of_the_same_arguments():
    torch.manual_seed(0)
    arguments = {"labels": 2, "channels": [8, 16, 16], "strides": [1, 2, 2]}
    first, second = residual_unet(**arguments), residual_unet(**arguments)
    image = torch.rand(1, 1, 8, 8, 8)
    assert not torch.allclose(first(image), second(image))
    second.load_state_dict(first.state_dict(), strict=True)
    assert torch.equal(first(image), second(image))
