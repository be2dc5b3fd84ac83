"""The worker process's main.

It is started with a pipe on stdin, on which orders come, one line of JSON each: the address to listen at, and
the key without which nobody is heard. The end of stdin is the end of the client, hence of the worker.

On Linux each order is carried out by a fork of a process that has imported torch and done nothing else: to
put a new worker in a dead one's place takes a few hundredths of a second. Elsewhere there is one order.
"""

import json
import os
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener

from HiDiffRefineLib.runtime.link import FORKS

# Time for a worker to clean up after its client has gone.
LEAVE_S = 3.0


def main() -> None:
    """Carries out orders until stdin ends."""
    # Without torch there is no job, but there is an answer.
    with suppress(ImportError):
        import HiDiffRefineLib.inference.engine  # noqa: F401
    if not FORKS:
        order = sys.stdin.buffer.readline()
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
        _carry_out(order)
        return
    # Numpy's threads stand still, as this process computes nothing.
    warnings.simplefilter("ignore", DeprecationWarning)
    while order := sys.stdin.buffer.readline():
        # Never waited for: its number stays its own, and whoever ends it by that number hits no one else.
        if os.fork() == 0:
            _carry_out(order)
            os._exit(0)
    time.sleep(LEAVE_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _carry_out(order: bytes) -> None:
    from HiDiffRefineLib.runtime.server import Server

    if not order:
        return
    order = json.loads(order)
    connection = _accept(order["address"], bytes.fromhex(order["authkey"]))
    Server(connection, order["log"]).serve()


def _accept(address: str, authkey: bytes) -> Connection:
    """The first connection that knows the key."""
    with Listener(address, authkey=authkey) as listener:
        while True:
            with suppress(AuthenticationError, EOFError, OSError):
                return listener.accept()


def _exit_with_stdin() -> None:
    sys.stdin.buffer.read()
    time.sleep(LEAVE_S)
    os._exit(0)


if __name__ == "__main__":
    main()
