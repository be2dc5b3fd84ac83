"""Damaged files: refused with a sentence, quickly, and nothing is left half written."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
