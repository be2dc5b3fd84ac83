"""Images unlike those that a model knows: spoilt ones of its own kind, and ones of another kind."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from HiDiffRefineLib.evaluation.cases import find_cases
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.intensity import intensity_range, scale
from HiDiffRefineLib.inference.pipeline import Scan
from HiDiffRefineLib.volumes.read import read_volume

# Standard deviation of the noise, as a share of the grey scale.
NOISE = 0.25
# Rods in the body, their radius in mm, and the strength of the streaks beside them.
RODS, ROD_MM, STREAK = 2, 6.0, 0.6
# Other kinds of image are shown at their best, whatever the model's rule would make of them.
PERCENTILES = {"rule": "percentiles", "low": 0.5, "high": 99.5}


def noisy(image: np.ndarray, spacing_kji: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """An image (k, j, i) in 0…1 with white noise."""
    return np.clip(image + rng.normal(0, NOISE, image.shape), 0, 1).astype(np.float32)


def inverted(image: np.ndarray, spacing_kji: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """An image (k, j, i) in 0…1 with its contrast turned round."""
    return 1 - image


def streaked(image: np.ndarray, spacing_kji: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """An image (k, j, i) in 0…1 with metal rods along k, bright and dark streaks going out from them."""
    found = image.copy()
    j, i = (np.arange(n) * size for n, size in zip(image.shape[1:], spacing_kji[1:], strict=True))
    for _ in range(RODS):
        center_j, center_i = (rng.uniform(0.3, 0.7) * axis[-1] for axis in (j, i))
        down, right = np.meshgrid(j - center_j, i - center_i, indexing="ij")
        radius, angle = np.hypot(down, right), np.arctan2(down, right)
        waves = rng.integers(6, 40, 12)
        streaks = np.sin(waves[:, None, None] * angle + rng.uniform(0, 2 * np.pi, (12, 1, 1))).sum(0) / 3
        found = found + STREAK * np.exp(-radius / (12 * ROD_MM)) * streaks
        found[:, radius < ROD_MM] = 1
    return np.clip(found, 0, 1).astype(np.float32)


SPOILT: dict[str, Callable] = {"noise": noisy, "streaks": streaked, "inverted": inverted}


def spoilt(scan: Scan, kind: str, seed: int) -> Scan:
    """A scan of a kind of `SPOILT`."""
    image = scan.image[0].cpu().numpy()
    changed = SPOILT[kind](image, scan.grid.spacing_kji, np.random.default_rng(seed))
    return Scan(torch.from_numpy(changed)[None].to(scan.image.device), scan.grid, scan.bounds_ras)


def foreign_scans(
    folder: Path, like: Grid, device: torch.device, count: int, names: Sequence[str] = ()
) -> Iterator[Scan]:
    """The middle of up to `count` images of another data set, on a grid like that of a known image.

    Args:
        folder: holds images/ and labels/.
    """
    for file in find_cases(folder, names)[:count]:
        volume = read_volume(folder / "images" / file)
        yield foreign_scan(volume.array, volume.ijk_to_ras, like, device)


def foreign_scan(array: np.ndarray, ijk_to_ras: np.ndarray, like: Grid, device: torch.device) -> Scan:
    """The middle of an image (k, j, i), scaled by its own percentiles, on a grid like that of a known one."""
    grid = centered_grid(Grid(array.shape, ijk_to_ras).center_ras, like.shape_kji, like.spacing_kji)
    image = torch.from_numpy(scale(array, *intensity_range(array, PERCENTILES)))[None]
    return Scan(resample(image, ijk_to_ras, grid).to(device), grid, grid.bounds_ras())
