"""The refiner's training from configuration to weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.networks.edit_refiner import EditRefiner
from HiDiffRefineLib.training.cases import save_cases
from HiDiffRefineLib.training.config import read_config
from HiDiffRefineLib.training.edits import train_edits, training_sets
from HiDiffRefineLib.training.loop import load_half
from HiDiffRefineLib.training.priors import save_priors

ROOT = Path(__file__).parents[2]
SMALL = {"channels": [8, 8, 8, 8], "blocks": [1, 1, 1, 1], "light": [8, 8, 8]}


@pytest.fixture
def config(tmp_path, make_case, perfect_prior, make_config, bundles):
    """A run of two steps over two sets, one with priors; the first case of each is held out."""
    cases = [make_case(f"case{n}", seed=n) for n in range(4)]
    save_cases(tmp_path / "a.npy.xz", cases[:2])
    save_cases(tmp_path / "b.npy.xz", cases[2:])
    save_priors(tmp_path / "priors.npy.xz", {case.name: perfect_prior(case) for case in cases[:2]})
    archives = (str(tmp_path / "a.npy.xz"), str(tmp_path / "b.npy.xz"))
    fields = {"task": "edits", "bundle": "tiny-refiner", "cases": archives, "network": SMALL}
    fields |= {"priors": (str(tmp_path / "priors*"), ""), "folds": 2, "fold": 0, "iterations": 2}
    # The U-Net's patches are multiples of 8, 16, 16.
    from HiDiffRefineLib.bundles import update_settings

    update_settings(tmp_path / "models" / "tiny-refiner", patch_size_kji=[16, 32, 32])
    return make_config(**fields)


def test_a_run_leaves_weights_that_the_network_takes(config, capsys):
    train_edits(config)
    network = EditRefiner(**SMALL)
    load_half(network, f"{config.output}/weights.safetensors")
    assert all(weight.isfinite().all() for weight in network.parameters())
    assert {weight.dtype for weight in load_file(f"{config.output}/weights.safetensors").values()} == {
        torch.float16
    }
    assert "0 skipped" in capsys.readouterr().out


def test_what_is_held_out_is_not_read_and_priors_stand_beside_their_case(config):
    sets = training_sets(config, torch.device("cpu"))
    assert [len(volumes) for volumes in sets] == [1, 1]
    assert sets[0][0].prior is not None and max(sets[0][0].errors.values()) < 0.3
    assert sets[1][0].prior is None


def test_a_missing_prior_is_named(config, tmp_path):
    (tmp_path / "priors.npy.xz").unlink()
    with pytest.raises(ConfigError, match="no prior of case1"):
        training_sets(config, torch.device("cpu"))


def test_the_shipped_configuration_is_whole():
    config = read_config(ROOT / "models" / "refiner" / "configs" / "train_edits.json")
    names = {Path(archive).name for archive in (*config.cases, *config.maps)}
    assert names == set(config.set_weights) and len(config.priors) == len(config.cases)


def test_it_runs_where_nothing_reads_images(config, tmp_path):
    """As on a lent GPU machine, without SimpleITK, pydicom and highdicom."""
    blocked = (
        "import sys; [sys.modules.__setitem__(m, None) for m in ('SimpleITK', 'pydicom', 'highdicom')]; "
    )
    program = blocked + "import runpy; runpy.run_module('HiDiffRefineLib.training', run_name='__main__')"
    fields = {name: value for name, value in vars(config).items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "config.json", "iterations=1"],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (Path(config.output) / "weights.safetensors").is_file()
