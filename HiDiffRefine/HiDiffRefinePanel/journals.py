"""Where sessions are journaled, so that a crash of 3D Slicer loses nothing, and what an earlier one left."""

import os
import time
from contextlib import suppress
from pathlib import Path

import slicer


def new_journal() -> Path:
    """A file that does not exist yet, in the user's own folder: it holds masks of patients."""
    folder = _folder()
    with suppress(OSError):  # the journal itself will say so
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{os.getpid()}-{time.time_ns()}.jsonl"


def leftover_on(volume_node):
    """The `Leftover` of a session on a volume that a crash ended; None if there is none."""
    from HiDiffRefineLib.errors import VolumeError
    from HiDiffRefineLib.scene.volume_nodes import volume_of
    from HiDiffRefineLib.session.recovery import left_behind

    try:
        return left_behind(_folder(), volume_of(volume_node))
    except (VolumeError, OSError):  # said when the volume is used; no folder that can be read
        return None


def kept() -> list[Path]:
    """What crashes have left, on whatever volume."""
    from HiDiffRefineLib.session.recovery import unheld

    try:
        return unheld(_folder())
    except OSError:  # no folder that can be read
        return []


def _folder() -> Path:
    """On this computer: what Windows calls roaming, where the settings are, is copied to servers."""
    local = os.environ.get("LOCALAPPDATA") or Path(slicer.app.slicerUserSettingsFilePath).parent
    return Path(local) / "HiDiffRefine"
