"""Journals that outlived their session, because the program crashed."""

import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

from HiDiffRefineLib.session.codec import decode
from HiDiffRefineLib.session.record import FORMAT, READABLE, header
from HiDiffRefineLib.volumes.volume import Volume

# They hold masks of patients.
KEPT_DAYS = 30
# Of the byte that is locked: so far off that every journal can be read and written.
_FAR = 2**40


class Leftover(NamedTuple):
    """A journal that can be gone on with.

    Args:
        bundle: the model that it was written with.
        time_s: of the last event, since the epoch.
    """

    path: Path
    bundle: str
    time_s: float


def left_behind(folder: Path, volume: Volume) -> Leftover | None:
    """The newest journal in a folder on a volume of this grid and type that no running program holds.

    Whether the voxels are the same shows when it is restored. Old ones that nobody asked for are deleted.
    """
    dated = sorted(((path.stat().st_mtime, path) for path in folder.glob("*.jsonl")), reverse=True)
    for time_s, path in dated:
        held = hold(path)
        if held is None:
            continue
        with held:
            line = held.readline()
            empty = not held.read(1)
        if time.time() - time_s > KEPT_DAYS * 86400:
            path.unlink(missing_ok=True)
        elif not empty and _fits(line, volume):
            return Leftover(path, decode(line[:-1])["bundle"], time_s)
    return None


def unheld(folder: Path) -> list[Path]:
    """All journals in a folder that no running program holds, on whatever volume."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        held = hold(path)
        if held is not None:
            held.close()
            found.append(path)
    return found


def hold(path: Path) -> IO | None:
    """A file that, while open, keeps other programs from a journal; None if one has it or it won't open."""
    try:
        file = path.open("r+b")
    except OSError:
        return None
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _fits(line: bytes, volume: Volume) -> bool:
    try:
        found = decode(line[:-1])
        expected = header(volume, found["bundle"], found["voxels"][1])
    except (LookupError, TypeError, ValueError):
        return False
    return found.get("format") in READABLE and found | {"format": FORMAT} == {"do": "session", **expected}
