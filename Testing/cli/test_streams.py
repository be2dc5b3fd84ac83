"""Standard streams that are closed, full or unread, and signals at any moment."""

import os
import runpy
import subprocess
import sys

import pytest

COMMAND = f"{sys.executable} -m HiDiffRefineLib"
GOOD, BAD = "bundles", "import-dicom a.dcm --source . --output b.png"


def run(command, folder):
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, encoding="utf-8", cwd=folder, env=environment
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize(
    "streams, command, status, sentence",
    [
        (">&-", GOOD, 0, ""),
        (">&- 2>&-", GOOD, 0, ""),
        ("2>/dev/full", GOOD, 0, ""),
        (">/dev/full", GOOD, 1, "Error: The standard output can't be written (No space left on device)."),
        (">&-", BAD, 1, "Error: 'b.png' has no extension that can be written."),
        ("2>/dev/full", BAD, 1, ""),
    ],
)
def test_closed_and_full_streams(tmp_path, streams, command, status, sentence):
    done = run(f"{COMMAND} {command} {streams}", tmp_path)
    assert done.returncode == status
    assert sentence in done.stderr if sentence else done.stderr == ""
    assert "Traceback" not in done.stderr + done.stdout and os.listdir(tmp_path) == []


@pytest.mark.parametrize("moment", ["prepare", "main"])
def test_ctrl_c_before_and_after_a_command(monkeypatch, capsys, moment):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "HiDiffRefineLib.cli.streams.prepare", stopped if moment == "prepare" else lambda: None
    )
    monkeypatch.setattr("HiDiffRefineLib.cli.main.main", stopped)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("HiDiffRefineLib", run_name="__main__")
    assert ended.value.code == 130 and capsys.readouterr().err == "Stopped.\n"


def test_a_terminated_command_leaves_nothing_half_done(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    script = """
import os, signal
from pathlib import Path
from HiDiffRefineLib.cli.streams import prepare
from HiDiffRefineLib.volumes.new_files import new_files
prepare()
with new_files(Path("a")) as [new]:
    new.write_bytes(b"new")
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = run(f"{sys.executable} -c '{script}'", tmp_path)
    assert done.returncode == 143 and done.stderr == ""
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"
