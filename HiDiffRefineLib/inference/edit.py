"""One edit: the newest hint's region, the reverse steps there under all hints, and the mask that results.

Its cost depends on the region, not on the volume. Outside the region, in locked voxels, and wherever the
refiner agrees with the mask as it is, the mask stays as it is to the last voxel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.bernoulli import BernoulliChain, reverse, seeded_noise
from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.hint import Hint, bounds_ras
from HiDiffRefineLib.hints.rasterize import hint_values
from HiDiffRefineLib.inference.hint_channels import hint_channels
from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.inference.refiner import CONTEXT_KJI, ZOOM, condition, region_grid
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.networks.refiner import BernoulliRefiner

# A whole object is looked at while that needs no spacing above this many times the finest one.
WIDEST = 1.5
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


@dataclass(frozen=True)
class Preview:
    """The segment after a reverse step.

    Args:
        box: slices (k, j, i) of the native grid; outside, nothing changes.
        mask: bool of the box's shape, every hint met.
        unclamped: the same before hinted voxels were set by force.
    """

    box: tuple[slice, slice, slice]
    mask: np.ndarray
    unclamped: np.ndarray


def edit_region(hint: Hint, object_ras: np.ndarray | None, working_kji, patch_kji) -> Grid:
    """Where an edit takes place: the whole object if it is small, else the surroundings of the newest hint.

    Args:
        object_ras: (2, 3) RAS mm, box around the mask; None if it is empty.
        working_kji: spacing of the prior's working grid, mm.
        patch_kji: voxels of the refiner's input.
    """
    around = bounds_ras(hint)
    widest_kji = WIDEST * ZOOM * np.asarray(working_kji)
    if object_ras is not None:
        both = np.stack([np.minimum(object_ras[0], around[0]), np.maximum(object_ras[1], around[1])])
        whole = region_grid(both, working_kji, patch_kji)
        if (whole.spacing_kji <= widest_kji + 1e-9).all():
            return whole
    room_kji = np.array(patch_kji) - 2 * np.array(CONTEXT_KJI)
    spacing_kji = np.maximum(widest_kji, (around[1] - around[0])[::-1] / room_kji)
    return centered_grid(around.mean(0), patch_kji, spacing_kji)


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
        region: of `edit_region`.
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
    place, held = _hinted(hints, native, device)
    before = (resample(old[None].float(), native.ijk_to_ras, region) > 0.5).float()
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
        result = unclamped.clone()
        result[place] = held
        result = torch.where(free, result, old)
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
) -> Iterator[torch.Tensor]:
    """Probability (1, k, j, i) on the region's grid after each reverse step, as the network gives it.

    Args:
        mask: (1, k, j, i) the current mask on the region's grid. Others: see `edit_steps`.
    """
    device = segment.image.device
    image = resample(segment.image, segment.grid.ijk_to_ras, region)[None]
    prior = segment.prior.resampled(segment.label, region)[None]
    others = segment.prior.others_resampled(segment.label, region)[None]
    channels = hint_channels(hints, region).to(device)
    place, value = _hinted(hints, region, device)
    clamped = torch.zeros_like(prior, dtype=torch.bool)
    values = torch.zeros_like(prior)
    clamped[0, 0][place], values[0, 0][place] = True, value.float()
    held = torch.where(clamped, values, prior)
    with torch.inference_mode(), autocast(device):
        features = network.encode(condition(image, prior, others, mask[None], channels))
    length = 1 if chain is None else chain.steps
    # The chain goes on with the hints in its answers; what is shown is what the network itself says.
    said: list[torch.Tensor] = []

    def denoise(state: torch.Tensor, t: int) -> torch.Tensor:
        share = torch.full((1,), t / length, device=device)
        with torch.inference_mode(), autocast(device):
            said.append(network.denoise(state, held, share, features))
        return said[-1]

    if chain is None:
        yield torch.sigmoid(denoise(held, 1))[0]
        return
    noise = seeded_noise(seed, prior.shape, device)
    for _ in reverse(denoise, held, chain, steps, noise, clamp=(clamped, values)):
        yield torch.sigmoid(said.pop())[0]


def _hinted(hints: Sequence[Hint], grid: Grid, device) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Hinted voxels as an index of a (k, j, i) tensor, and whether they belong to the segment."""
    voxels_kji, values = hint_values(hints, grid)
    place = tuple(torch.from_numpy(voxels_kji).to(device).T)
    return place, torch.from_numpy(values > 0).to(device)
