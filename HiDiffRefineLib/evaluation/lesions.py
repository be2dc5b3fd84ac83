"""Lesions drawn into real images: small things whose truth is known to the voxel."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from HiDiffRefineLib.volumes.volume import Volume

# What a lesion adds to the grey values around it, as a share of the shown range.
CONTRAST = (0.3, 0.5)
# Where lesions lie: tissue, smoothed by so much, between these shares of the shown range.
TISSUE, TISSUE_MM = (0.15, 0.85), 2.0
# Between the borders of two lesions, and between one and the image's end, in radii.
APART = 3.0


def draw_lesions(
    image: np.ndarray, spacing_kji: Sequence[float], radii_mm: Sequence[float], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """Balls added to an image, brighter than dark tissue and darker than bright tissue, with its texture.

    Args:
        image: (k, j, i) float32 in 0…1.
        spacing_kji: voxel size in mm.
        radii_mm: one for each lesion.
        rng: chooses places and contrasts.

    Returns:
        the image with them, and for each the (n, 3) voxels (k, j, i) whose centres lie in it, the one in its
        middle first; None where they do not all find room.
    """
    spacing_kji = np.asarray(spacing_kji, float)
    smooth = gaussian_filter(image, TISSUE_MM / spacing_kji)
    reach = np.ceil((1 + APART) * max(radii_mm) / spacing_kji).astype(int)
    inner = tuple(
        slice(min(n // 3, r), max(n - r, n - n // 3)) for n, r in zip(image.shape, reach, strict=True)
    )
    places = np.argwhere((smooth[inner] > TISSUE[0]) & (smooth[inner] < TISSUE[1])) + [s.start for s in inner]
    drawn, lesions, taken = image.copy(), [], np.empty((0, 3))
    for radius_mm in radii_mm:
        if not len(places):
            return None
        center = places[rng.integers(len(places))]
        taken = np.append(taken, center[None], axis=0)
        apart_mm = np.linalg.norm((places - center) * spacing_kji, axis=1)
        places = places[apart_mm > (2 + APART) * max(radii_mm)]
        low = np.maximum(center - np.ceil(2 * radius_mm / spacing_kji).astype(int) - 1, 0)
        high = np.minimum(center + np.ceil(2 * radius_mm / spacing_kji).astype(int) + 2, image.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        away = np.moveaxis(np.indices(high - low), 0, -1) + low - center
        distance = np.linalg.norm(away * spacing_kji, axis=-1)
        sign = 1 if smooth[tuple(center)] < 0.5 else -1
        # A border as soft as a voxel: partial volume.
        soft = np.clip(0.5 + (radius_mm - distance) / spacing_kji.min(), 0, 1)
        drawn[box] += (sign * rng.uniform(*CONTRAST) * soft).astype(np.float32)
        inside = np.argwhere(distance <= radius_mm) + low
        lesions.append(np.concatenate([center[None], inside[(inside != center).any(1)]]))
    return np.clip(drawn, 0, 1), lesions


def ball_in_noise(radius: int, size_mm: float, sides: int = 64) -> tuple[Volume, np.ndarray]:
    """A bright ball in the middle of noise, and its mask.

    Args:
        radius: in voxels.
        size_mm: what the cubic voxels are said to measure.
        sides: of the cube, voxels.

    Returns:
        a volume of Hounsfield units, and bool (k, j, i).
    """
    away = np.indices((sides,) * 3) - sides // 2
    mask = (away**2).sum(0) <= radius**2
    shown = np.random.default_rng(radius).normal(0.3, 0.08, mask.shape) + 0.4 * mask
    array = np.rint(400 * np.clip(shown, 0, 1) - 125).astype(np.int16)
    return Volume(array, np.diag([size_mm] * 3 + [1.0]), "ball in noise"), mask
