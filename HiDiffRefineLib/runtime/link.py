"""The client's end: starts the worker process, speaks with it, ends it. Nothing here waits for the worker."""

import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path

from HiDiffRefineLib.runtime.wire import Hello, dumps, loads

# Whether one process carries out any number of orders; see `process`.
FORKS = sys.platform == "linux"
_LIBRARY = Path(__file__).resolve().parents[2]
# As `python -m`, wherever the library lies: Slicer sets a PYTHONPATH of its own. Its folder takes the
# place of the working directory, from which nothing may be imported.
_MAIN = "import sys; sys.path[0] = sys.argv[1]; import HiDiffRefineLib.runtime.process as p; p.main()"
# More at once could keep a user interface waiting.
_MOST_MESSAGES = 50
# For a process to end when told so by force.
_END_S = 5.0


class LinkLostError(Exception):
    """The worker is gone."""


class Link:
    """One worker at a time, and the connection to it.

    Args:
        python: the interpreter.
        log: file that takes what the process writes on stderr.
    """

    def __init__(self, python: str, log: Path):
        self._python = python
        self._log = log
        self._folder: str | None = None
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._outbox: queue.SimpleQueue = queue.SimpleQueue()
        self._owned: list[str] = []
        self.pid: int | None = None
        self.ordered_at: float | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def order(self) -> None:
        """Has a worker started; `connect` tells when it is there.

        Raises:
            LinkLostError: the interpreter cannot be started.
        """
        try:
            if self._process is None or not FORKS or self._process.poll() is not None:
                self._end_process()
                self._start()
            # Each worker has an address and a key of its own: a late one disturbs nobody.
            name = secrets.token_hex(8)
            self._address = os.path.join(self._folder, name)
            if sys.platform == "win32":
                self._address = rf"\\.\pipe\hidiff-{name}"
            self._authkey = secrets.token_bytes(32)
            self._tell({"address": self._address, "authkey": self._authkey.hex(), "log": str(self._log)})
        except OSError as error:
            self._end_process()
            raise LinkLostError from error
        self.ordered_at = time.monotonic()

    def own(self, names: list[str]) -> None:
        """Has the process take all this shared memory away, should this one die: no worker may live then."""
        self._owned = names
        if self._process is not None:
            with suppress(OSError):  # it has ended, which shows elsewhere; the next one is told
                self._tell({"owned": names})

    def connect(self) -> bool:
        """Whether the worker is there, now that it was asked once more.

        Raises:
            LinkLostError: it has ended.
        """
        gone = self._process.poll() is not None
        try:
            self._connection = Client(self._address, authkey=self._authkey)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if gone:
                raise LinkLostError from error
            return False
        except (EOFError, OSError, AuthenticationError) as error:
            raise LinkLostError from error
        self._outbox = queue.SimpleQueue()
        threading.Thread(target=_post, args=(self._connection, self._outbox), daemon=True).start()
        return True

    def send(self, message: object) -> None:
        """Posts a message; a thread brings it, so that a worker that does not listen keeps nobody waiting."""
        self._outbox.put(dumps(message))

    def receive(self, timeout_s: float) -> list:
        """Messages that have come, after waiting for the first so long.

        Raises:
            LinkLostError: there are none, and none will come.
        """
        messages = []
        try:
            while len(messages) < _MOST_MESSAGES and self._connection.poll(timeout_s):
                messages.append(loads(self._connection.recv_bytes()))
                timeout_s = 0
        except (EOFError, OSError) as error:
            if not messages:
                raise LinkLostError from error
        for message in messages:
            if isinstance(message, Hello):
                self.pid = message.pid
        return messages

    def drop(self) -> None:
        """Ends the worker, by force; one may be ordered again."""
        # First the process, then the connection: a worker takes the end of that for the end of its client.
        if FORKS and self.pid is not None and self._process.poll() is None:
            # Dead forks are never waited for, so this number is still its own.
            os.kill(self.pid, signal.SIGKILL)
        else:
            self._end_process()
        if self._connection is not None:
            self._outbox.put(None)
            self._connection.close()
        self._connection = self.pid = self.ordered_at = None

    def close(self) -> None:
        """Ends the worker and removes what is left of it."""
        self.drop()
        self._end_process()

    def _start(self) -> None:
        if sys.platform != "win32" and signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL:
            # Python itself ignores it; a program that Python is embedded in would die with the worker.
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        # Nobody else may look into it.
        self._folder = tempfile.mkdtemp(prefix="hidiff-")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-c", _MAIN, str(_LIBRARY)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl+C in a terminal is for the client.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self._tell({"owned": self._owned})

    def _tell(self, line: dict) -> None:
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()

    def _end_process(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._process is None:
            return
        with suppress(OSError):
            self._process.stdin.close()
        if sys.platform == "win32":
            self._process.kill()
        else:
            # Its forks with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._process = None


def _post(connection: Connection, outbox: queue.SimpleQueue) -> None:
    # TypeError: closed by the other thread while this one was sending.
    with suppress(OSError, TypeError):
        while (content := outbox.get()) is not None:
            connection.send_bytes(content)
