"""A pipeline of tiny random networks without files."""

from copy import deepcopy

import pytest
import torch

from HiDiffRefineLib.bundles import Bundle, load_bundle
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.networks.refiner import BernoulliRefiner


class ByIntensity(torch.nn.Conv3d):
    """A segmentor without training: below .3 background, then label 1, from .6 label 2."""

    def __init__(self):
        super().__init__(1, 3, 1)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([0.0, 40, 80]).view(3, 1, 1, 1, 1))
            self.bias.copy_(torch.tensor([0.0, -12, -36]))


@pytest.fixture(scope="session")
def pipeline(small_refiner) -> Pipeline:
    """Labels "anterior hippocampus" and "posterior hippocampus"; the refiner's answers are nonsense."""
    torch.manual_seed(0)
    refiner = BernoulliRefiner(**small_refiner).eval()
    for weight in refiner.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    metadata = deepcopy(load_bundle("hippocampus-mr").metadata)
    metadata["hidiffrefine"].update(
        patch_size_kji=[16, 32, 32],
        working_spacing_kji_mm=[1.5, 1.0, 1.0],
        intensity={"rule": "percentiles", "low": 0, "high": 100},
    )
    bundle = Bundle("tiny", load_bundle("hippocampus-mr").folder, metadata)
    networks = {"segmentor": ByIntensity().eval(), "refiner": refiner}
    pipeline = Pipeline(bundle, torch.device("cpu"), networks)
    metadata = deepcopy(load_bundle("refiner").metadata)
    metadata["hidiffrefine"].update(patch_size_kji=[16, 32, 32], steps=2)
    pipeline.refiner_bundle = Bundle("tiny-refiner", bundle.folder, metadata)
    return pipeline
