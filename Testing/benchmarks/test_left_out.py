"""A set left out: every structure of the held-out cases is started from nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import Case, save_cases
from HiDiffRefineLib.training.loop import save_half
from Testing.benchmarks import left_out

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def small_regions(tmp_path, monkeypatch):
    """The shipped refiner looks at no more than the small cases of this file hold."""
    shutil.copytree(MODELS / "refiner", tmp_path / "models" / "refiner")
    update_settings(tmp_path / "models" / "refiner", patch_size_kji=[16, 48, 48])
    monkeypatch.setenv("HIDIFF_MODELS", str(tmp_path / "models"))


@pytest.fixture
def archive(tmp_path):
    labels = np.zeros((12, 40, 40), np.uint8)
    labels[3:9, 5:15, 5:15], labels[3:9, 24:36, 22:34] = 1, 2
    spacing = np.diag([1.5, 1.5, 4, 1.0])
    cases = [Case(f"case{n}", 90 * labels, labels, spacing) for n in range(5)]
    save_cases(tmp_path / "blocks.npy.xz", cases)
    return tmp_path / "blocks.npy.xz"


def test_each_network_is_judged_on_the_held_out_fold(archive, small_regions, tmp_path, capsys):
    refiner, weights = (
        build_network(*load_bundle("refiner").network("refiner")),
        tmp_path / "silent.safetensors",
    )
    with torch.no_grad():
        for parameter in refiner.parameters():
            parameter.zero_()
    save_half(refiner, weights)
    json_file = tmp_path / "figures.json"
    left_out.main([str(archive), "shipped=", f"silent={weights}", "--hints", "1", "--json", str(json_file)])
    shipped, silent = (json.loads(json_file.read_text())[name] for name in ("shipped", "silent"))
    assert shipped["cases"] == 2 and shipped["structures"] == 4
    assert shipped["dice"][0] == silent["dice"][0] == 0
    # Nothing but the clicked voxel, for a network that leaves the prior as it is.
    assert 0 < silent["dice"][1] < 0.01 < shipped["dice"][1]
    assert "| blocks | silent | 0.000 |" in capsys.readouterr().out
