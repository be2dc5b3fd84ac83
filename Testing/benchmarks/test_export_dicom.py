"""The benchmark of the DICOM export runs."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("export_dicom.py")


def test_every_encoding_has_a_row(data_dir):
    command = [sys.executable, str(SCRIPT), "--data", str(data_dir), "--shape", "20x48x48"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.replace("FROM A FILE", "FILE").split() for line in done.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["BINARY", "LABELMAP", "FRACTIONAL", "FILE"]
    assert all(float(value) > 0 for row in rows for value in (row[1], row[3], row[5]))
