"""A session back from its journal, after a crash or on another day."""

from pathlib import Path

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.session.engine import Models, model_name, models_of
from HiDiffRefineLib.session.record import FORMAT, Journal, damaged, header, read_events
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.session.state import EVENTS
from HiDiffRefineLib.volumes.volume import Volume


def restore(path: Path, volume: Volume, bundle: str | Path | Models) -> RefinementSession:
    """The session as it was after the last event that reached the disk: masks, hints, undo and redo.

    No network runs. The session goes on in the same journal.

    Args:
        path: a journal of `RefinementSession`; what a crash tore off its end is removed.
        volume: the one that the session was about.
        bundle: the same as then, see `RefinementSession`.

    Raises:
        SessionError: the journal cannot be read, is damaged, or is about another volume or model.
        VolumeError: as for `RefinementSession`.
    """
    path, models = Path(path), models_of(bundle)
    (first, *events), size = read_events(path)
    _check_header(first, header(volume, model_name(models)), path)
    session = RefinementSession(volume, models)
    try:
        for event in events:
            EVENTS[event.pop("do")](session.state, **event)
    except (LookupError, TypeError, ValueError) as error:
        raise damaged(path) from error
    session.journal = Journal.resume(path, size)
    return session


def _check_header(found: dict, expected: dict, path: Path) -> None:
    if found.pop("do", None) != "session":
        raise damaged(path)
    if found.get("format") != FORMAT:
        raise SessionError(
            f"The journal '{path.name}' was written by another version of HiDiffRefine.",
            "Restore it with that version.",
        )
    if found["bundle"] != expected["bundle"]:
        raise SessionError(
            f"The journal '{path.name}' was written with the model '{found['bundle']}'.",
            "Choose that model and restore it again.",
        )
    if found != expected:
        raise SessionError(
            f"The journal '{path.name}' is about another volume.", "Load the volume that it was made on."
        )
