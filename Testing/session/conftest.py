"""A pipeline of tiny random networks without files."""

from copy import deepcopy

import pytest
import torch

from HiDiffRefineLib.bundles import Bundle, load_bundle
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.networks.refiner import BernoulliRefiner


@pytest.fixture(scope="session")
def pipeline(small_refiner, by_thresholds) -> Pipeline:
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
    networks = {"segmentor": by_thresholds(0.3, 0.6), "refiner": refiner}
    pipeline = Pipeline(bundle, torch.device("cpu"), _networks=networks)
    metadata = deepcopy(load_bundle("refiner").metadata)
    metadata["hidiffrefine"].update(patch_size_kji=[16, 32, 32], steps=2)
    pipeline.refiner_bundle = Bundle("tiny-refiner", bundle.folder, metadata)
    return pipeline
