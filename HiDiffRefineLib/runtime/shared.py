"""Arrays in memory that two processes share, which lives until it is unlinked, whoever dies.

Python's resource tracker would take the memory away as soon as the first process that used it ends, and a
worker may end at any moment; hence it is kept out.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

from HiDiffRefineLib.errors import WorkerError

# Where Linux keeps it. Writing beyond what is free there would kill the process.
_FOLDER = "/dev/shm"


def create(name: str, size: int) -> SharedMemory:
    """New shared memory of at least `size` bytes.

    Raises:
        WorkerError: there is not enough.
    """
    if os.path.isdir(_FOLDER) and shutil.disk_usage(_FOLDER).free < size + 2**20:
        raise _full(size)
    try:
        with _untracked() as arguments:
            return SharedMemory(name, create=True, size=size, **arguments)
    except OSError as error:
        raise _full(size) from error


def attach(name: str) -> SharedMemory:
    """Shared memory by its name.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    with _untracked() as arguments:
        return SharedMemory(name, **arguments)


def unlink(name: str) -> None:
    """Takes shared memory away, for whoever attaches from now on; no matter if there is none."""
    with suppress(FileNotFoundError):
        memory = attach(name)
        memory.close()
        with _untracked():
            memory.unlink()


def _full(size: int) -> WorkerError:
    return WorkerError(
        f"There is no room for the image in shared memory ({size / 2**20:.0f} MiB).",
        "Close other programs or volumes; in a container, enlarge /dev/shm (--shm-size).",
    )


@contextmanager
def _untracked() -> Iterator[dict]:
    """Arguments of `SharedMemory`, and nothing for the resource tracker meanwhile."""
    if sys.version_info >= (3, 13):
        yield {"track": False}
        return
    kept = resource_tracker.register, resource_tracker.unregister
    resource_tracker.register = resource_tracker.unregister = lambda name, kind: None
    try:
        yield {}
    finally:
        resource_tracker.register, resource_tracker.unregister = kept
