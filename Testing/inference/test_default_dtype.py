"""A host program whose torch counts in float64: the same answers, in single precision all the same."""

import traceback

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.session.session import RefinementSession

SHAPE = (20, 30, 30)
DSSM = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}


class LargeDoubles(TorchDispatchMode):
    """Notes where tensors of more than a thousand float64 are made."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64 and tensor.numel() > 1000:
                ours = [frame for frame in traceback.extract_stack() if "HiDiffRefineLib" in frame.filename]
                if all(frame.name != "build_network" for frame in ours):  # cast when it is built
                    self.found.add(f"{func} at {ours[-1].filename}:{ours[-1].lineno}")
        return result


@pytest.fixture
def in_doubles():
    """(work) → its result in float32, and in float64, where no large tensor may be float64."""

    def run(work):
        expected = work()
        torch.set_default_dtype(torch.float64)
        try:
            found = work()
            with LargeDoubles() as doubles:
                work()
        finally:
            torch.set_default_dtype(torch.float32)
        assert sorted(doubles.found) == []
        return expected, found

    return run


def fresh(pipeline, mode="segmentor"):
    """The same bundle, its networks not yet loaded."""
    return Pipeline(load_bundle(pipeline.bundle.folder), torch.device("cpu"), mode)


def test_segmenting(make_pipeline, refiner, volume_of, in_doubles):
    pipeline, volume = make_pipeline(refiner), volume_of(centered_grid((100, -46, 34), SHAPE, (1, 1, 1)))
    expected, found = in_doubles(lambda: segment(fresh(pipeline), volume))
    assert np.array_equal(expected[0], found[0])
    for a, b in zip(expected[1], found[1], strict=True):
        assert a.probability.dtype == b.probability.dtype and np.array_equal(a.probability, b.probability)


def test_one_shot(make_pipeline, randomise, volume_of, in_doubles):
    bundle = make_pipeline().bundle
    networks = bundle.settings["networks"] | {"dssm": {"name": "dssm", "arguments": DSSM}}
    update_settings(bundle.folder, networks=networks)
    write_weights(bundle.folder, "dssm", randomise(build_network("dssm", DSSM)).state_dict())
    volume = volume_of(centered_grid((100, -46, 34), SHAPE, (1, 1, 1)))
    pipeline = Pipeline(load_bundle(bundle.folder), torch.device("cpu"), "dssm")
    hints = {1: [Click(np.array([100, -46, 34]), True)]}
    for told in ({}, hints):
        expected, found = in_doubles(
            lambda told=told: segment(fresh(pipeline, "dssm"), volume, prior_only=True, hints=told)
        )
        assert np.array_equal(expected[0], found[0])


def test_editing(make_pipeline, refiner, volume_of, in_doubles):
    pipeline, volume = make_pipeline(refiner), volume_of(centered_grid((100, -46, 34), SHAPE, (1, 1, 1)))

    def edited():
        session = RefinementSession(volume, fresh(pipeline))
        session.set_prior(np.zeros(SHAPE, bool), "new")
        for point, positive in (((100, -46, 34), True), ((96, -46, 34), False)):
            session.add_hint(Click(np.array(point, float), positive))
            for _ in session.refine(2):
                pass
        return session.mask()

    expected, found = in_doubles(edited)
    assert np.array_equal(expected, found)
