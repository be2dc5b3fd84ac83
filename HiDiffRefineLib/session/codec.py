"""Events of a session as one line of JSON each, and back to the last bit."""

import json
import zlib
from base64 import b64decode, b64encode

import numpy as np

from HiDiffRefineLib.geometry.boxes import whole_box
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.inference.extents import Extents
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session.blocks import Block

# {"crc": of what follows, "event": …}: JSON for every reader, and damage shows.
_LINE = b'{"crc":"%08x","event":%s}'
_START = len(_LINE % (0, b"")) - 1


def encode(event: dict) -> bytes:
    """One line without its end; numbers, texts, lists, blocks and hints may be inside."""
    body = json.dumps(event, default=_plain, separators=(",", ":")).encode()
    return _LINE % (zlib.crc32(body), body)


def decode(line: bytes) -> dict:
    """What `encode` was given, tuples as lists.

    Raises:
        ValueError: a damaged line.
    """
    body = line[_START:-1]
    if line != _LINE % (zlib.crc32(body), body):
        raise ValueError("damaged line")
    return json.loads(body, object_hook=_rich)


def _plain(thing) -> dict:
    if isinstance(thing, Block):
        box = [[side.start, side.stop] for side in thing.box]
        return {"block": box, "bits": b64encode(zlib.compress(thing.packed.tobytes(), 1)).decode()}
    if isinstance(thing, Extents):
        box = [[side.start, side.stop] for side in thing.box]
        return {"extents": box, "first": b64encode(thing.packed).decode()}
    if isinstance(thing, Click):
        return {"click": thing.point_ras.tolist(), "positive": bool(thing.positive)}
    if isinstance(thing, Scribble):
        points, width = thing.points_ras.tolist(), float(thing.width_mm)
        return {"scribble": points, "positive": bool(thing.positive), "width_mm": width}
    if isinstance(thing, Painted):
        paint = Block(whole_box(thing.mask.shape), np.packbits(thing.mask, axis=2))
        return {"paint": paint, "ijk_to_ras": thing.ijk_to_ras.tolist(), "positive": bool(thing.positive)}
    if isinstance(thing, RegionOfInterest):
        return {"around": [float(x) for x in thing.center_ras], "radius_mm": float(thing.radius_mm)}
    raise TypeError(f"{type(thing).__name__} has no place in a journal")


def _rich(found: dict):
    match found:
        case {"block": box, "bits": bits}:
            box = tuple(slice(start, stop) for start, stop in box)
            packed = np.frombuffer(zlib.decompress(b64decode(bits)), np.uint8)
            return Block(box, packed.reshape(*(side.stop - side.start for side in box[:2]), -1))
        case {"extents": box, "first": first}:
            return Extents(tuple(slice(start, stop) for start, stop in box), b64decode(first))
        case {"click": point, "positive": positive}:
            return Click(point, positive)
        case {"scribble": points, "positive": positive, "width_mm": width}:
            return Scribble(points, positive, width)
        case {"paint": paint, "ijk_to_ras": matrix, "positive": positive}:
            return Painted(paint.flips(), matrix, positive)
        case {"around": center, "radius_mm": radius}:
            return RegionOfInterest(tuple(center), radius)
    return found
