"""The figures of a DSSM on packed data, and the experiments' bundles."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import Case, save_cases
from HiDiffRefineLib.training.config import read_config
from HiDiffRefineLib.training.loop import save_half

HERE = Path(__file__).parent
SMALL = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}


def test_figures_of_a_packed_set(tmp_path, copy_bundle, randomise):
    copy_bundle("hippocampus-mr", tmp_path / "tiny")
    networks = {"dssm": {"name": "dssm", "arguments": SMALL}}
    update_settings(tmp_path / "tiny", networks=networks, patch_size_kji=[8, 16, 16])
    rng = np.random.default_rng(0)
    cases = []
    for name in "abcdef":
        image = rng.integers(0, 255, (10, 20, 18)).astype(np.uint8)
        cases.append(Case(name, image, (image // 100).astype(np.uint8), np.eye(4)))
    save_cases(tmp_path / "cases.npy.xz", cases)
    twin = {"discriminative": True}
    save_half(randomise(build_network("dssm", SMALL | twin)), tmp_path / "weights.safetensors")
    tool = runpy.run_path(str(HERE / "dssm.py"))
    tool["main"](
        [str(tmp_path / "tiny"), str(tmp_path / "cases.npy.xz"), str(tmp_path / "weights.safetensors")]
        + ["--folds", "2", "--fold", "1", "--network", json.dumps(twin)]
        + ["--unlike", str(tmp_path / "cases.npy.xz"), "--json", str(tmp_path / "figures.json")]
    )
    result = json.loads((tmp_path / "figures.json").read_text())
    assert result["cases"] == ["b", "d", "f"] and set(result["profiles"]) == {"b", "d", "f"}
    assert set(result["ood_auroc_by_kind"]) == {"noise", "streaks", "inverted", "cases"}
    # With tau 0 its weight changes nothing.
    rows = result["rows"]
    assert rows["dssm_tau_half"]["dice"] == rows["dssm_tau_double"]["dice"] == rows["dssm_k1"]["dice"]


@pytest.mark.parametrize("name", ["acdc", "prostate", "skin", "xray"])
def test_experiments_can_be_built(name):
    bundle = load_bundle(HERE / "dssm" / name)
    config = read_config(HERE / "dssm" / name / "configs/train.json")
    assert config.task == "dssm" and Path(config.bundle).name == name
    network = build_network(*bundle.network("dssm"))
    assert network.head.out_channels == len(bundle.labels) + 1
    strides = np.prod(bundle.network("dssm")[1]["strides"], axis=0)
    assert not (np.array(bundle.patch_size_kji) % strides).any()


def test_both_shipped_networks_stay_small():
    size = 0
    for name in ("abdomen-ct", "hippocampus-mr"):
        state = build_network(*load_bundle(name).network("dssm")).state_dict()
        size += sum(2 * tensor.numel() for tensor in state.values())
    assert size <= 2.5 * 2**20
