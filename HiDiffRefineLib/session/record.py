"""The journal as a file: a header that says which volume it belongs to, then one line per event."""

import errno
import os
import warnings
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.session.codec import encode
from HiDiffRefineLib.volumes.volume import Volume

FORMAT = 3
# In format 2 an edit had one answer, and no levels; all else is the same.
READABLE = (2, FORMAT)


class Journal:
    """Appends events to a file; each is on the disk when `append` returns.

    The first failure ends it, with one warning: a gap would make the rest useless. What was written stays.

    Args:
        path: of the file.
        size: bytes of it that are good, its end.
    """

    def __init__(self, path: Path, size: int):
        self.path = path
        self.size = size
        self.problem: str | None = None

    @classmethod
    def create(cls, path: Path, first: dict) -> "Journal":
        """A journal with nothing but its `header`.

        Raises:
            SessionError: the file exists.
        """
        path = Path(path)
        journal = cls(path, 0)
        try:
            path.open("xb").close()
        except FileExistsError as error:
            raise SessionError(
                f"The journal '{path.name}' exists already.",
                "Restore the session from it, or choose another name.",
            ) from error
        except OSError as error:
            journal._fail(error)
        journal.append("session", first)
        return journal

    @classmethod
    def resume(cls, path: Path, size: int) -> "Journal":
        """A journal that goes on after its first `size` bytes; the rest is cut off."""
        journal = cls(Path(path), size)
        try:
            os.truncate(path, size)
        except OSError as error:
            journal._fail(error)
        return journal

    def append(self, event: str, fields: dict) -> None:
        """Writes an event; never raises for a disk that will not take it."""
        if self.problem is not None:
            return
        line = encode({"do": event, **fields}) + b"\n"
        try:
            with self.path.open("r+b") as file:
                if file.seek(0, os.SEEK_END) != self.size:
                    raise OSError(errno.EBUSY, "another program writes to it")
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._fail(error)
        else:
            self.size += len(line)

    def _fail(self, error: OSError) -> None:
        self.problem = (
            f"The journal '{self.path.name}' cannot be written ({error.strerror or error})."
            " The session goes on, but would not survive a crash: save the segmentation now."
        )
        warnings.warn(self.problem, RuntimeWarning, stacklevel=4)


def header(volume: Volume, bundle: str, checksum: int) -> dict:
    """What a journal must agree on with the volume and the model that it is restored with.

    Args:
        checksum: see `examining`.
    """
    return {
        "format": FORMAT,
        "bundle": bundle,
        "shape": list(volume.array.shape),
        "ijk_to_ras": np.asarray(volume.ijk_to_ras, float).tolist(),
        "voxels": [str(volume.array.dtype), checksum],
    }


def read_lines(path: Path) -> tuple[list[bytes], int]:
    """The lines of a journal, header first, and how many bytes of the file they take.

    A last line without an end was torn by a crash and is left out.

    Raises:
        SessionError: the file cannot be read, or ends before the first event.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SessionError(
            f"The journal '{path.name}' cannot be read ({error.strerror}).",
            "Check the path and its permissions.",
        ) from error
    *lines, torn = content.split(b"\n")
    if not lines:
        raise SessionError(
            f"The journal '{path.name}' holds nothing to restore.", "Delete it and start a new session."
        )
    return lines, len(content) - len(torn)


def damaged(path: Path) -> SessionError:
    """The refusal of a journal with something else in it than a session wrote."""
    return SessionError(
        f"The journal '{Path(path).name}' is damaged, or no journal at all.",
        "Choose another journal, or start a new session from the last saved segmentation.",
    )
