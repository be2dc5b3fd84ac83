"""Bundles on disk that a worker runs in a moment, and one worker for all tests of a file."""

import numpy as np
import pytest

from HiDiffRefineLib.bundles import update_settings, write_weights
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.networks.segmentor import residual_unet
from HiDiffRefineLib.runtime.worker import Worker
from HiDiffRefineLib.volumes.volume import Volume

SEGMENTOR = {"labels": 3, "channels": [8, 8, 8], "strides": [1, 2, 2]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, copy_bundle, small_refiner, randomise):
    """Folder of a bundle with labels anterior and posterior hippocampus, whose answers are nonsense."""
    folder = tmp_path_factory.mktemp("models")
    copy_bundle("hippocampus-mr", folder / "tiny-mr")
    copy_bundle("refiner", folder / "refiner")
    update_settings(
        folder / "tiny-mr",
        networks={"segmentor": {"name": "residual_unet", "arguments": SEGMENTOR}},
        patch_size_kji=[16, 32, 32],
        working_spacing_kji_mm=[1.5, 1.0, 1.0],
        intensity={"rule": "percentiles", "low": 0, "high": 100},
        refiner="refiner",
    )
    entry = {"name": "bernoulli_refiner", "arguments": small_refiner}
    update_settings(
        folder / "refiner",
        networks={"refiner": entry, "plain_refiner": entry},
        patch_size_kji=[16, 32, 32],
        steps=2,
    )
    segmentor = randomise(residual_unet(**SEGMENTOR), 1)
    write_weights(folder / "tiny-mr", "segmentor", segmentor.state_dict())
    refiner = randomise(BernoulliRefiner(**small_refiner))
    write_weights(folder / "refiner", "refiner", refiner.state_dict())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIDIFF_MODELS", str(folder))
        yield folder / "tiny-mr"


@pytest.fixture(scope="module")
def worker(tiny):
    """A worker that is there, and says nothing that a test does not expect."""
    said = []
    with Worker(notify=said.append) as worker:
        worker.said = said
        worker.ping()
        yield worker


@pytest.fixture(autouse=True)
def nothing_said(request):
    """No notice of one test is left to the next."""
    yield
    if "worker" in request.fixturenames:
        request.getfixturevalue("worker").said.clear()


@pytest.fixture
def volume() -> Volume:
    """Noise, 24 × 40 × 40 voxels."""
    array = np.random.default_rng(0).integers(0, 1000, (24, 40, 40)).astype(np.int16)
    return Volume(array, np.diag([1.0, 1, 1.5, 1]), "noise")


@pytest.fixture
def cube() -> np.ndarray:
    """A mask of that volume."""
    mask = np.zeros((24, 40, 40), bool)
    mask[8:14, 12:22, 12:22] = True
    return mask
