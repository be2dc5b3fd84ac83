"""Segmentors from elsewhere: each sees an image as it was trained to, by the steps that its bundle lists."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.geometry.axes import oriented, stretched
from HiDiffRefineLib.geometry.boxes import bounding_box, part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.islands import remove_islands
from HiDiffRefineLib.inference.segmentor import Prior, Sweeping, flat_logits, softmax, sweep

# Grids that differ by less are one to MONAI as well.
SAME_GRID = 1e-3
# Slices are this many times as thick as pixels are wide where nnU-Net interpolates within them only.
FLAT_SLICES = 3


def prepared_image(values: np.ndarray, grid: Grid, bundle: Bundle) -> tuple[np.ndarray, Grid]:
    """What the network of an imported bundle sees of an image.

    Args:
        values: (k, j, i) as stored, of CT in Hounsfield units.
        grid: of the values.

    Returns:
        float32 (k, j, i), and its grid: the working one.
    """
    rules = bundle.settings["imported"]
    if "axes" in rules:
        values, grid = oriented(values, grid, rules["axes"])
    values = np.ascontiguousarray(values, np.float32)
    for step in rules["steps"]:
        if step["step"] == "crop":
            # The box of an image of nothing is all of it.
            box = bounding_box(values > 0 if step["keep"] == "positive" else values != 0)
            if box is not None:
                values, grid = values[box], part_of(grid, box)
        elif step["step"] == "resample":
            values, grid = _resampled(values, grid, bundle.working_spacing_kji_mm, step["interpolation"])
        else:
            values = _VALUES[step["step"]](values, step)
    return values, grid


@torch.inference_mode()
def run_imported(
    network: torch.nn.Module,
    image: np.ndarray,
    grid: Grid,
    bundle: Bundle,
    progress: Callable[[float], None] = lambda share: None,
) -> Prior:
    """Class probabilities of an image.

    Args:
        network: of the bundle.
        image, grid: of `prepared_image`.
        progress: called with the share of windows done.
    """
    rules, device = bundle.settings["imported"], next(network.parameters()).device
    how = Sweeping(**rules["windows"], as_trained=True)
    seen = torch.from_numpy(np.ascontiguousarray(image))[None].to(device)
    flat = flat_logits(len(bundle.labels) + 1)
    probabilities = softmax(sweep(network, seen, bundle.patch_size_kji, flat, progress, how))
    if rules.get("largest_component"):
        remove_islands(probabilities, share=1)
    return Prior(probabilities, grid)


def _resampled(values: np.ndarray, grid: Grid, spacing_kji, interpolation: str) -> tuple[np.ndarray, Grid]:
    if interpolation == "linear":
        target = _as_monai(grid, spacing_kji)
        same = target.shape_kji == grid.shape_kji
        if same and np.allclose(target.ijk_to_ras, grid.ijk_to_ras, atol=SAME_GRID):
            return values, grid  # to the last bit: rounding would make zeros nonzero
        found = resample(torch.from_numpy(values)[None], grid.ijk_to_ras, target, outside="border")
        return found[0].numpy(), target
    target = stretched(grid, spacing_kji)
    return _cubic(values, target.shape_kji, _slice_axis(grid.spacing_kji, spacing_kji)), target


def _as_monai(grid: Grid, spacing_kji) -> Grid:
    """The grid of MONAI's Spacing, which starts at the first voxel's centre, or nearly."""
    from monai.data.utils import compute_shape_offset, zoom_affine  # longer to import than torch

    ijk_to_ras = np.array(zoom_affine(grid.ijk_to_ras, list(spacing_kji[::-1]), diagonal=False), float)
    shape_ijk, first_ras = compute_shape_offset(grid.shape_kji[::-1], grid.ijk_to_ras, ijk_to_ras)
    ijk_to_ras[:3, 3] = first_ras
    return Grid(tuple(max(int(n), 1) for n in shape_ijk[::-1]), ijk_to_ras)


def _cubic(values: np.ndarray, shape_kji, slice_axis: int | None) -> np.ndarray:
    """Cubic splines from edge to edge, that don't overshoot; across thick slices the nearest one's value.

    As nnU-Net resamples images, by the description in its documentation.
    """
    if values.shape == tuple(shape_kji):
        return values
    zoom = np.array(shape_kji) / values.shape
    if slice_axis is None:
        found = ndimage.zoom(values, zoom, order=3, mode="nearest", grid_mode=True)
        return np.clip(found, values.min(), values.max()).astype(np.float32)
    slices = np.moveaxis(values, slice_axis, 0)
    within = np.delete(zoom, slice_axis)
    found = np.stack(
        [
            ndimage.zoom(one, within, order=3, mode="nearest", grid_mode=True).clip(one.min(), one.max())
            for one in slices
        ]
    )
    across = np.floor((np.arange(shape_kji[slice_axis]) + 0.5) / zoom[slice_axis]).astype(int)
    return np.ascontiguousarray(np.moveaxis(found[across], 0, slice_axis), np.float32)


def _slice_axis(spacing_kji, target_kji) -> int | None:
    """The one axis that slices are thick along, before or after resampling; None where they are not."""
    for spacing in (np.asarray(spacing_kji), np.asarray(target_kji)):
        if spacing.max() > FLAT_SLICES * spacing.min():
            thick = np.flatnonzero(np.isclose(spacing, spacing.max()))
            return int(thick[0]) if len(thick) == 1 else None
    return None


def _range(values: np.ndarray, step: dict) -> np.ndarray:
    return _stretched(values, step["low"], step["high"], step)


def _percentiles(values: np.ndarray, step: dict) -> np.ndarray:
    low, high = np.percentile(values, [step["low"], step["high"]])
    return _stretched(values, low, high, step)


def _extent(values: np.ndarray, step: dict) -> np.ndarray:
    return _stretched(values, values.min(), values.max(), {**step, "clip": False})


def _stretched(values: np.ndarray, low: float, high: float, step: dict) -> np.ndarray:
    to_low, to_high = step["to_low"], step["to_high"]
    if high == low:  # a constant image
        return np.full_like(values, to_low)
    found = (values - np.float32(low)) / np.float32(high - low)
    found = found * np.float32(to_high - to_low) + np.float32(to_low)
    return np.clip(found, to_low, to_high) if step["clip"] else found


def _clip(values: np.ndarray, step: dict) -> np.ndarray:
    return np.clip(values, np.float32(step["low"]), np.float32(step["high"]))


def _standardise(values: np.ndarray, step: dict) -> np.ndarray:
    over = np.ones(values.shape, bool)
    if step["over"] != "all":
        over = values != 0
    if step["over"] == "filled":
        over = ndimage.binary_fill_holes(over)
    shown = values[over]
    if not shown.size:
        return values
    # Sums of millions of float32 lose digits.
    mean = step.get("mean", shown.mean(dtype=np.float64))
    deviation = step.get("deviation", shown.std(dtype=np.float64)) or 1.0
    found = values.copy()
    found[over] = (shown - np.float32(mean)) / np.float32(deviation)
    return found


_VALUES = {
    "clip": _clip,
    "range": _range,
    "percentiles": _percentiles,
    "extent": _extent,
    "standardise": _standardise,
}
