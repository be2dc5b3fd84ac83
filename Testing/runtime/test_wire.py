"""Messages come back to the bit, and nothing else than messages comes."""

import pickle

import numpy as np
import pytest

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.inference.messages import EditRequest, View
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.runtime.wire import dumps, loads


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


@pytest.mark.parametrize("foreign", [print, pickle.Pickler, np.dtype(int)])
def test_what_the_library_did_not_define_is_refused(foreign):
    with pytest.raises(pickle.UnpicklingError, match="no place"):
        loads(pickle.dumps(foreign))
