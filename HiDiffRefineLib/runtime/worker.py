"""The worker as its client sees it: jobs go in, answers come out, and a worker that dies is replaced.

No thread waits here. Whoever looks at a job's answers moves things on, so a timer of a user interface is
enough; between two looks nothing happens but in the worker.
"""

import itertools
import os
import sys
import tempfile
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import WorkerError
from HiDiffRefineLib.inference.messages import Request
from HiDiffRefineLib.runtime.heartbeat import Heartbeat
from HiDiffRefineLib.runtime.link import Link, LinkLostError
from HiDiffRefineLib.runtime.models import WorkerEngine, WorkerModels
from HiDiffRefineLib.runtime.wire import (
    Answered,
    Begun,
    Close,
    Ended,
    Failed,
    Job,
    Notice,
    OpenVolume,
    Progressed,
)

RESTARTED = (
    "The worker process ended unexpectedly. It is started again and repeats the work: nothing is lost."
)
# A cold disk may take so long to give out torch.
START_S = 180.0
# Workers that may die before they touch a job: killed while idle, or just started.
MOST_LOSSES = 3


@dataclass(eq=False)
class PendingJob:
    """A job on its way.

    Args:
        job: as the worker gets it.
        inbox: what came of it and nobody has seen yet.
        ended: whether nothing more will come.
        seen: answers that came, from all workers that had it.
        begun: whether the worker that has it now works on it.
        counted: answers that came from that worker.
        deaths: workers that died while they worked on it.
        losses: workers that died before they did.
    """

    job: Job
    inbox: deque = field(default_factory=deque)
    ended: bool = False
    seen: int = 0
    begun: bool = False
    counted: int = 0
    deaths: int = 0
    losses: int = 0


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


class Worker:
    """A process that owns torch and the GPU.

    It starts when first needed, or with `start`; use it as a context manager or `stop` it. All calls come
    from one thread.

    Args:
        python: path of an interpreter with torch; None for this one. In 3D Slicer: PythonSlicer.
        notify: told, in one sentence each, what the user should know: a restart, a GPU that is full. It is
            called while a job's answers are looked at, so it must return at once and call nothing here.
        log: file for what goes wrong inside; None for one in the temporary folder.
    """

    def __init__(
        self,
        python: str | None = None,
        notify: Callable[[str], None] = _warn,
        log: Path | None = None,
    ):
        if log is None:
            try:
                handle, log = tempfile.mkstemp(prefix="hidiffrefine-", suffix=".log")
            except OSError as error:
                raise WorkerError(
                    f"The worker's log can't be written ({error.strerror or error}).",
                    "Make room in the folder of temporary files, or set TMPDIR to another one.",
                ) from error
            os.close(handle)
        self.log = Path(log)
        self.notify = notify
        self._link = Link(python or sys.executable, self.log)
        self._heartbeat = Heartbeat(self._link)
        self._numbers = itertools.count(1)
        self._pending: dict[int, PendingJob] = {}
        self._engines: weakref.WeakSet[WorkerEngine] = weakref.WeakSet()

    def __enter__(self) -> "Worker":
        self.start()
        return self

    def __exit__(self, *error) -> None:
        self.stop()

    def models(self, bundle: str | Path, device: str = "auto", mode: str = "segmentor") -> WorkerModels:
        """Models for `RefinementSession`, by a bundle's name or folder.

        Args:
            device: auto, cuda, mps or cpu.
            mode: what gives the prior: "segmentor", or "dssm" for the one-shot answer.

        Raises:
            BundleError: no such bundle.
        """
        return WorkerModels(self, load_bundle(bundle), device, mode)

    @property
    def ready(self) -> bool:
        """Whether the process is there and has imported torch."""
        if self._link.ordered_at is not None:
            self.attend(0)
        return self._link.connected

    @property
    def pid(self) -> int | None:
        """Number of the process that computes; None as long as it has not said so."""
        return self._link.pid

    def start(self) -> None:
        """Starts the process if there is none, and does not wait for it."""
        if self._link.ordered_at is None:
            try:
                self._link.order()
            except LinkLostError:
                self._lost()

    def stop(self) -> None:
        """Ends the process, whatever it does; the GPU is free then. A job begins a new one."""
        for pending in self._pending.values():
            self._fail(pending, "The worker was stopped.", "Do it again.")
        self._pending.clear()
        self._link.close()
        self._heartbeat.begin()
        for engine in list(self._engines):
            engine.unshare()
        if self.log.exists() and not self.log.stat().st_size:
            self.log.unlink()

    def ping(self, timeout_s: float = START_S) -> float:
        """Seconds that the worker takes to answer, started if there is none.

        Raises:
            WorkerError: it does not.
        """
        end = time.monotonic() + timeout_s
        for _ in range(MOST_LOSSES):
            self.start()
            while self._link.ordered_at is not None and time.monotonic() < end:
                if not self.ready:
                    time.sleep(0.01)
                    continue
                asked = time.monotonic()
                self._heartbeat.ask()
                while self._link.connected and not self._heartbeat.answered and time.monotonic() < end:
                    self.attend(0.1)
                if self._link.connected and self._heartbeat.answered:
                    return time.monotonic() - asked
        raise WorkerError("The worker does not answer.", f"Start it again; if it stays, see {self.log}.")

    def submit(self, opened: OpenVolume, request: Request) -> PendingJob:
        """Puts a job in the queue."""
        self._own()  # it may keep probabilities of further regions
        pending = PendingJob(Job(next(self._numbers), opened, request))
        self._pending[pending.job.number] = pending
        if self._link.connected:
            self._link.send(pending.job)
        return pending

    def drop(self, pending: PendingJob) -> None:
        """Cancels a job if it has not ended."""
        number = pending.job.number
        if self._pending.pop(number, None) and not pending.ended and self._link.connected:
            waits = any(other < number for other in self._pending)
            self._heartbeat.cancel(number, waits)

    def forget(self, key: str) -> None:
        """Has the worker give back what it holds of a volume."""
        if self._link.connected:
            self._link.send(Close(key))

    def remember(self, engine: WorkerEngine) -> None:
        """Has an engine's shared memory taken away when the worker stops, and when this process dies."""
        self._engines.add(engine)
        self._own()

    def attend(self, timeout_s: float) -> None:
        """Moves things on, waiting so long for news."""
        try:
            if self._link.ordered_at is None:
                self._link.order()
            if not self._link.connected and not self._connect():
                time.sleep(min(timeout_s, 0.01))
                return
            for message in self._link.receive(timeout_s):
                self._take(message)
            self._heartbeat.check()
        except LinkLostError:
            self._lost()

    def _own(self) -> None:
        self._link.own([key for engine in self._engines for key in engine.keys])

    def _connect(self) -> bool:
        if not self._link.connect():
            if time.monotonic() - self._link.ordered_at > START_S:
                raise LinkLostError
            return False
        self._heartbeat.begin()
        for pending in self._pending.values():
            self._link.send(pending.job)
        return True

    def _take(self, message: object) -> None:
        self._heartbeat.heard(message)
        match message:
            case Notice(text):
                self.notify(text)
            case Begun(number):
                self._heartbeat.begun(number)
                if number in self._pending:
                    self._pending[number].begun = True
            case Answered(number) if number in self._pending:
                pending = self._pending[number]
                pending.counted += 1
                # A worker that repeats a job gives the same answers: they are not told twice.
                if pending.counted > pending.seen:
                    pending.seen += 1
                    pending.inbox.append(message)
            case Progressed(number) if number in self._pending:
                self._pending[number].inbox.append(message)
            case Ended(number) | Failed(number):
                self._heartbeat.ended(number)
                pending = self._pending.pop(number, None)
                if pending is not None:
                    pending.inbox.append(message)
                    pending.ended = True

    def _lost(self) -> None:
        """The worker is gone; who waits for a job gets a new one, the job that two have died of excepted."""
        stuck = self._heartbeat.stuck
        self._link.drop()
        self._heartbeat.begin()
        # What was cancelled and would not end is no fault of the job that waits for it.
        if self._pending and not stuck:
            self._blame(next(iter(self._pending.values())))
        for pending in self._pending.values():
            pending.begun, pending.counted = False, 0

    def _blame(self, pending: PendingJob) -> None:
        if pending.begun:
            pending.deaths += 1
            if pending.deaths == 1:
                self.notify(RESTARTED)
                return
            message = "The worker process ended twice over this, and nothing was changed."
        else:
            pending.losses += 1
            if pending.losses < MOST_LOSSES:
                return
            message = "The worker process cannot be started."
        del self._pending[pending.job.number]
        self._fail(pending, message, f"Try again; if it stays, report it with the file {self.log}.")

    def _fail(self, pending: PendingJob, message: str, remedy: str) -> None:
        pending.inbox.append(Failed(pending.job.number, "WorkerError", message, remedy))
        pending.ended = True
