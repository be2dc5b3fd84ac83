"""A worker's start: nobody waits for it, and what keeps it from starting is a sentence."""

import os
import sys
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client

import pytest

from HiDiffRefineLib.errors import WorkerError
from HiDiffRefineLib.runtime.server import Server
from HiDiffRefineLib.runtime.worker import Worker
from HiDiffRefineLib.session.session import RefinementSession
from Testing.runtime.clicks import BLINK_S, at


def test_a_log_that_cannot_be_written_is_a_sentence(monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(WorkerError, match="No space left on device") as caught:
        Worker()
    assert "TMPDIR" in caught.value.remedy


def test_starting_is_no_reason_to_wait(tiny, volume, cube):
    worker = Worker()
    session = RefinementSession(volume, worker.models(tiny))
    session.set_prior(cube, "cube")
    session.add_click(at(10, 25, 25))
    edit, start = session.refine(wait=False), time.perf_counter()
    assert next(edit) is None and next(edit) is None and time.perf_counter() - start < 10 * BLINK_S
    worker.stop()
    with pytest.raises(WorkerError, match="was stopped"):
        next(edit)
    assert len(session.pending) == 1
    assert len(list(session.refine())) == 2 and session.mask()[10, 25, 25]
    worker.stop()


def test_a_worker_without_torch_closes_what_it_never_opened(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    Server(None, "log")._close("a volume")


def test_nobody_is_heard_without_the_key(tiny):
    with Worker() as worker:
        while not os.path.exists(worker._link._address):
            time.sleep(0.02)
        with pytest.raises(AuthenticationError):
            Client(worker._link._address, authkey=b"guessed")
        assert worker.ping() < 5


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_a_python_that_cannot_do_it_is_a_sentence(python, tiny, volume, cube):
    worker = Worker(python)
    session = RefinementSession(volume, worker.models(tiny))
    session.set_prior(cube, "cube")
    session.add_click(at(10, 25, 25))
    with pytest.raises(WorkerError, match="cannot be started") as caught:
        list(session.refine())
    assert str(worker.log) in caught.value.remedy and len(session.pending) == 1
    worker.stop()
