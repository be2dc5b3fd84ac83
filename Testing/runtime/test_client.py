"""A client without torch, and what is left when a client dies."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from HiDiffRefineLib.runtime import shared

REPOSITORY = Path(__file__).resolve().parents[2]


def run(bundle, *arguments) -> dict:
    command = [sys.executable, "-m", "Testing.runtime.client", str(bundle), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", timeout=120)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_a_session_with_a_worker_never_imports_torch(tiny):
    assert run(tiny) == {"previews": 2, "torch": False, "monai": False}


def test_neither_worker_nor_memory_outlives_its_client(tiny):
    left = run(tiny, "die")
    end = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in left["pids"]):
        assert time.monotonic() < end
        time.sleep(0.1)
    for name in left["memory"]:
        with pytest.raises(FileNotFoundError):
            shared.attach(name)
