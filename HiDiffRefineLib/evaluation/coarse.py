"""Coarse masks, such as a user paints with one large brush to say where something is."""

import numpy as np


def ellipsoid(mask: np.ndarray) -> np.ndarray:
    """The solid ellipsoid with the centre and the covariance of a mask (bool, k, j, i); empty if that is.

    Of a solid ellipsoid with half-axes a, b and c the covariance has the eigenvalues a²/5, b²/5 and c²/5.
    """
    result = np.zeros(mask.shape, bool)
    places = np.argwhere(mask)
    if not len(places):
        return result
    center = places.mean(0)
    # A voxel is no point: 1/12 is the variance along its side.
    covariance = (places - center).T @ (places - center) / len(places) + np.eye(3) / 12
    reach = np.sqrt(5 * np.diag(covariance))
    low = np.maximum(np.floor(center - reach), 0).astype(int)
    high = np.minimum(np.ceil(center + reach) + 1, mask.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    away = np.moveaxis(np.indices([*(high - low)]), 0, -1) + low - center
    result[box] = np.einsum("kjia,ab,kjib->kji", away, np.linalg.inv(covariance), away) <= 5
    return result
