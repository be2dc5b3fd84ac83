"""Damaged files: refused with a sentence, quickly, and nothing is left half written."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import VolumeError
from Testing.dicom.made_up import STORED, write_series
from Testing.volumes.samples import SPLEEN

SCRIPT = Path(__file__).with_name("broken_inputs.py")
COUNT = 1000


def test_a_thousand_broken_inputs(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(COUNT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["faults"] == []
    # An alarm in the midst of a library's work may pass for damage: the clock tells.
    assert told["slowest_s"][0] < 5, told["slowest_s"]
    assert sum(told["outcomes"].values()) == COUNT


@pytest.mark.parametrize("tag", [(0x8, 0x18), (0x8, 0x60), (0x20, 0xE), (0x20, 0x52)])
def test_an_identity_of_no_known_kind(tmp_path, tag):
    folder, seg = tmp_path / "series", tmp_path / "seg.dcm"
    folder.mkdir()
    series = read_series(write_series(folder))
    export_seg(seg, series, segments_of(np.full(STORED.shape, SPLEEN.value, np.uint8), [SPLEEN]))
    for path, read in (
        (seg, lambda: read_seg(seg, series)),
        (min(folder.iterdir()), lambda: read_series(folder)),
    ):
        content = path.read_bytes()
        at = content.index(struct.pack("<HH", *tag)) + 4
        path.write_bytes(content[:at] + b"C\xad" + content[at + 2 :])
        with pytest.raises(VolumeError, match="damaged"):
            read()
