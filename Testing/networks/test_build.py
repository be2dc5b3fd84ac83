"""Networks by name; the rules that all of them keep."""

import pytest
from torch import nn

from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.networks.build import build_network

SMALL = {
    "residual_unet": {"labels": 3, "channels": [8, 16, 16], "strides": [1, 2, 2]},
    "bernoulli_refiner": {
        "channels": [8, 8, 16, 16],
        "light": [8, 8, 8, 16],
        "blocks": [1, 1, 1, 1],
        "embedding": 16,
        "heads": 2,
    },
    "edit_refiner": {"channels": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "light": [8, 8, 16]},
}


@pytest.mark.parametrize("name", SMALL)
def test_only_group_norm_and_no_tensor_twice(name):
    network = build_network(name, SMALL[name])
    norms = [m for m in network.modules() if type(m).__name__.lower().endswith("norm")]
    assert norms and all(isinstance(m, nn.GroupNorm) for m in norms)
    tensors = [tensor.data_ptr() for tensor in network.state_dict().values()]
    assert len(set(tensors)) == len(tensors)


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(BundleError, match="'magic' is unknown") as caught:
        build_network("magic", {})
    assert "bernoulli_refiner" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("residual_unet", {"depth": 3}),
        ("residual_unet", {"channels": [8, 12, 16]}),
        ("residual_unet", {"strides": [1, 2]}),
        ("bernoulli_refiner", {"width": 3}),
        ("bernoulli_refiner", {"channels": [8, 16, 16]}),
        ("bernoulli_refiner", {"blocks": [1]}),
        ("bernoulli_refiner", {"channels": [-8] * 4}),
        ("residual_unet", {"strides": [1, -2, 2]}),
    ],
)
def test_arguments_that_build_nothing_are_refused_by_name(name, change):
    with pytest.raises(BundleError, match=f"'{name}' can't be built") as caught:
        build_network(name, {**SMALL[name], **change})
    assert caught.value.remedy
