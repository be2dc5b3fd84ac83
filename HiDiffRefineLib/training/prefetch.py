"""Batches made while the network learns from those before."""

from collections.abc import Callable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

import torch

T = TypeVar("T")
# Batches that lie ready.
AHEAD = 2


def prefetched(draw: Callable[[], T], device: torch.device) -> Iterator[T]:
    """What `draw` gives, again and again; on a GPU, drawn by a thread of its own on a stream of its own.

    Args:
        draw: gives a dataclass of tensors on the device. Its errors are raised where the batch is asked for.
    """
    if device.type != "cuda":
        while True:
            yield draw()
    ready, ended = Queue(AHEAD), Event()

    def put(item) -> None:
        while not ended.is_set():
            try:
                return ready.put(item, timeout=1)
            except Full:
                continue

    def work() -> None:
        try:
            torch.cuda.set_device(device)
            stream = torch.cuda.Stream()
            while not ended.is_set():
                with torch.cuda.stream(stream):
                    batch = draw()
                put((batch, stream.record_event()))
        except BaseException as error:  # told where the batch is asked for
            put((error, None))

    Thread(target=work, daemon=True).start()
    try:
        while True:
            batch, done = ready.get()
            if isinstance(batch, BaseException):
                raise batch
            torch.cuda.current_stream().wait_event(done)
            for tensor in vars(batch).values():
                tensor.record_stream(torch.cuda.current_stream())
            yield batch
    finally:
        ended.set()
