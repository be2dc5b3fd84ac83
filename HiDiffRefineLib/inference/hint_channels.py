"""Hints as the refiner sees them: four channels on a region's grid."""

from collections.abc import Sequence

import numpy as np
import torch

from HiDiffRefineLib.geometry.boxes import Box, hull, part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, bounds_ras
from HiDiffRefineLib.hints.rasterize import hint_voxels

# Channels: positive clicks, negative clicks, positive scribbles, negative scribbles.
HINT_CHANNELS = 4
POSITIVE_CLICK, NEGATIVE_CLICK, POSITIVE_SCRIBBLE, NEGATIVE_SCRIBBLE = range(HINT_CHANNELS)
# A click spreads as a Gaussian of this width in voxels (k, j, i): one voxel in 442 368 is easily overlooked.
CLICK_SIGMA_KJI = (1.0, 2.0, 2.0)
# Voxels (k, j, i) after which it ends, six widths: beyond it is below 2e-8.
CLICK_REACH_KJI = (6, 12, 12)


def hint_channels(
    hints: Sequence[Hint], grid: Grid, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hints in order of time, the newest last, as the encoder's channels and as what they hold.

    Drawn on the processor, whatever the device: a GPU would spend longer launching the small kernels. Only
    the box that hints reach is drawn and sent: all of a region takes 7 MB.

    Returns:
        float32 (HINT_CHANNELS, *grid.shape_kji) in 0…1, and float32 (1, *grid.shape_kji), as `hint_labels`:
        1 in positive hints, -1 in negative ones, else 0. Where two hints disagree only the newest is seen.
    """
    shown = torch.zeros(HINT_CHANNELS + 1, *grid.shape_kji, device=device, dtype=torch.float32)
    if hints:
        box = _reached(hints, grid)
        shown[(slice(None), *box)] = _drawn(hints, part_of(grid, box)).to(device)
    return shown[:HINT_CHANNELS], shown[HINT_CHANNELS:]


def newest_hint(hints: Sequence[Hint], grid: Grid, device: torch.device | str = "cpu") -> torch.Tensor:
    """The last hint alone, float32 (1, *grid.shape_kji): 0…1 as drawn if it is positive, else 0…-1."""
    channels, _ = hint_channels(hints[-1:], grid, device)
    clicks = channels[POSITIVE_CLICK] - channels[NEGATIVE_CLICK]
    return (clicks + channels[POSITIVE_SCRIBBLE] - channels[NEGATIVE_SCRIBBLE])[None]


def clamp_of(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where `hint_labels` hold, bool, and 1. where they say that the voxel is the segment's."""
    return labels != 0, (labels > 0).float()


def _reached(hints: Sequence[Hint], grid: Grid) -> Box:
    """The voxels beyond which hints show nothing; never none."""
    box = hull(voxel_box(grid, bounds_ras(hint)) for hint in hints)
    sides = zip(box, CLICK_REACH_KJI, grid.shape_kji, strict=True)
    return tuple(slice(max(s.start - reach, 0), min(s.stop + reach, size)) for s, reach, size in sides)


def _drawn(hints: Sequence[Hint], grid: Grid) -> torch.Tensor:
    """The channels, and what hints hold as one more, on a grid on the processor."""
    shown = torch.zeros(HINT_CHANNELS + 1, *grid.shape_kji, dtype=torch.float32)
    for hint in hints:
        voxels, clicked = tuple(hint_voxels(hint, grid).T), isinstance(hint, Click)
        positive = POSITIVE_CLICK if clicked else POSITIVE_SCRIBBLE
        negative = NEGATIVE_CLICK if clicked else NEGATIVE_SCRIBBLE
        own, other = (positive, negative) if hint.positive else (negative, positive)
        if clicked:
            near, drawn = _spread(hint, grid)
            torch.maximum(shown[own][near], drawn, out=shown[own][near])
        else:
            shown[own][voxels] = 1
        for contrary in (other, (other + 2) % HINT_CHANNELS):
            shown[contrary][voxels] = 0
        shown[HINT_CHANNELS][voxels] = 1 if hint.positive else -1
    return shown


def _spread(click: Click, grid: Grid) -> tuple[Box, torch.Tensor]:
    """A click's `bump`: the voxels that it reaches, and its values there."""
    center_kji = (grid.ras_to_ijk[:3, :3] @ click.point_ras + grid.ras_to_ijk[:3, 3])[::-1]
    low = np.clip(np.floor(center_kji - CLICK_REACH_KJI), 0, grid.shape_kji).astype(int)
    high = np.clip(np.ceil(center_kji + CLICK_REACH_KJI) + 1, low, grid.shape_kji).astype(int)
    near = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    inside = torch.from_numpy((center_kji - low)[None].astype(np.float32))
    return near, bump(high - low, inside, CLICK_SIGMA_KJI)[0]


def bump(shape_kji: Sequence[int], center_kji: torch.Tensor, sigma_kji: Sequence[float]) -> torch.Tensor:
    """Gaussians of height 1 around one point a sample.

    Args:
        shape_kji: voxels.
        center_kji: (B, 3), in voxels.
        sigma_kji: widths in voxels.

    Returns:
        float32 (B, *shape_kji).
    """
    k, j, i = (
        torch.exp(-0.5 * ((torch.arange(size, device=center_kji.device) - center[:, None]) / sigma) ** 2)
        for size, center, sigma in zip(shape_kji, center_kji.T, sigma_kji, strict=True)
    )
    return k[:, :, None, None] * j[:, None, :, None] * i[:, None, None, :]
