"""Which images are unlike those that a model knows."""

import numpy as np
import pytest

from HiDiffRefineLib.dssm.typicality import QUANTILES, profile, reference_of, unlikeness
from HiDiffRefineLib.errors import VolumeError


def known(seed, level=30.0):
    return np.random.default_rng(seed).normal(level, 5, (4, 8, 8))


def test_images_like_the_known_are_within_the_limit_and_others_beyond():
    seen = np.ones((4, 8, 8), bool)
    profiles = [profile(known(n, 30 + 0.3 * n), seen) for n in range(6)]
    reference = reference_of(profiles)
    assert len(reference["mean"]) == len(reference["spread"]) == len(QUANTILES)
    assert max(unlikeness(one, reference) for one in profiles) == pytest.approx(reference["limit"])
    assert unlikeness(profile(known(9, 60), seen), reference) > reference["limit"]
    # Noise can be likelier than any real image: that is unlike them, too.
    assert unlikeness(profile(known(9, 5), seen), reference) > reference["limit"]


def test_only_what_is_seen_as_a_structure_counts():
    seen, surprise = np.ones((4, 8, 8), bool), known(1)
    seen[:2] = False
    surprise[:2] = 1e6
    np.testing.assert_allclose(profile(surprise, seen), np.quantile(surprise[2:], QUANTILES))


def test_an_image_without_structures_is_unlike_all_and_no_reference():
    nothing, known_ones = np.zeros((4, 8, 8), bool), [profile(known(n), known(n) < 1e9) for n in range(4)]
    reference = reference_of([*known_ones, profile(known(9), nothing)])
    assert reference == reference_of(known_ones)
    assert unlikeness(profile(known(9), nothing), reference) == np.inf
    with pytest.raises(VolumeError, match="none of its structures"):
        reference_of([profile(known(9), nothing)])
