"""The table of a training step's parts runs, on a CPU too."""

import sys

import numpy as np

from HiDiffRefineLib.networks import edit_refiner
from HiDiffRefineLib.training.cases import Case, save_cases
from Testing.benchmarks import session_training


def test_every_part_has_a_row(tmp_path, monkeypatch, capsys):
    labels = np.zeros((12, 40, 40), np.uint8)
    labels[3:9, 5:15, 5:15] = 1
    save_cases(tmp_path / "one.npy.xz", [Case("one", 90 * labels, labels, np.diag([1.5, 1.5, 4, 1.0]))])
    small = {"channels": (8, 8, 8, 8), "blocks": (1, 1, 1, 1), "light": (8, 8, 8)}
    monkeypatch.setattr(session_training, "EditRefiner", lambda: edit_refiner.EditRefiner(**small))
    monkeypatch.setattr(session_training, "CONVOLUTIONS", ((8, 8),))
    words = ["--cases", str(tmp_path / "one.npy.xz"), "--device", "cpu", "--eager", "--batch", "2"]
    words += ["--patch", "16", "32", "32", "--count", "1", "--matrix", "64"]
    monkeypatch.setattr(sys, "argv", ["session_training.py", *words])
    session_training.main()
    rows = capsys.readouterr().out.splitlines()[1:]
    names = ("matrix", "convolution", "network", "optimisers", "samples", "hint", "evidence", "condition")
    for name, line in zip((*names, "merge", "losses"), rows, strict=True):
        assert line.startswith(name) and float(line[34:43]) >= 0
