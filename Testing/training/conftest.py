"""Made-up patients and tiny bundles."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.geometry.grids import Grid, covering_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.training.cases import Case
from HiDiffRefineLib.training.config import TrainConfig


def _case(name="one", shape=(24, 30, 36), seed=0) -> Case:
    """A large box (label 1) and a tiny one (label 2), off centre; the image is 0, 100 or 200 with them."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    k, j, i = rng.integers(3, 6, 3)
    labels[k : k + 10, j : j + 12, i : i + 16] = 1
    labels[-4:-2, -4:-2, -4:-2] = 2
    ijk_to_ras = np.array([[-1, 0, 0, 90], [0, 1.2, 0, -50], [0, 0, 2, 30], [0, 0, 0, 1.0]])
    return Case(name, 100 * labels, labels, ijk_to_ras)


def _perfect_prior(case) -> Prior:
    """The truth on a working grid."""
    native = Grid(case.labels.shape, case.ijk_to_ras)
    grid = covering_grid(native.bounds_ras(), (2, 1.2, 1.0))
    labels = torch.from_numpy(case.labels)
    onehot = torch.stack([(labels == n).float() for n in range(3)])
    return Prior(resample(onehot, case.ijk_to_ras, grid).half(), grid)


@pytest.fixture
def perfect_prior():
    """Case → prior that is right."""
    return _perfect_prior


@pytest.fixture
def make_case():
    """(name, shape, seed) → case."""
    return _case


@pytest.fixture
def make_config(tmp_path):
    """Fields → a configuration for the CPU."""
    fixed = {"task": "segmentor", "bundle": "tiny", "cases": (), "output": str(tmp_path / "out")}
    fixed |= {"precision": "32-true", "compile": False, "batch": 1, "workers": 0}
    return lambda **fields: TrainConfig(**{**fixed, **fields})


@pytest.fixture
def bundles(tmp_path, monkeypatch, copy_bundle, small_refiner):
    """Folder of the bundles tiny-segmentor (2 labels) and tiny-refiner, without weights."""
    folder = tmp_path / "models"
    monkeypatch.setenv("HIDIFF_MODELS", str(folder))
    copy_bundle("hippocampus-mr", folder / "tiny-segmentor")
    copy_bundle("refiner", folder / "tiny-refiner")
    network = {"labels": 3, "channels": [8, 8, 8], "strides": [1, 2, 2]}
    update_settings(
        folder / "tiny-segmentor",
        networks={"segmentor": {"name": "residual_unet", "arguments": network}},
        patch_size_kji=[8, 16, 16],
        working_spacing_kji_mm=[2.0, 1.5, 1.5],
        refiner="tiny-refiner",
    )
    entry = {"name": "bernoulli_refiner", "arguments": small_refiner}
    update_settings(
        folder / "tiny-refiner",
        networks={"refiner": entry, "plain_refiner": entry},
        patch_size_kji=[12, 32, 32],
    )
    return {name: load_bundle(name) for name in ("tiny-segmentor", "tiny-refiner")}
