"""Models that run in a worker, and an engine of them for one volume."""

import secrets
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from HiDiffRefineLib import errors
from HiDiffRefineLib.bundles import Bundle, refiner_of
from HiDiffRefineLib.errors import WorkerError
from HiDiffRefineLib.inference.messages import Progress, Request
from HiDiffRefineLib.runtime import shared
from HiDiffRefineLib.runtime.kept import prior_key
from HiDiffRefineLib.runtime.wire import Answered, Failed, OpenVolume, Progressed
from HiDiffRefineLib.volumes.volume import Volume

if TYPE_CHECKING:
    from HiDiffRefineLib.runtime.worker import Worker

# How long one look for news may take where nobody minds.
_LOOK_S = 0.2
# How much is copied at a time, in a few milliseconds.
_COPIED_BYTES = 4 * 2**20


@dataclass
class WorkerModels:
    """See `session.engine.Models`.

    Args:
        device: auto, cuda, mps or cpu.
        mode: "segmentor" or "dssm".
    """

    worker: "Worker"
    bundle: Bundle
    device: str
    mode: str = "segmentor"

    @cached_property
    def refiner_bundle(self) -> Bundle:
        """The class-agnostic refiner that the bundle names, or is."""
        return refiner_of(self.bundle)

    def open(self, volume: Volume) -> "WorkerEngine":
        """An engine for a volume, which is copied when it is first needed."""
        return WorkerEngine(self, volume)


class WorkerEngine:
    """See `session.engine.Engine`."""

    def __init__(self, models: WorkerModels, volume: Volume):
        self.volume = volume
        self.bundle, self.mode = models.bundle, models.mode
        self._models = models
        self._opened: OpenVolume | None = None
        self.keys: set[str] = set()  # of shared memory: the volume's, and for probabilities
        self._unshare = lambda: None

    @property
    def refiner_bundle(self) -> Bundle:
        """The refiner's."""
        return self._models.refiner_bundle

    def run(
        self, request: Request, progress: Progress = lambda share, what: None, wait: bool = True
    ) -> Iterator:
        """Answers to a request, as they come, each once, however many workers it takes.

        Raises:
            HiDiffRefineError: as in the worker; WorkerError if it cannot be started, or ended twice.
        """
        worker = self._models.worker
        worker.start()
        for _ in self._share():
            if not wait:
                yield None
        self.keys.update(prior_key(self._opened.key, roi) for roi in getattr(request, "rois", ()))
        pending = worker.submit(self._opened, request)
        try:
            while pending.inbox or not pending.ended:
                if not pending.inbox:
                    worker.attend(_LOOK_S if wait else 0)
                if pending.inbox:
                    message = pending.inbox.popleft()
                    if isinstance(message, Answered):
                        yield message.answer
                    elif isinstance(message, Progressed):
                        progress(message.share, message.what)
                    elif isinstance(message, Failed):
                        raise getattr(errors, message.kind)(message.message, message.remedy)
                elif not wait:
                    yield None
        finally:
            worker.drop(pending)

    def close(self) -> None:
        """Has the worker forget the volume, and gives the shared memory back; so does the engine's end."""
        self.unshare()

    def unshare(self) -> None:
        """Takes the shared memory away; it is made anew when needed."""
        self._unshare()
        self._opened = None
        self.keys = set()

    def _share(self) -> Iterator[None]:
        """Copies the volume into shared memory, unless it is there; after each few slices it pauses."""
        if self._opened is not None:
            return
        self._unshare()  # a copy that was broken off
        volume, array, key = self.volume, self.volume.array, f"hidiff_{secrets.token_hex(5)}"
        memory = shared.create(key, array.nbytes)
        # It will hold probabilities as well.
        self.keys = {key, prior_key(key, None)}
        worker = self._models.worker
        self._unshare = shared_until = weakref.finalize(self, _take_away, memory, self.keys, worker, key)
        worker.remember(self)
        step = max(1, _COPIED_BYTES * len(array) // array.nbytes)
        for k in range(0, len(array), step):
            slab = np.ascontiguousarray(array[k : k + step])
            start = k * array[0].nbytes
            memory.buf[start : start + slab.nbytes] = slab.reshape(-1).view(np.uint8).data
            yield None
            if not shared_until.alive:
                raise WorkerError("The worker was stopped.", "Do it again.")
        self._opened = OpenVolume(
            key,
            array.shape,
            array.dtype.str,
            np.asarray(volume.ijk_to_ras, float),
            volume.name,
            volume.modality,
            str(self.bundle.folder),
            self._models.device,
            self._models.mode,
        )


def _take_away(memory, keys: set[str], worker: "Worker", key: str) -> None:
    worker.forget(key)
    memory.close()
    for name in keys:
        shared.unlink(name)
