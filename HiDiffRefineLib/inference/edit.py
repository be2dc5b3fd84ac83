"""One edit: the newest hint's region, the reverse steps there under all hints, and the mask that results.

Its cost depends on the region, not on the volume. Outside the region, in locked voxels, and wherever the
refiner agrees with the mask as it is, the mask stays as it is to the last voxel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.hint_channels import hint_channels
from HiDiffRefineLib.inference.messages import Preview
from HiDiffRefineLib.inference.refiner import chain_answers, condition, plain_answer, region_on
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.networks.refiner import BernoulliRefiner

# Voxels at the region's rim that an edit leaves alone: the network sees no context beyond them.
RIM_KJI = (1, 2, 2)


@dataclass(frozen=True)
class Segment:
    """One segment of a volume, where edits find what does not change from one to the next.

    Args:
        image: (1, k, j, i) float32 in 0…1 on the device.
        grid: the image's own.
        prior: what was segmented before any hint, the chain's terminal law throughout.
        label: of the segment in the prior.
    """

    image: torch.Tensor
    grid: Grid
    prior: Prior
    label: int


def edit_steps(
    network: BernoulliRefiner,
    chain: BernoulliChain | None,
    segment: Segment,
    mask: np.ndarray,
    hints: Sequence[Hint],
    region: Grid,
    steps: int,
    seed: int,
    locked: np.ndarray | None = None,
) -> Iterator[Preview]:
    """The mask after each reverse step of an edit.

    Args:
        chain: None for the plain refiner, which answers once.
        mask: bool (k, j, i), native, before the edit.
        hints: all of this segment, the newest last.
        region: of `regions.edit_region`.
        steps: number of reverse steps.
        seed: fixes the result on a device.
        locked: bool (k, j, i), native voxels that must stay.
    """
    device = segment.image.device
    box = voxel_box(segment.grid, region.bounds_ras())
    native = part_of(segment.grid, box)
    old = torch.from_numpy(np.ascontiguousarray(mask[box])).to(device)
    # Where hints and locked voxels disagree, locks hold.
    free = torch.ones_like(old) if locked is None else ~torch.from_numpy(locked[box]).to(device)
    hinted, held = clamp_of(hints, native, device)
    before = on_region(old, native, region)
    inner = F.pad(
        torch.ones([n - 2 * rim for n, rim in zip(region.shape_kji, RIM_KJI, strict=True)], device=device),
        [rim for rim in RIM_KJI[::-1] for _ in (0, 1)],
    )
    for probability in answers(network, chain, segment, before, hints, region, steps, seed):
        changed = ((probability > 0.5) != (before > 0.5)).float()
        touched = F.max_pool3d(changed[None], 3, 1, 1)[0] * inner
        touched = resample(touched, region.ijk_to_ras, native)[0] > 0
        wanted = resample(probability, region.ijk_to_ras, native)[0] > 0.5
        unclamped = torch.where(touched & free, wanted, old)
        result = torch.where(hinted & free, held.bool(), unclamped)
        yield Preview(box, result.cpu().numpy(), unclamped.cpu().numpy())


def answers(
    network: BernoulliRefiner,
    chain: BernoulliChain | None,
    segment: Segment,
    mask: torch.Tensor,
    hints: Sequence[Hint],
    region: Grid,
    steps: int,
    seed: int,
    samples: int = 1,
) -> Iterator[torch.Tensor]:
    """Probability (1, k, j, i) on the region's grid after each reverse step, as the network gives it.

    Args:
        mask: (1, k, j, i) the current mask on the region's grid.
        samples: chains run side by side, whose mean is given. Others: see `edit_steps`.
    """
    device = segment.image.device
    view = region_on(region, segment.image, segment.grid.ijk_to_ras, segment.prior, segment.label)
    clamp = clamp_of(hints, region, device)
    prior = view.prior[None]
    channels = hint_channels(hints, region).to(device)
    seen = condition(view.image[None], prior, view.others[None], mask[None], channels)
    held = torch.where(*clamp, prior)
    if chain is None:
        yield plain_answer(network, seen, held)
    else:
        yield from chain_answers(network, chain, seen, held, steps, seed, samples, clamp)


def clamp_of(hints: Sequence[Hint], grid: Grid, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where hints hold on a grid, bool (k, j, i), and 1. where they say that the voxel is the segment's."""
    labels = torch.from_numpy(hint_labels(hints, grid)).to(device)
    return labels != 0, (labels > 0).float()


def on_region(mask: torch.Tensor, native: Grid, region: Grid) -> torch.Tensor:
    """A bool mask (k, j, i) on the region's grid, (1, k, j, i) of 0. and 1."""
    return (resample(mask[None].float(), native.ijk_to_ras, region) > 0.5).float()
