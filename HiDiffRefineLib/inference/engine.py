"""The engine in this process: a volume, its models, and the device that they run on."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.answering import answer
from HiDiffRefineLib.inference.memory import why_on_processor
from HiDiffRefineLib.inference.messages import Progress, Request
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.prepared_volume import PreparedVolume, PriorCache
from HiDiffRefineLib.volumes.volume import Volume


class LocalEngine:
    """A volume in front of a pipeline; see `session.engine.Engine`.

    Where the pipeline's device is full or lacks an operation, a request is answered on the processor.

    Args:
        notify: told once of each such request, and of an image that is unlike those the model knows.
        kept: where the segmentor's probabilities outlive this engine.
    """

    def __init__(
        self,
        volume: Volume,
        pipeline: Pipeline,
        notify: Callable[[str], None] = lambda text: None,
        kept: PriorCache | None = None,
    ):
        self.volume = volume
        self.pipeline = pipeline
        self.grid = Grid(volume.array.shape, volume.ijk_to_ras)
        self.notify = notify
        self._kept = kept or PriorCache()
        self.on_device = PreparedVolume(volume, pipeline, self._kept, notify)

    @property
    def bundle(self) -> Bundle:
        """The segmentor's."""
        return self.pipeline.bundle

    @property
    def mode(self) -> str:
        """What gives the prior."""
        return self.pipeline.mode

    @property
    def refiner_bundle(self) -> Bundle:
        """The refiner's."""
        return self.pipeline.refiner_bundle

    @cached_property
    def on_processor(self) -> PreparedVolume | None:
        """Where to go when the device cannot; None where it is the processor itself."""
        if self.pipeline.device.type == "cpu":
            return None
        return PreparedVolume(self.volume, self.pipeline.on(torch.device("cpu")), self._kept, self.notify)

    def run(
        self, request: Request, progress: Progress = lambda share, what: None, wait: bool = True
    ) -> Iterator:
        """Answers to a request, as they come; all of them computed here, whatever `wait` says."""
        given = 0
        try:
            for found in answer(self.on_device, request, progress):
                given += 1
                yield found
            return
        except Exception as error:
            why = why_on_processor(error)
            if self.on_processor is None or why is None:
                raise
        if self.pipeline.device.type == "cuda":
            torch.cuda.empty_cache()
        self.notify(why)
        for n, found in enumerate(answer(self.on_processor, request, progress)):
            if n >= given:
                yield found

    def close(self) -> None:
        """Nothing to give back but memory, which goes with the engine."""
