"""CUDA graphs say what the network says, whatever comes between; where there are none it speaks itself."""

import pytest
import torch

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.inference import graphs as graphs_module
from HiDiffRefineLib.inference.graphs import RefinerGraphs
from HiDiffRefineLib.inference.messages import WarmUpRequest
from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.networks import edit_refiner
from HiDiffRefineLib.networks.refiner import CONDITION_CHANNELS

SHAPE_KJI = (16, 32, 32)


def inputs(seed, samples=1, device="cpu"):
    """Condition, state, prior and share of the steps."""
    torch.manual_seed(seed)
    condition = torch.rand(1, CONDITION_CHANNELS, *SHAPE_KJI, device=device)
    prior = torch.rand(samples, 1, *SHAPE_KJI, device=device)
    return condition, (prior > 0.5).float(), prior, torch.full((samples,), 0.3, device=device)


def answer(network, condition, state, prior, share):
    """Of a chain's step."""
    features = [f.expand(len(state), *f.shape[1:]) for f in network.encode(condition)]
    return network.denoise(state, prior, share, features)


@pytest.mark.parametrize("failing", ["first", "second"])
def test_where_recording_fails_the_network_runs_as_it_is(refiner, monkeypatch, caplog, failing):
    tried = []

    def recorded(function, given):
        tried.append(function)
        if failing == "first" or len(tried) == 2:
            raise RuntimeError("made up\nand told at length")
        return function

    monkeypatch.setattr(graphs_module, "recorded", recorded)
    graphs = RefinerGraphs(refiner)
    with torch.inference_mode():
        for given in (inputs(0), inputs(1, samples=3)):
            assert torch.equal(answer(graphs, *given), answer(refiner, *given))
    assert len(tried) == (1 if failing == "first" else 2)
    (line,) = caplog.messages
    assert "without CUDA graphs" in line and "made up" in line and "\n" not in line


def test_edits_take_graphs_on_cuda_alone(make_pipeline, refiner):
    pipeline = make_pipeline(refiner)
    assert pipeline.edit_network is pipeline.network("refiner")
    pipeline.device = torch.device("cuda")
    assert isinstance(pipeline.edit_network, RefinerGraphs)
    assert pipeline.edit_network is pipeline.edit_network
    elsewhere = pipeline.on(torch.device("cpu"))
    assert elsewhere.edit_network is elsewhere.network("refiner")


def test_warming_up_records_what_edits_replay(make_pipeline, refiner, volume_of, monkeypatch):
    shapes = []

    def recorded(function, given):
        shapes.append(given[0].shape[1:])
        return function

    monkeypatch.setattr(graphs_module, "recorded", recorded)
    pipeline = make_pipeline(refiner)
    monkeypatch.setattr(Pipeline, "edit_network", RefinerGraphs(pipeline.network("refiner")))
    engine = pipeline.open(volume_of(centered_grid((100, -46, 34), (20, 30, 30), (1, 1, 1))))
    for _ in range(2):
        list(engine.run(WarmUpRequest()))
    patch_kji = tuple(pipeline.refiner_bundle.patch_size_kji)
    assert shapes == [(edit_refiner.CONDITION_CHANNELS, *patch_kji), (1, *patch_kji)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_graphs_say_what_the_network_says(refiner):
    device = torch.device("cuda")
    refiner = refiner.to(device, memory_format=torch.channels_last_3d)
    graphs = RefinerGraphs(refiner)
    with torch.inference_mode(), autocast(device):
        for seed, samples in ((0, 1), (1, 1), (2, 3), (3, 1)):
            given = inputs(seed, samples, device)
            assert torch.allclose(answer(graphs, *given), answer(refiner, *given), atol=0.05)
        # A chain goes on with its own features after another one has begun.
        condition, *rest = inputs(4, device=device)
        features = graphs.encode(condition)
        before = graphs.denoise(*rest, features)
        answer(graphs, *inputs(5, device=device))
        assert torch.equal(graphs.denoise(*rest, features), before)
