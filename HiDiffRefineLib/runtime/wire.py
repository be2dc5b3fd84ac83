"""Messages between the client and the worker process, as bytes: our own dataclasses of arrays, no others.

Pickle carries them, over a connection whose both ends have proved to know the key, and takes nothing but
what is defined in this library. Bool arrays travel as bits: a preview is then eight times smaller.
"""

import io
import pickle
from dataclasses import dataclass

import numpy as np

from HiDiffRefineLib.inference.messages import Request


@dataclass(frozen=True, eq=False)
class OpenVolume:
    """A volume in shared memory and the models in front of it.

    Args:
        key: name of the shared memory.
        shape: (k, j, i).
        dtype: numpy's name of the voxels' type.
        ijk_to_ras, name, modality: as for `Volume`.
        bundle: folder of the segmentor's bundle.
        device: name of the device, or "auto".
        mode: what gives the prior, "segmentor" or "dssm".
    """

    key: str
    shape: tuple[int, int, int]
    dtype: str
    ijk_to_ras: np.ndarray
    name: str
    modality: str
    bundle: str
    device: str
    mode: str


@dataclass(frozen=True)
class Job:
    """Something to compute."""

    number: int
    opened: OpenVolume
    request: Request


@dataclass(frozen=True)
class Cancel:
    """A job whose answers nobody waits for."""

    number: int


@dataclass(frozen=True)
class Close:
    """A volume that is done with."""

    key: str


@dataclass(frozen=True)
class Ping:
    """Are you there?"""


@dataclass(frozen=True)
class Hello:
    """The worker's first words: its process number."""

    pid: int


@dataclass(frozen=True)
class Pong:
    """The worker is there, and this many seconds ago its work made the last step; 0 if it has none."""

    still_s: float


@dataclass(frozen=True)
class Begun:
    """A job's turn has come."""

    number: int


@dataclass(frozen=True)
class Progressed:
    """The share of a job that is done, and what is being done."""

    number: int
    share: float
    what: str


@dataclass(frozen=True)
class Answered:
    """One answer of an engine."""

    number: int
    answer: object


@dataclass(frozen=True)
class Ended:
    """A job is over, cancelled ones too."""

    number: int


@dataclass(frozen=True)
class Failed:
    """A job is over by an error: its class's name in `errors`, and its words."""

    number: int
    kind: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Notice:
    """A sentence for the user."""

    text: str


def dumps(message: object) -> bytes:
    """A message as bytes."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(message)
    return buffer.getvalue()


def loads(content: bytes) -> object:
    """A message back.

    Raises:
        pickle.UnpicklingError: it holds what this library did not define.
    """
    return _Unpickler(io.BytesIO(content)).load()


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing):
        if isinstance(thing, (np.ndarray, np.generic)):
            array = np.ascontiguousarray(thing)
            content = np.packbits(array) if array.dtype == bool else array
            return _array, (array.dtype.str, np.shape(thing), content.tobytes())
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if module.startswith("HiDiffRefineLib.") or (module, name) == ("builtins", "slice"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a message")


def _array(dtype: str, shape: tuple, content: bytes) -> np.ndarray | np.generic:
    size = int(np.prod(shape))
    if dtype == np.dtype(bool).str:
        array = np.unpackbits(np.frombuffer(content, np.uint8), count=size).view(bool)
    else:
        array = np.frombuffer(content, dtype).copy()
    return array.reshape(shape)[()]
