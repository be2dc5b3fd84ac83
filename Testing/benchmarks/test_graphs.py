"""CUDA graphs say what the network says, whatever comes between."""

import pytest
import torch

from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.networks.refiner import CONDITION_CHANNELS, BernoulliRefiner
from Testing.benchmarks.graphs import RefinerGraphs

SHAPE_KJI = (16, 32, 32)


@pytest.fixture
def refiner(randomise, small_refiner):
    """Of random weights."""
    return randomise(BernoulliRefiner(**small_refiner)).eval()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_graphs_say_what_the_network_says(refiner):
    device = torch.device("cuda")
    refiner = refiner.to(device, memory_format=torch.channels_last_3d)
    graphs = RefinerGraphs(refiner)

    def inputs(seed, samples=1):
        torch.manual_seed(seed)
        condition = torch.rand(1, CONDITION_CHANNELS, *SHAPE_KJI, device=device)
        prior = torch.rand(samples, 1, *SHAPE_KJI, device=device)
        return condition, (prior > 0.5).float(), prior, torch.full((samples,), 0.3, device=device)

    def answer(network, condition, state, prior, share):
        features = [f.expand(len(state), *f.shape[1:]) for f in network.encode(condition)]
        return network.denoise(state, prior, share, features)

    with torch.inference_mode(), autocast(device):
        for given in (inputs(0), inputs(1), inputs(2, samples=3), inputs(3)):
            assert torch.allclose(answer(graphs, *given), answer(refiner, *given), atol=0.05)
        # A chain goes on with its own features after another one has begun.
        condition, *rest = inputs(4)
        features = graphs.encode(condition)
        before = graphs.denoise(*rest, features)
        answer(graphs, *inputs(5))
        assert torch.equal(graphs.denoise(*rest, features), before)
