"""One edit: the newest hint's region, the reverse steps there under all hints, and the mask that results.

Its cost depends on the region, not on the volume. The mask stays as it is to the last voxel outside the
region, in locked voxels, wherever the refiner agrees with it, and where a change would answer none of the
hints that wait for one (`changes`). Hints that say what the mask says already move its border by one voxel at
most.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import maximum_filter

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.geometry.boxes import bounding_box, part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import hint_values, hint_voxels
from HiDiffRefineLib.inference.changes import answering, one_way, within_border
from HiDiffRefineLib.inference.extents import LEVELS, NEVER, Extents, extents_of
from HiDiffRefineLib.inference.graphs import RefinerGraphs
from HiDiffRefineLib.inference.hint_channels import clamp_of, hint_channels, newest_hint
from HiDiffRefineLib.inference.levels import levels_on_image, levels_on_region
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
        foreign: whether the mask came from elsewhere, not from the segmentor.
    """

    image: torch.Tensor
    grid: Grid
    prior: Prior
    label: int
    foreign: bool = False


def edit_steps(
    network: BernoulliRefiner | RefinerGraphs,
    chain: BernoulliChain | None,
    segment: Segment,
    mask: np.ndarray,
    hints: Sequence[Hint],
    region: Grid,
    steps: int,
    seed: int,
    locked: np.ndarray | None = None,
    asked: int = 1,
    fresh: bool = False,
    leveled: bool = True,
) -> Generator[Preview, None, tuple[Preview, Extents | None]]:
    """The mask after each reverse step of an edit; the iterator returns the last of them and its extents.

    Args:
        chain: None for the plain refiner, which answers once.
        mask: bool (k, j, i), native, before the edit.
        hints: all of this segment, the newest last.
        region: of `regions.edit_region`.
        steps: number of reverse steps.
        seed: fixes the result on a device.
        locked: bool (k, j, i), native voxels that must stay.
        asked: how many of the newest hints are to be answered.
        fresh: whether they start a piece beside others that are there already.
        leveled: whether its extents are wanted; they take as long as a step on a GPU.
    """
    device = segment.image.device
    box = voxel_box(segment.grid, region.bounds_ras())
    native = part_of(segment.grid, box)
    start = mask[box].copy()
    stays = np.broadcast_to(False, start.shape) if locked is None else locked[box]
    # Where hints and locked voxels disagree, locks hold.
    hinted_kji, values = hint_values(hints, native)
    holds = ~stays[tuple(hinted_kji.T)]
    hinted, held = tuple(hinted_kji[holds].T), values[holds] > 0
    old = torch.from_numpy(start).to(device)
    before = on_region(old, native, region)
    # What contradicts the mask asks for a change; what agrees with it asks for no more than a finer border.
    asking = [hint for hint in hints[-asked:] if _contradicts(hint, start, native)]
    was, asked_for = before[0].cpu().numpy() > 0.5, hint_values(asking or hints[-asked:], region)
    for probability in answers(network, chain, segment, before, hints, region, steps, seed):
        unclamped = start.copy()
        said = probability[0].float().cpu().numpy()
        changed = answering(said, was, *asked_for, region, fresh)
        touched = native_answer(probability, changed, region, old, native)
        if touched is not None:
            part, found = touched
            found = one_way(found, start[part], asked_for[1])
            if not asking:
                found = within_border(found, start[part])
            np.copyto(unclamped[part], found, where=~stays[part])
        result = unclamped.copy()
        result[hinted] = held
        last = Preview(box, result, unclamped)
        yield last
    if not leveled:
        return last, None
    first = np.full(start.shape, NEVER, np.uint8)
    levels = levels_on_region(said, was, changed, *asked_for, region, fresh)
    answer = last.mask != start
    moving = levels_on_image(levels, probability, was, region, start, answer, native, RIM_KJI)
    if moving is not None:
        part, found = moving
        np.copyto(first[part], found, where=~stays[part])
    first[hinted] = np.where(start[hinted] == held, NEVER, LEVELS.start)
    return last, extents_of(first, answer, box)


def _contradicts(hint: Hint, mask: np.ndarray, grid: Grid) -> bool:
    """Whether a hint says of any voxel what a mask (k, j, i) does not."""
    return bool((mask[tuple(hint_voxels(hint, grid).T)] != hint.positive).any())


def native_answer(
    probability: torch.Tensor, changed: np.ndarray, region: Grid, old: torch.Tensor, native: Grid
) -> tuple[tuple[slice, slice, slice], np.ndarray] | None:
    """What an answer says on the native grid, where the mask changes; elsewhere that keeps its fine border.

    Args:
        probability: (1, k, j, i) the answer, on the region's grid.
        changed: bool (k, j, i) where it may differ from the mask there.
        old: bool (k, j, i), the mask on the native grid.

    Returns:
        slices (k, j, i) of the native grid beyond which nothing changes, and the mask there, bool of their
        shape; None if nothing may change.
    """
    box = bounding_box(changed)
    if box is None:
        return None
    # The native box may hold 5 million voxels, which take two cores .3 s: only what moves is looked at.
    around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    inner = tuple(
        slice(max(s.start, rim), min(s.stop, size - rim))
        for s, rim, size in zip(around, RIM_KJI, changed.shape, strict=True)
    )
    if any(s.start >= s.stop for s in inner):
        return None
    grown, touched = np.zeros_like(changed), np.zeros_like(changed)
    grown[around] = maximum_filter(changed[around], 3, mode="constant")
    touched[inner] = grown[inner]
    reached = tuple(slice(s.start - 1, s.stop + 1) for s in inner)
    part = voxel_box(native, part_of(region, reached).bounds_ras())
    if any(s.start >= s.stop for s in part):
        return None
    moving = torch.from_numpy(touched).to(probability)[None]
    shown = resample(torch.cat([moving, probability]), region.ijk_to_ras, native, part=part)
    return part, torch.where(shown[0] > 0, shown[1] > 0.5, old[part]).cpu().numpy()


def answers(
    network: BernoulliRefiner | RefinerGraphs,
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
    channels, labels = hint_channels(hints, region, device)
    clamp = clamp_of(labels)
    prior = view.prior[None]
    newest = newest_hint(hints, region, device)
    parts = (part[None] for part in (view.image, view.prior, view.others, mask, channels, newest, view.zoom))
    seen = condition(*parts)
    held = torch.where(*clamp, prior)
    if chain is None:
        yield plain_answer(network, seen, held)
    else:
        yield from chain_answers(network, chain, seen, held, steps, seed, samples, clamp)


def on_region(mask: torch.Tensor, native: Grid, region: Grid) -> torch.Tensor:
    """A bool mask (k, j, i) on the region's grid, (1, k, j, i) of 0. and 1."""
    return (resample(mask[None].float(), native.ijk_to_ras, region) > 0.5).float()
