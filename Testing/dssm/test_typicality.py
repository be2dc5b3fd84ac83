"""Which images are unlike those that a model knows."""

import numpy as np
import pytest

from HiDiffRefineLib.dssm.typicality import QUANTILES, profile, reference_of, unlikeness


def known(seed, level=30.0):
    return np.random.default_rng(seed).normal(level, 5, (4, 8, 8))


def test_images_like_the_known_are_within_the_limit_and_others_beyond():
    image = np.ones((4, 8, 8))
    profiles = [profile(known(n, 30 + 0.3 * n), image) for n in range(6)]
    reference = reference_of(profiles)
    assert len(reference["mean"]) == len(reference["spread"]) == len(QUANTILES)
    assert max(unlikeness(one, reference) for one in profiles) == pytest.approx(reference["limit"])
    assert unlikeness(profile(known(9, 60), image), reference) > reference["limit"]
    # Noise can be likelier than any real image: that is unlike them, too.
    assert unlikeness(profile(known(9, 5), image), reference) > reference["limit"]


def test_air_does_not_count():
    image, surprise = np.ones((4, 8, 8)), known(1)
    image[:2] = 0
    surprise[:2] = 1e6
    np.testing.assert_allclose(profile(surprise, image), np.quantile(surprise[2:], QUANTILES))
    assert np.isfinite(profile(surprise, np.zeros_like(image))).all()
