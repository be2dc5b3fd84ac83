"""The benchmark of edits runs, and finds each part of an edit."""

import sys
from pathlib import Path

import torch

from HiDiffRefineLib.networks.refiner import BernoulliRefiner


def test_every_part_of_an_edit_is_timed(monkeypatch, capsys, small_refiner):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import edit

    settings = {"patch_size_kji": [16, 32, 32], "steps": 2, "chain": {"T": 10, "schedule": "cosine"}}
    monkeypatch.setattr(edit, "load", lambda device: (BernoulliRefiner(**small_refiner).eval(), settings))
    monkeypatch.setattr(edit, "matmul_rate", lambda device: 1e12)
    options = ["--device", "cpu", "--sizes", "32x48x48", "24x24x24", "--radii", "10", "--count", "2"]
    monkeypatch.setattr(sys, "argv", ["edit.py", *options])
    edit.main()
    lines = capsys.readouterr().out.splitlines()
    (head,) = (line for line in lines if line.startswith("network") and "paste" in line)
    (row,) = (line for line in lines if line.startswith("eager") and "32x48x48" in line)
    assert not any("24x24x24" in line for line in lines)  # the ball doesn't fit
    figures = dict(zip(head.split()[-10:], map(float, row.split()[-10:]), strict=True))
    assert figures["transfer"] == 0 or torch.cuda.is_available()
    for part in ("rasterise", "crop", "encode", "steps", "paste", "levels"):
        assert figures[part] > 0
    assert [line.split()[1] for line in lines[-2:]] == ["encode", "denoise"]


def test_a_way_that_fails_says_why_in_its_row(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import edit

    def fail(text):
        raise RuntimeError(text)

    assert edit.tried(lambda: fail("\nno memory\nat all")).split() == ["RuntimeError:", "no", "memory"]
    assert edit.tried(lambda: fail("")).split() == ["RuntimeError:"]
