"""Networks that run in a moment."""

import pytest
import torch

from HiDiffRefineLib.dssm import DSSM

SMALL = {
    "labels": 3,
    "channels": (8, 16),
    "strides": ((1, 2, 2), (2, 2, 2)),
    "latent": 8,
    "density": 8,
    "components": 2,
}


@pytest.fixture
def make_network(randomise):
    """Arguments that differ → a network of random weights, whose answers depend on everything."""

    def make(**arguments) -> DSSM:
        torch.manual_seed(0)
        return randomise(DSSM(**{**SMALL, **arguments})).eval()

    return make


@pytest.fixture
def image():
    """Two images (2, 1, 8, 16, 16) in 0…1."""
    return torch.rand(2, 1, 8, 16, 16, generator=torch.Generator().manual_seed(1))
