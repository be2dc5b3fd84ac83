"""Broken DICOM files: each is read, or refused in a sentence, quickly, and nothing is left half written."""

import json
import os
import subprocess
import sys
from pathlib import Path

from Testing.tally import Tally

SCRIPT = Path(__file__).with_name("broken_inputs.py")


def broken_files(count: int, seed: int, folder: Path) -> dict[str, Tally]:
    """So many images (and sources of exports), and so many segmentations; by kind."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, str(SCRIPT), str(count), str(seed), str(folder)]
    limit = 120 + count
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=limit, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == "", done.stderr[-3000:]
    return {kind: Tally(**told) for kind, told in json.loads(done.stdout).items()}
