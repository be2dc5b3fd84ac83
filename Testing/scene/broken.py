"""Odd nodes in slicer-core: a session on each opens and keeps its promises, or is refused in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

from Testing.tally import Tally

RUN = Path(__file__).parents[1] / "run_in_slicer.py"
SCRIPT = Path(__file__).with_name("broken_in_slicer.py")


def scenes(count: int, seed: int) -> Tally | None:
    """So many scenes; None where slicer-core is not installed."""
    command = [sys.executable, str(RUN), str(SCRIPT), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120 + 2 * count)
    # Were one of them to crash the process, this tells.
    assert done.returncode == 0 and done.stdout, f"ended with {done.returncode}: {done.stderr[-3000:]}"
    told = json.loads(done.stdout)
    return None if "missing" in told else Tally(**told)
