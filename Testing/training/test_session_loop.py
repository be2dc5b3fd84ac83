"""The loop over editing sessions: counted skips, an honest end, going on with another number of cards."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.errors import ConfigError, FileError
from HiDiffRefineLib.networks.edit_refiner import EditRefiner
from HiDiffRefineLib.training import session_loop
from HiDiffRefineLib.training.session_loop import fit_sessions, learning_rate, optimizers
from Testing.volumes.full_disk import full_after

SMALL = {"channels": (8, 8, 8, 8), "blocks": (1, 1, 1, 1), "light": (8, 8, 8)}
SHAPE = (8, 16, 16)


class Balls:
    """Samples of a bright ball whose mask is empty or too small."""

    def __init__(self, seed=0):
        self.seed = seed

    def batch(self, size):
        from HiDiffRefineLib.training.edit_samples import Samples

        torch.manual_seed(self.seed)
        self.seed += 1
        k, j, i = torch.meshgrid(*(torch.arange(float(n)) - n / 2 for n in SHAPE), indexing="ij")
        distance = (4 * k**2 + j**2 + i**2).sqrt().expand(size, 1, *SHAPE)
        truth = (distance < 6).float()
        prior = (distance < 4).float() * (torch.rand(size, 1, 1, 1, 1) < 0.5)
        image = 0.3 + 0.4 * truth + 0.02 * torch.randn(truth.shape)
        return Samples(image, prior, torch.zeros_like(truth), truth, torch.zeros(size, 3))


def train(output, steps, network=None, lr=3e-3, samples=None):
    fabric = Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(0)
    network = network or EditRefiner(**SMALL)
    settings = {"minutes": 10, "batch": 2, "lr": lr, "compiled": False, "log": lambda line: None}
    return network, fit_sessions(
        fabric, network, samples or Balls(), BernoulliChain(10, "cosine"), output, steps=steps, **settings
    )


def history(output):
    return json.loads((output / "log.json").read_text())


def test_it_learns_and_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(session_loop, "LOG_EVERY", 10)
    monkeypatch.setattr(session_loop, "WARMUP_STEPS", 5)
    train(tmp_path, 60)
    first = history(tmp_path)
    train(tmp_path, 30)
    both = history(tmp_path)
    assert both[: len(first)] == first and both[-1]["step"] >= first[-1]["step"] + 30
    losses = [entry["bce"] for entry in both if "bce" in entry]
    assert np.mean(losses[-2:]) < 0.7 * losses[0]
    activations = [entry["largest_activations"] for entry in both if "largest_activations" in entry]
    assert len(activations) == 2 and max(activations[-1].values()) < 500


def test_a_run_that_goes_on_draws_other_samples(tmp_path):
    first, second = Balls(), Balls()
    for balls, steps in ((first, 3), (second, 3)):
        train(tmp_path, steps, samples=balls)
    assert first.rng.random() != second.rng.random()


def test_on_a_full_disk_the_old_checkpoint_stays(tmp_path):
    train(tmp_path, 3)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with full_after(1000), pytest.raises(FileError, match="checkpoint.pt' could not be written"):
        train(tmp_path, 3)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


class Broken(EditRefiner):
    """Every third answer has a gradient that is not finite."""

    asked = 0

    def denoise(self, *inputs):
        self.asked += 1
        logits = super().denoise(*inputs)
        return logits * torch.sqrt(0 * logits.sum()) if self.asked % 3 == 0 else logits


def test_steps_without_a_finite_gradient_are_counted_and_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(session_loop, "COUNTED_FROM", 20)
    with pytest.raises(ConfigError, match="of .* steps had gradients that are not finite"):
        train(tmp_path, 100, Broken(**SMALL))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert 0 < saved["skipped"] < saved["steps"]
    assert all(weight.isfinite().all() for weight in saved["network"].values())


def test_every_weight_has_one_optimizer_and_convolutions_have_muon():
    network = EditRefiner(**SMALL)
    adam, muon = optimizers(network, 1e-3, 0.01)
    names = {id(weight): name for name, weight in network.named_parameters()}
    mine = [{names[id(w)] for group in each.param_groups for w in group["params"]} for each in (adam, muon)]
    assert not mine[0] & mine[1] and mine[0] | mine[1] == set(names.values())
    assert all(name in mine[1] for name in names.values() if "conv1.weight" in name)
    assert "denoiser.head.weight" in mine[0] and "encoder.downs.0.0.weight" in mine[0]


def test_the_learning_rate_warms_up_and_falls_to_its_floor():
    rates = [learning_rate(n, n / 1000, 1.0, 0.1) for n in range(1000)]
    assert rates[0] < 0.01 and max(rates) > 0.85 and rates[-1] == pytest.approx(0.1, abs=1e-3)


def test_a_run_goes_on_with_another_number_of_cards(tmp_path):
    train(tmp_path, 10)
    before = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    program = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    after = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert after["steps"] >= before["steps"] + 10 and after["skipped"] == 0
    # Both processes ended with the same weights.
    sums = sorted(line for line in done.stdout.splitlines() if line.startswith("weights"))
    assert len(sums) == 2 and sums[0] == sums[1]
