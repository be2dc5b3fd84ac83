"""Every file of the library that writes, on a disk that fails: the old file stays, and the refusal says why.

The journal and the worker's log, which grow line by line, have tests of their own (session/test_journal.py,
runtime/test_worker.py).
"""

import errno
import os
import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import update_settings, write_weights
from HiDiffRefineLib.bundles.schema import METADATA_FILE
from HiDiffRefineLib.cli.outputs import write_json
from HiDiffRefineLib.cli.picture import save_picture
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import FileError
from HiDiffRefineLib.evaluation.record import record_hints
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.training.cases import Case, save_cases
from HiDiffRefineLib.training.head_maps import HeadMap, HeadMaps, save_head_maps
from HiDiffRefineLib.training.loop import plot_curves, save_half
from HiDiffRefineLib.training.priors import save_priors
from HiDiffRefineLib.training.synthetic import write_dice
from HiDiffRefineLib.volumes.volume import Volume
from HiDiffRefineLib.volumes.volume_table import write_volume_table
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.dicom.made_up import STORED, write_series
from Testing.evaluation.test_record import measured
from Testing.volumes.full_disk import full_after
from Testing.volumes.samples import SPLEEN

REPOSITORY = Path(__file__).resolve().parents[1]
NOISE = np.random.default_rng(0)


def bundle(folder):
    shutil.copytree(
        REPOSITORY / "models" / "refiner", folder / "b", ignore=shutil.ignore_patterns("*.safetensors")
    )
    return folder / "b"


def weights(folder):
    path = bundle(folder) / "models" / "refiner.safetensors"
    path.parent.mkdir(exist_ok=True)
    return path, lambda: write_weights(folder / "b", "refiner", {"a": torch.rand(9999)})


def settings(folder):
    return bundle(folder) / METADATA_FILE, lambda: update_settings(folder / "b", hints=[])


def card(folder):
    path = bundle(folder) / "docs" / "README.md"
    return path, lambda: record_hints(folder / "b", measured(0.5, 0.6), "Case a, unseen.", "evaluate")


def segmentation(folder):
    path, speckles = folder / "a.seg.nrrd", (NOISE.random((30, 40, 40)) < 0.3).astype(np.uint8)
    return path, lambda: write_segmentation(path, speckles, np.eye(4), [SPLEEN])


def table(folder):
    path = folder / "v.csv"
    row = {"value": 1, "segment": "a", "voxels": 1, "ml": 1.0, "cut": False}
    return path, lambda: write_volume_table(path, [row] * 999)


def figures(folder):
    return folder / "f.json", lambda: write_json(folder / "f.json", {"figures": list(range(3000))})


def picture(folder):
    volume, mask = Volume(NOISE.random((9, 9, 9)), np.eye(4)), np.zeros((9, 9, 9), np.uint8)
    mask[3:6, 3:6, 3:6] = 1
    return folder / "p.png", lambda: save_picture(folder / "p.png", volume, mask, mask, [SPLEEN])


def seg(folder):
    (folder / "series").mkdir()
    series = read_series(write_series(folder / "series"))
    segments = segments_of(np.full(STORED.shape, SPLEEN.value, np.uint8), [SPLEEN])
    return folder / "s.dcm", lambda: export_seg(folder / "s.dcm", series, segments)


def cases(folder):
    image = NOISE.integers(0, 255, (9, 9, 9), np.uint8)
    return folder / "c.xz", lambda: save_cases(folder / "c.xz", [Case("a", image, image, np.eye(4))] * 9)


def priors(folder):
    prior = Prior(torch.rand(3, 19, 19, 19), Grid((19, 19, 19), np.eye(4)))
    return folder / "p.xz", lambda: save_priors(folder / "p.xz", {"a": prior})


def heads(folder):
    head = HeadMap("a", NOISE.integers(0, 255, (19, 19, 19), np.uint8), np.zeros(3))
    maps = HeadMaps(np.arange(256, dtype=np.int16), np.zeros(256, np.uint8), [head])
    return folder / "h.xz", lambda: save_head_maps(folder / "h.xz", maps)


def trained(folder):
    return folder / "w.safetensors", lambda: save_half(torch.nn.Linear(99, 99), folder / "w.safetensors")


def curves(folder):
    log = [{"iteration": n, "loss": n % 7} for n in range(99)]
    return folder / "c.png", lambda: plot_curves(log, folder / "c.png")


def dice(folder):
    names = [f"a structure of the head, number {n}" for n in range(99)]

    def write():
        with redirect_stdout(StringIO()):  # what pytest catches would be a full disk, too
            write_dice(folder / "d.json", {"a": [0.5] * 99}, names)

    return folder / "d.json", write


WRITERS = {
    "bundles/weights.py": [weights, settings],
    "cli/outputs.py": [figures],
    "cli/picture.py": [picture],
    "dicom/export.py": [seg],
    "evaluation/record.py": [card],
    "training/cases.py": [cases],
    "training/head_maps.py": [heads],
    "training/loop.py": [trained, curves],
    "training/priors.py": [priors],
    "training/synthetic.py": [dice],
    "volumes/volume_table.py": [table],
    "volumes/write.py": [segmentation],
}
# In the midst of a command or of training; what writes there is among the others or in its test.
WITHIN = {
    "cli/refine.py": "cli/test_refine.py",
    "cli/segment.py": "cli/test_main.py",
    "foreign/importing.py": "foreign/test_zoo.py",
    "training/session_loop.py": "training/test_session_loop.py",
}
ALL = [write for some in WRITERS.values() for write in some]


def test_every_writer_is_here():
    library = REPOSITORY / "HiDiffRefineLib"
    uses = re.compile(r"(?:with new_files|write_whole)\(")
    files = [file for file in library.rglob("*.py") if uses.search(file.read_text(encoding="utf-8"))]
    found = {file.relative_to(library).as_posix() for file in files}
    assert found - {"volumes/new_files.py"} == {*WRITERS, *WITHIN}
    assert all((REPOSITORY / "Testing" / test).is_file() for test in WITHIN.values())


@pytest.mark.parametrize("write", ALL, ids=lambda write: write.__name__)
@pytest.mark.parametrize("fault", [500, "fsync", "replace"])
def test_the_old_file_stays(tmp_path, monkeypatch, write, fault):
    path, act = write(tmp_path)
    if not path.exists():
        path.write_bytes(b"old")
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())

    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FileError, match="could not be written") as caught:
        if isinstance(fault, int):
            with full_after(fault):
                act()
        else:
            monkeypatch.setattr(os, fault, fails)
            act()
    assert "space left" in caught.value.remedy
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == beside


@pytest.mark.parametrize("write", ALL, ids=lambda write: write.__name__)
def test_without_a_fault_it_is_written(tmp_path, write):
    path, act = write(tmp_path)
    act()
    assert path.stat().st_size > 500
