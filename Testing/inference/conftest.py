"""A made-up anatomy that can be scanned on any grid, and bundles small enough to run in a moment."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.networks.build import NETWORKS
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.volumes.volume import Volume


def ras_of(grid: Grid) -> np.ndarray:
    """(k, j, i, 3) RAS mm of every sample."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij")
    return (np.stack([i, j, k, np.ones_like(i)], axis=-1) @ grid.ijk_to_ras.T)[..., :3]


def _ball(places, center, radius) -> np.ndarray:
    # 1 inside, 0 outside, a soft border of 2 mm.
    return 1 / (1 + np.exp((np.linalg.norm(places - center, axis=-1) - radius) / 0.5))


@pytest.fixture(scope="session")
def scanned():
    """Grid → intensities: a large grey ball (0.4) and a small white one (1.0), no symmetry between them."""

    def scan(grid: Grid) -> np.ndarray:
        places = ras_of(grid)
        grey = _ball(places, np.array([108.0, -52, 31]), 13)
        return 0.4 * grey + _ball(places, np.array([90.0, -40, 40]), 7)

    return scan


def _turned(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _grid(shape, linear) -> Grid:
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = linear
    ijk_to_ras[:3, 3] = np.array([100.0, -46, 34]) - linear @ (np.array(shape[::-1]) - 1) / 2
    return Grid(shape, ijk_to_ras)


@pytest.fixture(scope="session")
def grids():
    """The same place in space on grids of many kinds."""
    return {
        "straight": _grid((44, 60, 60), np.eye(3)),
        "flipped": _grid((44, 60, 60), np.diag([-1.0, -1, -1])),
        "reordered": _grid((60, 44, 60), np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]])),
        "oblique": _grid((70, 70, 70), _turned(0.4)),
        "anisotropic": _grid((30, 80, 70), _turned(-0.2) @ np.diag([0.9, 0.8, 1.5])),
    }


@pytest.fixture(scope="session")
def by_intensity(by_thresholds):
    """Below .2 background, grey label 1, from .5 label 2."""
    return by_thresholds(0.2, 0.5)


@pytest.fixture
def refiner(randomise, small_refiner):
    """A refiner of random weights: its answers are nonsense, but they depend on everything."""
    return randomise(BernoulliRefiner(**small_refiner)).eval()


@pytest.fixture
def make_pipeline(tmp_path, monkeypatch, copy_bundle, small_refiner, by_intensity, by_thresholds):
    """(refiner or None for an untrained one) → pipeline of two bundles in a folder of their own."""
    monkeypatch.setenv("HIDIFF_MODELS", str(tmp_path))
    monkeypatch.setitem(NETWORKS, "by_intensity", lambda: by_thresholds(0.2, 0.5))

    def make(refiner=None) -> Pipeline:
        copy_bundle("hippocampus-mr", tmp_path / "tiny-mr")
        copy_bundle("refiner", tmp_path / "tiny-refiner")
        update_settings(
            tmp_path / "tiny-mr",
            networks={"segmentor": {"name": "by_intensity", "arguments": {}}},
            patch_size_kji=[16, 32, 32],
            working_spacing_kji_mm=[1.0, 1.0, 1.0],
            intensity={"rule": "percentiles", "low": 0, "high": 100},
            refiner="tiny-refiner",
        )
        entry = {"name": "bernoulli_refiner", "arguments": small_refiner}
        update_settings(
            tmp_path / "tiny-refiner",
            networks={"refiner": entry, "plain_refiner": entry},
            patch_size_kji=[24, 48, 48],
            steps=2,
        )
        write_weights(tmp_path / "tiny-mr", "segmentor", by_intensity.state_dict())
        weights = (refiner or BernoulliRefiner(**small_refiner)).state_dict()
        write_weights(tmp_path / "tiny-refiner", "refiner", weights)
        return Pipeline(load_bundle("tiny-mr"), torch.device("cpu"))

    return make


@pytest.fixture
def volume_of(scanned):
    """Grid → the scan on it as a stored volume."""
    return lambda grid: Volume(np.rint(1000 * scanned(grid)).astype(np.int16), grid.ijk_to_ras, "made up")


@pytest.fixture(scope="session")
def dice():
    """(mask, mask) → Dice."""
    return lambda a, b: 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
