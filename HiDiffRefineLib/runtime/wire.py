"""Messages between the client and the worker process, as bytes: our own dataclasses of arrays, no others.

A message is the length of a JSON text, the text, and the numbers of its arrays. Nothing is unpickled: what
comes can be one of these messages or none. Bool arrays travel as bits: a preview is then eight times smaller.
"""

import json
import math
from dataclasses import dataclass, fields

import numpy as np

from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.inference.extents import Extents
from HiDiffRefineLib.inference.messages import (
    EditRequest,
    LabelMask,
    Place,
    Preview,
    Request,
    SegmentationRequest,
    Uncertainty,
    UncertaintyRequest,
    View,
    WarmUpRequest,
)
from HiDiffRefineLib.inference.roi import RegionOfInterest


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


_MESSAGES = {
    kind.__name__: kind
    for kind in (
        *(
            OpenVolume,
            Job,
            Cancel,
            Close,
            Ping,
            Hello,
            Pong,
            Begun,
            Progressed,
            Answered,
            Ended,
            Failed,
            Notice,
        ),
        *(EditRequest, UncertaintyRequest, SegmentationRequest, WarmUpRequest, View, RegionOfInterest),
        *(Click, Scribble, Painted, Grid, Preview, Extents, Uncertainty, Place, LabelMask),
    )
}
# Kinds of numbers that arrays hold: bool, signed, unsigned, floating.
_NUMBERS = "biuf"


class MessageError(OSError):
    """What came is no message. Whoever sent it is no partner: to both ends, the connection is lost."""


def dumps(message: object) -> bytes:
    """A message as bytes.

    Raises:
        TypeError: a value in it has no place in a message.
    """
    numbers: list[bytes] = []
    text = json.dumps(_plain(message, numbers)).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *numbers])


def loads(content: bytes) -> object:
    """A message back.

    Raises:
        MessageError: it is none.
    """
    try:
        size = 8 + int.from_bytes(content[:8], "little")
        return _value(json.loads(content[8:size]), memoryview(content)[size:])
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, HiDiffRefineError) as error:
        raise MessageError(f"What came is no message: {error!r}") from error


def _plain(thing: object, numbers: list[bytes]) -> object:
    """A value as JSON has it; what is an object there names its kind. Bytes are added to `numbers`."""
    if thing is None or type(thing) in (bool, int, float, str):
        return thing
    if isinstance(thing, list):
        return [_plain(each, numbers) for each in thing]
    if isinstance(thing, tuple):
        return {"tuple": [_plain(each, numbers) for each in thing]}
    if isinstance(thing, slice):
        return {"slice": [_plain(each, numbers) for each in (thing.start, thing.stop, thing.step)]}
    if isinstance(thing, bytes):
        return {"bytes": _added(thing, numbers)}
    if isinstance(thing, (np.ndarray, np.generic)) and thing.dtype.kind in _NUMBERS:
        array = np.ascontiguousarray(thing)
        packed = np.packbits(array) if array.dtype == bool else array
        place = _added(packed.tobytes(), numbers)
        return {"array": array.dtype.str, "shape": list(np.shape(thing)), "bytes": place}
    kind = type(thing).__name__
    if _MESSAGES.get(kind) is not type(thing):
        raise TypeError(f"{kind} has no place in a message")
    # No field can have this name.
    return {"class": kind} | {
        field.name: _plain(getattr(thing, field.name), numbers) for field in fields(thing)
    }


def _added(content: bytes, numbers: list[bytes]) -> list[int]:
    """Where some bytes come to lie: start and stop."""
    start = sum(map(len, numbers))
    numbers.append(content)
    return [start, start + len(content)]


def _value(plain: object, numbers: memoryview) -> object:
    """The value that `_plain` made this of."""
    if isinstance(plain, list):
        return [_value(each, numbers) for each in plain]
    if not isinstance(plain, dict):
        return plain
    if "class" in plain:
        values = {name: _value(each, numbers) for name, each in plain.items() if name != "class"}
        return _MESSAGES[plain["class"]](**values)
    if "tuple" in plain:
        return tuple(_value(each, numbers) for each in plain["tuple"])
    if "slice" in plain:
        return slice(*plain["slice"])
    if "array" in plain:
        return _array(np.dtype(plain["array"]), plain["shape"], numbers[slice(*plain["bytes"])])
    if "bytes" in plain:
        return bytes(numbers[slice(*plain["bytes"])])
    raise ValueError(f"an object of {list(plain)}")


def _array(dtype: np.dtype, shape: list[int], content: memoryview) -> np.ndarray | np.generic:
    if dtype.kind not in _NUMBERS:
        raise TypeError(f"{dtype} has no place in a message")
    if min(shape, default=0) < 0:
        raise ValueError(f"{shape} is no shape")
    if dtype.kind == "b":
        array = np.unpackbits(np.frombuffer(content, np.uint8), count=math.prod(shape)).view(bool)
    else:
        array = np.frombuffer(content, dtype).copy()
    return array.reshape(shape)[()]
