"""From single labels to one labelmap."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.inference.compose import (
    NEGLIGIBLE,
    LabelProbability,
    compose,
    label_probability,
    whole_probability,
)
from HiDiffRefineLib.inference.segmentor import Prior

WHOLE = (slice(0, 1), slice(0, 1), slice(0, 6))


def label(value, *probabilities, box=WHOLE) -> LabelProbability:
    return LabelProbability(value, box, np.array([[probabilities]], np.float32))


def test_the_likeliest_wins_and_background_is_what_is_left():
    maps = [
        label(3, 0.60, 0.35, 0.50, 0.0, 0.3, 0.9),
        None,
        label(7, 0.40, 0.40, 0.00, 0.4, 0.3, 0.8),
    ]
    # The fifth: .3, .3 and .4 left for the background.
    assert compose(maps, (1, 1, 6)).tolist() == [[[3, 7, 0, 0, 0, 3]]]


def test_without_labels_all_is_background():
    found = compose([], (2, 3, 4))
    assert found.dtype == np.uint8 and found.shape == (2, 3, 4) and not found.any()


def test_boxes_that_overlap_compete_only_where_they_do():
    first = label(1, 0.9, 0.4, box=(slice(0, 1), slice(0, 1), slice(1, 3)))
    second = label(2, 0.6, 0.7, box=(slice(0, 1), slice(0, 1), slice(2, 4)))
    assert compose([first, second], (1, 1, 5)).tolist() == [[[0, 1, 2, 2, 0]]]


@given(st.integers(0, 1000))
def test_the_order_of_labels_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1] * 4, (3, 4, 5)).astype(np.float32)
    box = (slice(0, 3), slice(0, 4), slice(0, 5))
    maps = [LabelProbability(n, box, shares[..., n]) for n in (1, 2, 3)]
    found = compose(maps, (3, 4, 5))
    assert np.array_equal(found, compose(maps[::-1], (3, 4, 5)))
    clear = np.diff(np.sort(shares, axis=-1)[..., -2:], axis=-1)[..., 0] > 1e-6
    assert np.array_equal(found[clear], shares.argmax(-1)[clear])


def test_whole_probability_places_every_box_of_a_label():
    maps = [
        label(1, 0.2, 0.8, box=(slice(0, 1), slice(0, 1), slice(0, 2))),
        label(1, 0.5, 0.6, box=(slice(0, 1), slice(0, 1), slice(1, 3))),
        label(2, 1.0, box=(slice(0, 1), slice(0, 1), slice(3, 4))),
    ]
    expected = np.array([0.2, 0.8, 0.6, 0], np.float32)
    assert np.array_equal(whole_probability(maps, 1, (1, 1, 4))[0, 0], expected)


def test_moved_boxes_lie_in_the_larger_grid():
    part = (slice(5, 9), slice(2, 6), slice(10, 30))
    moved = label(1, 0.9, 0.9, box=(slice(1, 2), slice(0, 1), slice(3, 5))).moved(part)
    assert moved.box == (slice(6, 7), slice(2, 3), slice(13, 15))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.2, 3), st.tuples(*[st.floats(-3, 3)] * 3))
def test_outside_its_box_a_label_is_negligible(seed, spacing, center):
    rng = np.random.default_rng(seed)
    # Lonely sure voxels: the sharpest borders there can be.
    probabilities = torch.from_numpy(rng.random((2, 6, 7, 8)) < 0.02).half()
    prior = Prior(probabilities, centered_grid((0, 0, 0), (6, 7, 8), (2, 1, 1)))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    native = centered_grid(center, (14, 15, 16), (spacing, spacing, spacing), turn)
    found = label_probability(prior, 1, native)
    expected = prior.resampled(1, native)[0].numpy()
    if found is None:
        assert expected.max() <= NEGLIGIBLE
        return
    whole = whole_probability([found], 1, native.shape_kji)
    beyond = np.ones(native.shape_kji, bool)
    beyond[found.box] = False
    assert expected[beyond].max(initial=0) <= NEGLIGIBLE + 1e-5
    assert whole[~beyond] == pytest.approx(expected[~beyond], abs=5e-4)
    assert (whole[beyond] == 0).all()


def test_a_box_reaches_as_far_as_interpolation_carries_a_probability():
    probabilities = torch.zeros(2, 5, 5, 5)
    probabilities[1, 2, 2, 2] = 1
    prior = Prior(probabilities.half(), centered_grid((0, 0, 0), (5, 5, 5), (3, 3, 3)))
    native = centered_grid((0, 0, 0), (25, 25, 25), (0.5, 0.5, 0.5))
    found = label_probability(prior, 1, native)
    whole = whole_probability([found], 1, native.shape_kji)
    # A tent that falls from 1 to 0 over 3 mm.
    expected = np.maximum(0, 1 - np.abs(np.arange(25) - 12) * 0.5 / 3)
    assert whole[:, 12, 12] == pytest.approx(expected, abs=1e-3)
