"""A session back from its journal, after a crash or on another day."""

from collections.abc import Generator
from pathlib import Path

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.session.codec import decode
from HiDiffRefineLib.session.engine import Models, model_name, models_of
from HiDiffRefineLib.session.examining import examining, run
from HiDiffRefineLib.session.record import READABLE, Journal, damaged, header, read_lines
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
    return run(restoring(path, volume, bundle))


def restoring(
    path: Path, volume: Volume, bundle: str | Path | Models
) -> Generator[None, None, RefinementSession]:
    """`restore` event by event."""
    path, models = Path(path), models_of(bundle)
    lines, size = read_lines(path)
    checksum = yield from examining(volume)
    _check_header(_decoded(lines[0], path), header(volume, model_name(models), checksum), path)
    session = RefinementSession(volume, models, checksum=checksum)
    for line in lines[1:]:
        event = _decoded(line, path)
        try:
            EVENTS[event.pop("do")](session.state, **event)
        except (LookupError, TypeError, ValueError) as error:
            raise damaged(path) from error
        yield None
    session.journal = Journal.resume(path, size)
    return session


def _decoded(line: bytes, path: Path) -> dict:
    try:
        return decode(line)
    except ValueError as error:
        raise damaged(path) from error


def _check_header(found: dict, expected: dict, path: Path) -> None:
    if found.pop("do", None) != "session":
        raise damaged(path)
    if found.pop("format", None) not in READABLE:
        raise SessionError(
            f"The journal '{path.name}' was written by another version of HiDiffRefine.",
            "Restore it with that version.",
        )
    if found["bundle"] != expected["bundle"]:
        raise SessionError(
            f"The journal '{path.name}' was written with the model '{found['bundle']}'.",
            "Choose that model and restore it again.",
        )
    if found != {name: value for name, value in expected.items() if name != "format"}:
        raise SessionError(
            f"The journal '{path.name}' is about another volume.", "Load the volume that it was made on."
        )
