"""The optimisation loop learns, stops, and goes on where it stopped."""

import errno
import itertools
import json
import os
from itertools import repeat

import pytest
import torch
from safetensors.torch import load_file

from HiDiffRefineLib.errors import ConfigError, FileError
from HiDiffRefineLib.training import loop


@pytest.fixture(autouse=True)
def log_every_iteration(monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def network():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv3d(4, 1, 1))


def batch():
    image = torch.rand(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    return image, (image > 0.5).float()


def loss(model, batch):
    image, truth = batch
    return {"bce": torch.nn.functional.binary_cross_entropy_with_logits(model(image), truth)}


def run(config, loss=loss):
    fabric = loop.make_fabric(config)
    return loop.fit(fabric, config, network(), repeat(batch()), lambda *parts: [loss(*parts)])


def checkpoint(config) -> dict:
    return torch.load(f"{config.output}/checkpoint.pt", weights_only=True)


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_on_a_full_disk_the_old_checkpoint_stays(make_config, tmp_path, monkeypatch):
    run(make_config(iterations=2))
    before = (tmp_path / "out/checkpoint.pt").read_bytes()

    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(FileError, match="could not be written"):
        run(make_config(iterations=4))
    assert (tmp_path / "out/checkpoint.pt").read_bytes() == before


def test_a_few_iterations_lower_the_loss_and_leave_their_traces(make_config, tmp_path):
    config = make_config(iterations=60, learning_rate=0.03, ema=0.5)
    averaged = run(config)
    log = json.loads((tmp_path / "out/log.json").read_text())
    assert [entry["iteration"] for entry in log] == list(range(60))
    assert log[-1]["bce"] < 0.8 * log[0]["bce"]
    with torch.no_grad():
        assert loss(averaged, batch())["bce"] == pytest.approx(log[-1]["bce"], rel=0.1)
    assert (tmp_path / "out/curves.png").read_bytes().startswith(b"\x89PNG")
    stored = load_file(tmp_path / "out/weights.safetensors")
    for name, weight in averaged.state_dict().items():
        assert stored[name].dtype == torch.float16 and torch.equal(stored[name], weight.half())


def test_same_seed_same_weights(make_config, tmp_path, monkeypatch):
    # The rate hangs on the clock as well.
    monkeypatch.setattr(loop, "learning_rate_share", lambda progress: 1.0)
    results = [run(make_config(iterations=5, output=str(tmp_path / name))) for name in "ab"]
    assert same(results[0].state_dict(), results[1].state_dict())


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(make_config, tmp_path, monkeypatch):
    # The rate hangs on the share done, which a smaller number of iterations changes.
    monkeypatch.setattr(loop, "learning_rate_share", lambda progress: 1.0)
    straight = run(make_config(iterations=12, output=str(tmp_path / "straight")))
    run(make_config(iterations=5))
    half = checkpoint(make_config())
    assert half["iteration"] == 5
    met = []

    def watched(model, batch):
        met.append({name: weight.detach().clone() for name, weight in model.module.state_dict().items()})
        return loss(model, batch)

    resumed = run(make_config(iterations=12), watched)
    assert len(met) == 7 and same(met[0], dict(half["network"]))
    assert same(resumed.state_dict(), straight.state_dict())
    first, second = checkpoint(make_config(output=str(tmp_path / "straight"))), checkpoint(make_config())
    for part in ("network", "averaged", "optimizer", "iteration", "log"):
        assert same(first[part], second[part]), part


def test_every_loss_of_a_batch_is_a_step_and_their_mean_is_logged(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "learning_rate_share", lambda progress: 1.0)
    met = []

    def twice(model, batch):
        for factor in (1, 3):
            met.append(model.module[0].weight.detach().clone())
            yield {"bce": factor * loss(model, batch)["bce"]}

    loop.fit(loop.make_fabric(make_config()), make_config(iterations=2), network(), repeat(batch()), twice)
    assert len(met) == 4 and not any(torch.equal(a, b) for a, b in itertools.pairwise(met))
    with torch.no_grad():
        first = loss(network(), batch())["bce"]
    logged = json.loads((tmp_path / "out/log.json").read_text())[0]["bce"]
    assert logged == pytest.approx(2 * float(first), rel=0.05)


def test_a_finished_run_is_not_trained_further(make_config):
    done = run(make_config(iterations=3)).state_dict()
    assert same(run(make_config(iterations=3), lambda *_: pytest.fail("trained")).state_dict(), done)


def test_time_ends_a_run_too(make_config):
    run(make_config(minutes=0.5 / 60))
    state = checkpoint(make_config())
    assert state["iteration"] > 0 and state["seconds"] == pytest.approx(0.5, abs=0.4)


def test_warm_start_begins_with_those_weights(make_config, tmp_path):
    other = network()
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(1)
    loop.save_half(other, tmp_path / "warm.safetensors")
    met = []

    def watched(model, batch):
        met.append(model.module[0].weight.detach().clone())
        return loss(model, batch)

    run(make_config(iterations=1, warm_start=str(tmp_path / "warm.safetensors")), watched)
    assert torch.equal(met[0], other[0].weight.half().float())


def test_a_loss_that_is_no_number_stops_the_run(make_config):
    def diverged(model, batch):
        return {"bce": loss(model, batch)["bce"] * float("nan")}

    with pytest.raises(ConfigError, match="not a number at iteration 0") as caught:
        run(make_config(iterations=3), diverged)
    assert "learning_rate" in caught.value.remedy


def test_learning_rate_warms_up_and_falls_to_nothing():
    shares = [loop.learning_rate_share(n / 1000) for n in range(1001)]
    peak = shares.index(max(shares))
    assert shares[0] == 0 and max(shares) == pytest.approx(1, abs=0.01)
    assert peak / 1000 == pytest.approx(loop.WARMUP_SHARE, abs=0.002)
    assert shares[:peak] == sorted(shares[:peak]) and shares[peak:] == sorted(shares[peak:], reverse=True)
    assert shares[-1] == pytest.approx(0, abs=1e-9)


def test_a_batch_with_an_infinite_gradient_is_left_out(make_config):
    config, seen = make_config(iterations=4), []

    def one_bad(model, batch):
        weights = torch.cat([p.flatten() for p in model.parameters()])
        seen.append(weights.detach())
        # The second is finite itself; its gradient is not.
        bad = (0 * weights).abs().sqrt() if len(seen) == 2 else 0 * weights
        return loss(model, batch) | {"bad": bad.sum()}

    averaged = run(config, one_bad)
    assert torch.equal(seen[1], seen[2]) and not torch.equal(seen[2], seen[3])
    assert all(weight.isfinite().all() for weight in averaged.parameters())
    assert (checkpoint(config)["steps"], checkpoint(config)["skipped"]) == (4, 1)


def test_too_many_of_them_stop_the_run(make_config, monkeypatch):
    monkeypatch.setattr(loop, "COUNTED_FROM", 5)

    def bad(model, batch):
        weights = torch.cat([p.flatten() for p in model.parameters()])
        return loss(model, batch) | {"bad": (0 * weights).abs().sqrt().sum()}

    with pytest.raises(ConfigError, match="5 of 5 steps had gradients that are not finite"):
        run(make_config(iterations=9), bad)
