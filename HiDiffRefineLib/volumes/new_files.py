"""Files that take the place of older ones as a whole or not at all: the way to write any file."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from HiDiffRefineLib.errors import FileError


@contextmanager
def new_files(*paths: Path | None) -> Iterator[list[Path | None]]:
    """Where to write new content for files, which stay as they were until all of it is good.

    Each new file lies in a hidden folder beside the old one, under the same name. The block writes it, and
    reads it back where something other than Python wrote it. After the block the content is forced onto the
    disk; then all files are renamed. The new ones keep the old ones' permissions. Where a path is a link,
    what it leads to is replaced.

    Args:
        paths: files in folders that exist; None for one that is not wanted, which stays None.

    Raises:
        FileError: a file that may not or can't be written, by an OSError in the block too; all old files are
            as they were.
    """
    try:
        with ExitStack() as stack:
            places: dict[Path, Path] = {}
            for path in filter(None, paths):
                check_writable(path)
                folder = stack.enter_context(TemporaryDirectory(prefix=".", dir=_target(path).parent))
                places[path] = Path(folder) / path.name
            yield [places[path] if path else None for path in paths]
            for path, new in places.items():
                _keep_permissions(_target(path), new)
                _sync(new)
            _rename_all([(new, _target(path)) for path, new in places.items()])
    except BrokenPipeError:  # of the standard output: no file's fault
        raise
    except OSError as error:
        raise not_written(paths, error) from error


def _rename_all(pairs: list[tuple[Path, Path]]) -> None:
    """All files into place, or none: where a later one is refused, as one that another program has open on
    Windows, the old ones come back."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for new, target in pairs:
            aside = None
            if len(pairs) > 1 and target.exists():
                (new.parent / ".aside").mkdir()
                aside = new.parent / ".aside" / target.name
                try:
                    os.link(target, aside)
                except OSError:  # a file system without links
                    shutil.copy2(target, aside)
            os.replace(new, target)
            done.append((target, aside))
    except OSError:
        for target, aside in done:
            if aside is None:
                target.unlink()
            else:
                os.replace(aside, target)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file and reads it back; see `new_files`.

    Raises:
        FileError: as there.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)  # a pipe or a device has nothing to lose
        return
    with new_files(path) as [new]:
        new.write_bytes(content)
        if new.read_bytes() != content:
            raise OSError(errno.EIO, "read back, it is not the same")


def check_writable(path: Path) -> None:
    """Refuses a file (FileError) that may not be written, before long work is done for it."""
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:  # a name too long, links in a circle
        raise not_written((path,), error) from error
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device
        if not os.access(path, os.W_OK):
            raise _refused(path, "you may not write to it", "Choose another name.")
        return
    if path.is_dir():
        raise _refused(path, "it is a folder", "Choose another name.")
    target = _target(path)
    if not target.parent.is_dir():
        raise _refused(path, "its folder does not exist", "Create the folder first.")
    if not os.access(target.parent, os.W_OK):
        raise _refused(path, "you may not write to its folder", "Choose another folder.")
    if target.exists() and not os.access(target, os.W_OK):
        raise _refused(path, "it is write-protected", "Choose another name.")


def not_written(paths: tuple[Path | None, ...], error: OSError) -> FileError:
    """What the system's refusal to write files means."""
    names = " and ".join(f"'{path.name}'" for path in paths if path)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    remedy = "Check that its disk has space left." if full else "Choose another folder."
    return FileError(f"{names} could not be written ({error.strerror or error}).", remedy)


def _refused(path: Path, why: str, remedy: str) -> FileError:
    return FileError(f"'{path.name}' could not be written: {why}.", remedy)


def _target(path: Path) -> Path:
    """The file itself, behind any links."""
    return Path(os.path.realpath(path))


def _sync(path: Path) -> None:
    """Forces a file onto the disk, where its file system knows how to: some of networks don't."""
    with path.open("r+b") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise


def _keep_permissions(old: Path, new: Path) -> None:
    if not old.exists():
        return
    shutil.copymode(old, new)
    if os.name == "posix":
        was = old.stat()
        # Who is administrator works for others, as in a container; else the group is all that one may give.
        with suppress(PermissionError):
            os.chown(new, was.st_uid if os.geteuid() == 0 else -1, was.st_gid)
