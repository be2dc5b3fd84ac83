"""What a crash left behind is found by who opens the same volume again, and by nobody else."""

import os
import subprocess
import sys
import time

import numpy as np

from HiDiffRefineLib.session.recovery import KEPT_DAYS, hold, left_behind, unheld
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume
from Testing.session.acting import noise

HOLD = """
import sys, time
from pathlib import Path
from HiDiffRefineLib.session.recovery import hold
file = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def left(folder, pipeline, name="1.jsonl"):
    """The volume of a session that nobody closed."""
    session = RefinementSession(noise(1), pipeline, folder / name)
    session.set_prior(np.zeros(session.engine.volume.array.shape, bool), "one")
    return session.engine.volume


def test_the_newest_of_the_same_grid_is_found(tmp_path, pipeline):
    assert left_behind(tmp_path / "absent", noise(1)) is None
    volume = left(tmp_path, pipeline)
    os.utime(tmp_path / "1.jsonl", (time.time() - 60,) * 2)
    left(tmp_path, pipeline, "2.jsonl")
    found = left_behind(tmp_path, volume)
    assert found.path.name == "2.jsonl" and found.bundle == "tiny" and abs(found.time_s - time.time()) < 30
    moved = Volume(volume.array, volume.ijk_to_ras + 1)
    for other in (
        moved,
        Volume(volume.array[1:], volume.ijk_to_ras),
        volume.like(volume.array.astype(float)),
    ):
        assert left_behind(tmp_path, other) is None


def test_what_is_empty_damaged_or_of_another_format_is_passed_by(tmp_path, pipeline):
    volume = left(tmp_path, pipeline)
    whole = (tmp_path / "1.jsonl").read_bytes()
    first = whole.splitlines(keepends=True)[0]
    for content in (b"", first, b"a letter\n\n", first.replace(b"tiny", b"tidy") + b"x\n"):
        (tmp_path / "1.jsonl").write_bytes(content)
        assert left_behind(tmp_path, volume) is None
    (tmp_path / "1.jsonl").write_bytes(whole)
    assert left_behind(tmp_path, volume) is not None


def test_a_journal_that_cannot_be_opened_hides_no_other(tmp_path, pipeline):
    volume = left(tmp_path, pipeline)
    os.utime(tmp_path / "1.jsonl", (time.time() - 60,) * 2)
    (tmp_path / "2.jsonl").mkdir()  # as of another user, whom root's rights would let in
    assert left_behind(tmp_path, volume).path.name == "1.jsonl"


def test_what_nobody_asked_for_is_deleted(tmp_path, pipeline):
    volume = left(tmp_path, pipeline)
    os.utime(tmp_path / "1.jsonl", (time.time() - (KEPT_DAYS + 1) * 86400,) * 2)
    assert left_behind(tmp_path, volume) is None and not list(tmp_path.iterdir())


def test_a_journal_belongs_to_its_program_until_that_ends(tmp_path, pipeline):
    volume, path = left(tmp_path, pipeline), tmp_path / "1.jsonl"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        assert hold(path) is None and left_behind(tmp_path, volume) is None
    finally:
        other.kill()  # a crash
        other.wait()
        other.stdout.close()
    assert left_behind(tmp_path, volume).path == path


def test_what_a_program_holds_is_not_left_behind(tmp_path):
    for name in ("held", "left"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    with hold(tmp_path / "held.jsonl"):
        assert unheld(tmp_path) == [tmp_path / "left.jsonl"]
    assert len(unheld(tmp_path)) == 2 and unheld(tmp_path / "none") == []
