"""What one edit spends its time on: the parts of `inference.edit` timed from outside."""

import inspect
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

import torch

from HiDiffRefineLib.inference import edit


class Stopwatch:
    """Seconds spent in named parts of a program, each without the parts that it calls."""

    def __init__(self, device: torch.device):
        self.seconds, self.device, self.running = Counter(), device, []

    def _switch(self) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.since
        self.since = now

    def enter(self, part: str) -> None:
        self._switch()
        self.running.append(part)

    def leave(self) -> None:
        self._switch()
        self.running.pop()

    def around(self, function: Callable, part: str) -> Callable:
        """The function, or the generator's steps, timed as that part."""

        def call(*args, **kwargs):
            self.enter(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        def steps(*args, **kwargs):
            iterator = function(*args, **kwargs)
            while True:
                self.enter(part)
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                finally:
                    self.leave()
                yield item

        return steps if inspect.isgeneratorfunction(function) else call


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


CPU = torch.Tensor.cpu
# Functions of `inference.edit`, by the part that they are; the network's `encode` and moves between devices
# are parts of their own.
PARTS = {
    "rasterise": ("hint_channels", "hint_values"),
    "crop": ("region_on", "on_region", "condition"),
    "steps": ("answers",),
    "paste": ("edit_steps", "answering", "native_answer"),
    # After the last preview.
    "levels": ("levels_on_region", "levels_on_image", "extents_of"),
}
COLUMNS = ("rasterise", "crop", "encode", "steps", "paste", "levels", "transfer")


def split(network: torch.nn.Module, device: torch.device, run: Callable[[], object]) -> Counter:
    """Seconds of each part of one edit, the device waited for in between."""
    watch = Stopwatch(device)
    with ExitStack() as patches:
        for part, names in PARTS.items():
            for name in names:
                timed = watch.around(getattr(edit, name), part)
                patches.enter_context(patch.object(edit, name, timed))
        patches.enter_context(patch.object(network, "encode", watch.around(network.encode, "encode")))
        for name in ("to", "cpu"):
            timed = _between_devices(watch, getattr(torch.Tensor, name))
            patches.enter_context(patch.object(torch.Tensor, name, timed))
        run()
    return watch.seconds


def _between_devices(watch: Stopwatch, move: Callable) -> Callable:
    timed = watch.around(move, "transfer")

    def call(tensor, *args, **kwargs):
        goal = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.device)), tensor.device)
        there = torch.device("cpu") if move is CPU else goal
        return (move if there.type == tensor.device.type else timed)(tensor, *args, **kwargs)

    return call
