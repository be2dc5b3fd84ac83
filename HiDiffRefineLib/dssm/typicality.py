"""Whether an image is like those that a model knows, from its map of -log p(v).

A likelihood alone is a poor judge: an image of noise may well be likelier than any real one. What tells is
whether the map looks as it does for known images (typicality, Nalisnick et al. 2019, arXiv 1906.02994): some
quantiles of it, each against its mean and spread over validation images. Only where the model sees one of its
structures: how much there is of anything else, and of what kind, says nothing of whether those are right.
"""

from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.errors import VolumeError

# Of the map where structures are seen.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Fewer voxels of structures are none, which is unlike every known image.
FEWEST = 50
# A spread smaller than this, in nats, is luck of few validation images.
LEAST_SPREAD = 0.05


def profile(surprise: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The `QUANTILES`, in nats, of a map -log p(v) where structures are seen; inf where none is.

    Args:
        surprise: the map, (k, j, i). seen: bool of its shape.
    """
    found = surprise[seen]
    return np.quantile(found, QUANTILES) if found.size >= FEWEST else np.full(len(QUANTILES), np.inf)


def reference_of(profiles: Sequence[np.ndarray]) -> dict:
    """What known images look like: {"mean", "spread", "limit"}, two lists and the largest `unlikeness` met.

    Args:
        profiles: of images that the weights have not seen.

    Raises:
        VolumeError: no structure was seen in any of them.
    """
    profiles = [one for one in profiles if np.isfinite(one).all()]
    if not profiles:
        raise VolumeError(
            "The model sees none of its structures in these images.", "Take images of its kind."
        )
    profiles = np.stack(profiles)
    spread = np.maximum(profiles.std(0), LEAST_SPREAD)
    known = {"mean": profiles.mean(0).tolist(), "spread": spread.tolist()}
    return known | {"limit": max(unlikeness(one, known) for one in profiles)}


def unlikeness(found: np.ndarray, reference: dict) -> float:
    """How many spreads the farthest quantile of a profile lies from where known images have it."""
    return float(np.max(np.abs(found - np.array(reference["mean"])) / np.array(reference["spread"])))
