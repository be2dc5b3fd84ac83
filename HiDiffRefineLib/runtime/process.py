"""The worker process's main.

It is started with a pipe on stdin, on which come, one line of JSON each, orders (the address to listen at,
and the key without which nobody is heard) and the names of all shared memory that the client has. The end of
stdin is the end of the client, hence of the worker and of that memory.

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
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener

from HiDiffRefineLib.runtime import shared
from HiDiffRefineLib.runtime.link import FORKS

# Time for a worker to go after its client has gone.
LEAVE_S = 3.0


def main() -> None:
    """Carries out orders until stdin ends."""
    # Without torch there is no job, but there is an answer.
    with suppress(ImportError):
        import HiDiffRefineLib.inference.engine  # noqa: F401
    owned: set[str] = set()
    orders = _orders(owned)
    if not FORKS:
        order = next(orders, None)
        threading.Thread(target=_exit_with_stdin, args=(orders, owned), daemon=True).start()
        if order is not None:
            _carry_out(order)
        return
    # Numpy's threads stand still, as this process computes nothing.
    warnings.simplefilter("ignore", DeprecationWarning)
    for order in orders:
        # Never waited for: its number stays its own, and whoever ends it by that number hits no one else.
        if os.fork() == 0:
            _carry_out(order)
            os._exit(0)
    _clean_up(owned)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _orders(owned: set[str]) -> Iterator[dict]:
    """Orders until stdin ends; meanwhile `owned` holds what the client said last."""
    for line in sys.stdin.buffer:
        if not line.endswith(b"\n"):
            return  # the client died while it wrote
        order = json.loads(line)
        if "owned" in order:
            owned.clear()
            owned.update(order["owned"])
        else:
            yield order


def _clean_up(owned: set[str]) -> None:
    """Gives a worker time to go, then takes away what no one else can any more."""
    time.sleep(LEAVE_S)
    for name in owned:
        shared.unlink(name)


def _carry_out(order: dict) -> None:
    from HiDiffRefineLib.runtime.server import Server

    connection = _accept(order["address"], bytes.fromhex(order["authkey"]))
    Server(connection, order["log"]).serve()


def _accept(address: str, authkey: bytes) -> Connection:
    """The first connection that knows the key."""
    with Listener(address, authkey=authkey) as listener:
        while True:
            with suppress(AuthenticationError, EOFError, OSError):
                return listener.accept()


def _exit_with_stdin(orders: Iterator[dict], owned: set[str]) -> None:
    for _ in orders:
        pass  # there is one
    _clean_up(owned)
    os._exit(0)


if __name__ == "__main__":
    main()
