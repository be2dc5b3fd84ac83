"""A small models folder: real bundles, with tiny networks of random weights."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from HiDiffRefineLib.bundles import update_settings, write_weights
from HiDiffRefineLib.networks.build import build_network

SEGMENTOR = {"name": "residual_unet", "arguments": {"labels": 3, "channels": [8, 8, 8], "strides": [1, 2, 2]}}


@pytest.fixture
def small_models(tmp_path, monkeypatch, copy_bundle, small_refiner):
    """Bundles "hippocampus-mr" and "refiner" with tiny networks, where the library looks for bundles."""
    folder = tmp_path / "models"
    refiner = {"name": "bernoulli_refiner", "arguments": small_refiner}
    for name, networks in (
        ("hippocampus-mr", {"segmentor": SEGMENTOR}),
        ("refiner", {"refiner": refiner, "plain_refiner": refiner}),
    ):
        copy_bundle(name, folder / name)
        # What is recorded of the real weights says nothing of these.
        update_settings(folder / name, networks=networks, patch_size_kji=[16, 32, 32], hints=[])
        for key, network in networks.items():
            torch.manual_seed(0)
            built = build_network(network["name"], network["arguments"])
            state = {k: v if "denoiser.head" not in k else v + 0.5 for k, v in built.state_dict().items()}
            write_weights(folder / name, key, state)
    monkeypatch.setenv("HIDIFF_MODELS", str(folder))
    return folder


@pytest.fixture
def image(tmp_path):
    """A NIfTI file with a bright ball in noise."""
    k, j, i = np.indices((20, 30, 30))
    ball = (k - 10) ** 2 + (j - 15) ** 2 + (i - 15) ** 2 < 60
    array = np.random.default_rng(0).normal(100, 20, ball.shape) + 300 * ball
    path = tmp_path / "ball.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.float32)), str(path))
    return path
