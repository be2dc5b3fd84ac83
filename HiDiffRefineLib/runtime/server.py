"""The worker's side of the connection: one thread hears, the main thread computes, job after job."""

import os
import queue
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

import numpy as np

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import MAKE_ROOM, MEMORY_FULL, HiDiffRefineError, is_memory_full
from HiDiffRefineLib.runtime import shared
from HiDiffRefineLib.runtime.kept import SharedPriors
from HiDiffRefineLib.runtime.wire import (
    Answered,
    Begun,
    Cancel,
    Close,
    Ended,
    Failed,
    Hello,
    Job,
    Notice,
    OpenVolume,
    Ping,
    Pong,
    Progressed,
    dumps,
    loads,
)
from HiDiffRefineLib.volumes.volume import Volume


class _CancelledError(Exception):
    pass


class Server:
    """Answers one client until it goes.

    Args:
        log: path of the file to which stderr goes, for the user's eyes.
    """

    def __init__(self, connection: Connection, log: str):
        self._connection = connection
        self._log = log
        self._sending = threading.Lock()
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._last_step: float | None = None
        self._pipelines: dict = {}
        self._engines: dict = {}

    def serve(self) -> None:
        """Works until the client goes; does not return."""
        self._send(Hello(os.getpid()))
        threading.Thread(target=self._hear, daemon=True).start()
        while True:
            message = self._jobs.get()
            if isinstance(message, Close):
                self._close(message.key)
            else:
                self._last_step = time.monotonic()
                self._send(Begun(message.number))
                self._send(self._outcome(message))
                self._last_step = None
                self._cancelled.discard(message.number)

    def _hear(self) -> None:
        try:
            while True:
                message = loads(self._connection.recv_bytes())
                if isinstance(message, Ping):
                    last = self._last_step
                    self._send(Pong(0.0 if last is None else time.monotonic() - last))
                elif isinstance(message, Cancel):
                    self._cancelled.add(message.number)
                else:
                    self._jobs.put(message)
        except (EOFError, OSError):
            self._leave()

    def _outcome(self, job: Job) -> Ended | Failed:
        """Runs a job; its last words."""

        def step() -> None:
            self._last_step = time.monotonic()
            if job.number in self._cancelled:
                raise _CancelledError

        def progress(share: float, what: str) -> None:
            step()
            self._send(Progressed(job.number, share, what))

        try:
            step()
            for answer in self._engine(job.opened).run(job.request, progress):
                step()
                self._send(Answered(job.number, answer))
            return Ended(job.number)
        except _CancelledError:
            return Ended(job.number)
        except HiDiffRefineError as error:
            return Failed(job.number, type(error).__name__, error.message, error.remedy)
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            if "CUDA error" in str(error):
                # Nothing in this process will ever use the GPU again; a new one may.
                os._exit(1)
            return Failed(job.number, "WorkerError", *_sentence(error, self._log))

    def _engine(self, opened: OpenVolume):
        from HiDiffRefineLib.inference.engine import LocalEngine
        from HiDiffRefineLib.inference.models import choose_device
        from HiDiffRefineLib.inference.pipeline import Pipeline

        if opened.key not in self._engines:
            models = opened.bundle, opened.device, opened.mode
            if models not in self._pipelines:
                bundle, device = load_bundle(opened.bundle), choose_device(opened.device)
                self._pipelines[models] = Pipeline(bundle, device, opened.mode)
            memory, priors = shared.attach(opened.key), SharedPriors(opened.key)
            array = np.frombuffer(memory.buf, opened.dtype, int(np.prod(opened.shape))).reshape(opened.shape)
            volume = Volume(array, opened.ijk_to_ras, opened.name, opened.modality)
            engine = LocalEngine(
                volume, self._pipelines[models], lambda text: self._send(Notice(text)), priors
            )
            self._engines[opened.key] = engine, memory, priors
        return self._engines[opened.key][0]

    def _close(self, key: str) -> None:
        if key not in self._engines:
            return  # nothing was computed, perhaps for want of torch
        import torch

        engine, *memory = self._engines.pop(key)
        # Its arrays lie in the memory, which may go when none is left.
        del engine
        del memory
        torch.cuda.empty_cache()

    def _send(self, message: object) -> None:
        try:
            with self._sending:
                self._connection.send_bytes(dumps(message))
        except OSError:
            self._leave()

    def _leave(self) -> None:
        """The client is gone; what it leaves behind is `process`'s business."""
        os._exit(0)


def _sentence(error: Exception, log: str) -> tuple[str, str]:
    """Message and remedy for what no one foresaw."""
    if isinstance(error, ImportError):
        return (
            f"The worker's Python has no module '{error.name}'.",
            "Install the extension's requirements (in 3D Slicer: the PyTorch extension), then try again.",
        )
    if is_memory_full(error):
        return MEMORY_FULL, MAKE_ROOM
    return (
        f"The worker met an error that it does not know ({type(error).__name__}).",
        f"Try again; if it stays, report it with the file {log}.",
    )
