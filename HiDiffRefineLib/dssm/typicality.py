"""Whether an image is like those that a model knows, from its map of -log p(v).

A likelihood alone is a poor judge: an image of noise may well be likelier than any real one. What tells is
whether the map looks as it does for known images (typicality, Nalisnick et al. 2019, arXiv 1906.02994): some
quantiles of it, each against its mean and spread over validation images.
"""

from collections.abc import Sequence

import numpy as np

# Of the map within the body.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Darker voxels are air, of which there may be any amount.
DARKEST = 0.02
# A spread smaller than this, in nats, is luck of few validation images.
LEAST_SPREAD = 0.05


def profile(surprise: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The `QUANTILES`, in nats, of a map -log p(v) where the image, in 0…1 and of its shape, is not air."""
    body = surprise[image > DARKEST]
    return np.quantile(body if body.size else surprise, QUANTILES)


def reference_of(profiles: Sequence[np.ndarray]) -> dict:
    """What known images look like: {"mean", "spread", "limit"}, two lists and the largest `unlikeness` met.

    Args:
        profiles: of images that the weights have not seen.
    """
    profiles = np.stack(profiles)
    spread = np.maximum(profiles.std(0), LEAST_SPREAD)
    known = {"mean": profiles.mean(0).tolist(), "spread": spread.tolist()}
    return known | {"limit": max(unlikeness(one, known) for one in profiles)}


def unlikeness(found: np.ndarray, reference: dict) -> float:
    """How many spreads the farthest quantile of a profile lies from where known images have it."""
    return float(np.max(np.abs(found - np.array(reference["mean"])) / np.array(reference["spread"])))
