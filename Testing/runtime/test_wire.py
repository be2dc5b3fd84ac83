"""Messages come back to the bit, and nothing else than messages comes."""

import json
import pickle
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path

import numpy as np
import pytest

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.inference import messages
from HiDiffRefineLib.inference.messages import EditRequest, Preview, View
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.runtime import wire
from HiDiffRefineLib.runtime.wire import Answered, Failed, MessageError, Pong, dumps, loads


def test_a_request_comes_back():
    rng = np.random.default_rng(0)
    masks = [rng.random((5, 6, 7)) < 0.5 for _ in range(3)]
    region = centered_grid((1, 2, 3), (4, 4, 4), (1, 2, 3))
    view = View(region, (slice(1, 6), slice(0, 6), slice(2, 9)), *masks, None)
    hints = (
        Click((1, 2, 3), np.True_),
        Scribble(np.eye(3), False, np.float32(2)),
        Painted(masks[0], np.eye(4), True),
    )
    request = EditRequest((view,), hints, 3, (RegionOfInterest((1.0, 2, 3), 9),), 2, 0)
    again = loads(dumps(request))
    (same,) = again.views
    assert same.box == view.box and again.rois == request.rois and again.label == 3
    for name in ("mask", "protected", "original"):
        assert np.array_equal(getattr(same, name), getattr(view, name)) and same.mask.dtype == bool
    assert same.others is None and np.array_equal(same.region.ijk_to_ras, region.ijk_to_ras)
    assert np.array_equal(again.hints[2].mask, hints[2].mask) and again.hints[0].positive
    assert np.array_equal(again.hints[1].points_ras, np.eye(3)) and again.hints[1].width_mm == 2


@pytest.mark.parametrize(
    "thing", [np.empty((0, 3)), np.zeros((2, 0, 3), bool), np.float16([1, 2]), np.int64(3)]
)
def test_arrays_of_any_kind_come_back(thing):
    again = loads(dumps(thing))
    assert again.dtype == thing.dtype and again.shape == thing.shape and np.array_equal(again, thing)


def test_bool_arrays_travel_as_bits():
    assert len(dumps(np.ones((64, 64, 64), bool))) < 64**3 / 8 + 200


@pytest.mark.parametrize("number", [float("nan"), float("-inf"), 1 / 3, -0.0, 10**30])
def test_numbers_come_back_to_the_bit(number):
    assert repr(loads(dumps(Pong(number))).still_s) == repr(number)


def test_an_error_comes_back():
    failed = Failed(3, "VolumeError", "It is too small.", "Choose another.")
    assert loads(dumps(failed)) == failed


def test_every_request_and_answer_has_its_place():
    kinds = [kind for kind in vars(messages).values() if isinstance(kind, type) and is_dataclass(kind)]
    assert len(kinds) > 8
    for kind in kinds:
        assert wire._MESSAGES[kind.__name__] is kind


@pytest.mark.parametrize("foreign", [print, Pong, {1: 2}, Path("a"), np.dtype(int), np.array([None]), 1j])
def test_what_is_no_message_is_not_sent(foreign):
    with pytest.raises(TypeError, match="no place"):
        dumps(Answered(1, foreign))


def made(text: object, numbers: bytes = b"") -> bytes:
    """A message by hand."""
    text = json.dumps(text).encode()
    return len(text).to_bytes(8, "little") + text + numbers


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 40,
        pickle.dumps(Pong(1.0)),
        b"[" * 100_000,
        made({"class": "Popen", "args": "true"}),
        made({"class": "HiDiffRefineLib.runtime.link.subprocess.Popen", "args": "true"}),
        made({"class": ["Pong"]}),
        made({"class": "Pong", "still_s": 1, "more": 2}),
        made({"class": "Pong"}),
        made({"class": "Click", "point_ras": [1, 2, float("nan")], "positive": True}),
        made({"array": "|O", "shape": [1], "bytes": [0, 8]}, bytes(8)),
        made({"array": "<U1", "shape": [2], "bytes": [0, 8]}, bytes(8)),
        made({"array": "<f8", "shape": [2], "bytes": [0, 8]}, bytes(8)),
        made({"array": "|b1", "shape": [-4], "bytes": [0, 8]}, bytes(8)),
        made({"array": "|b1", "shape": ["4"], "bytes": [0, 8]}, bytes(8)),
        made({"array": "nonsense", "shape": [1], "bytes": [0, 8]}, bytes(8)),
        made({"array": "<f8", "shape": [10**9, 10**9], "bytes": [0, 8]}, bytes(8)),
        made({"slice": []}),
        made({"tuple": 3}),
        made({"anything": "else"}),
    ],
    ids=lambda content: repr(content[:60]),
)
def test_what_comes_and_is_no_message_is_refused(content):
    with pytest.raises(MessageError, match="no message"):
        loads(content)


def test_random_bytes_give_messages_or_an_error():
    rng = np.random.default_rng(1)
    real = dumps(Preview((slice(0, 2),) * 3, np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool)))
    for _ in range(2000):
        broken = np.frombuffer(real, np.uint8).copy()
        at = rng.integers(len(broken), size=rng.integers(1, 4))
        broken[at] = rng.integers(256, size=len(at))
        with suppress(MessageError):
            assert loads(broken.tobytes()[: rng.integers(len(real) + 1)]) is not None
