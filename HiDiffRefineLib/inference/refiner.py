"""The refiner on one segment: its region, the reverse steps there, and the way back to the native grid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from HiDiffRefineLib.bernoulli import BernoulliChain, reverse, seeded_noise
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.graphs import RefinerGraphs
from HiDiffRefineLib.inference.hint_channels import HINT_CHANNELS
from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.inference.regions import region_grid, voxel_kji, zoom_values
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.networks.refiner import PRIOR_MARGIN, BernoulliRefiner

# The correction fades to nothing over this many voxels at the region's rim, so that no seam shows.
FADE_KJI = (2, 4, 4)


@dataclass(frozen=True)
class Region:
    """The part of space in which one segment is refined.

    Args:
        grid: along R, A, S; its spacing follows from the object's size.
        image: (1, k, j, i) in 0…1.
        prior: (1, k, j, i) the segment's probability, the chain's terminal law.
        others: (1, k, j, i) the probability of all other segments.
        zoom: (3,) float32, see `regions.zoom_values`.
    """

    grid: Grid
    image: torch.Tensor
    prior: torch.Tensor
    others: torch.Tensor
    zoom: torch.Tensor


def segment_region(
    image: torch.Tensor, ijk_to_ras: np.ndarray, prior: Prior, label: int, patch_kji
) -> Region | None:
    """The region of one label of a prior; None where the prior has none of it.

    Args:
        image: (1, k, j, i) normalised, on its native grid.
        ijk_to_ras: of the image.
    """
    mask = (prior.probabilities[label] > 0.5).cpu().numpy()
    if not mask.any():
        return None
    bounds = object_bounds_ras(mask, prior.grid.ijk_to_ras)
    return region_on(region_grid(bounds, prior.grid.spacing_kji, patch_kji), image, ijk_to_ras, prior, label)


def region_on(grid: Grid, image: torch.Tensor, ijk_to_ras: np.ndarray, prior: Prior, label: int) -> Region:
    """The region of one label of a prior on a given grid; image and ijk_to_ras as for `segment_region`."""
    others = prior.others_resampled(label, grid)
    zoom = zoom_values(grid.spacing_kji, voxel_kji(Grid(tuple(image.shape[1:]), ijk_to_ras)))
    shown = resample(image, ijk_to_ras, grid), prior.resampled(label, grid), others
    return Region(grid, *shown, torch.from_numpy(zoom).to(image.device))


def condition(
    image: torch.Tensor,
    prior: torch.Tensor,
    others: torch.Tensor,
    mask: torch.Tensor | None = None,
    hints: torch.Tensor | None = None,
    newest: torch.Tensor | None = None,
    zoom: torch.Tensor | None = None,
) -> torch.Tensor:
    """The encoder's input (B, 12, k, j, i) from (B, 1, k, j, i) parts, in the order of the arguments.

    Args:
        mask: the current mask; None for the prior's, as before any edit.
        hints: (B, HINT_CHANNELS, k, j, i), see `hint_channels`; None for none.
        newest: the last hint alone, see `newest_hint`; None for none.
        zoom: (B, 3), see `regions.zoom_values`; None where the region's voxels are the image's.
    """
    nothing = image.new_zeros(len(image), 1, *image.shape[2:])
    mask = (prior > 0.5).to(image.dtype) if mask is None else mask
    hints = nothing.expand(-1, HINT_CHANNELS, -1, -1, -1) if hints is None else hints
    zoom = image.new_zeros(len(image), 3) if zoom is None else zoom
    zoom = zoom[:, :, None, None, None].expand(-1, -1, *image.shape[2:])
    return torch.cat([image, prior, others, mask, hints, nothing if newest is None else newest, zoom], dim=1)


def plain_refinement(network: BernoulliRefiner, region: Region) -> torch.Tensor:
    """Probability (1, k, j, i) of the plain (non-diffusion) refiner, in one pass."""
    return plain_answer(network, unhinted(region), region.prior[None])


def unhinted(region: Region) -> torch.Tensor:
    """The `condition` of a region before any hint."""
    parts = (part[None] for part in (region.image, region.prior, region.others))
    return condition(*parts, zoom=region.zoom[None])


@torch.inference_mode()
def plain_answer(network: BernoulliRefiner, seen: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """`plain_refinement` of a `condition` and a prior, hinted voxels at 0 or 1, both with a batch of 1."""
    with autocast(prior.device):
        logits = network.denoise(prior, prior, prior.new_ones(1), network.encode(seen))
    return torch.sigmoid(logits)[0]


def reverse_steps(
    network: BernoulliRefiner, chain: BernoulliChain, region: Region, steps: int, seed: int, samples: int = 1
) -> Iterator[torch.Tensor]:
    """Probability (1, k, j, i) after each reverse step, from y_T ~ B(prior); the mean of `samples` chains.

    Args:
        steps: number of reverse steps.
        seed: fixes every draw on every device.
        samples: chains run side by side.
    """
    return chain_answers(network, chain, unhinted(region), region.prior[None], steps, seed, samples)


def chain_answers(
    network: BernoulliRefiner | RefinerGraphs,
    chain: BernoulliChain,
    seen: torch.Tensor,
    prior: torch.Tensor,
    steps: int,
    seed: int,
    samples: int = 1,
    clamp: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Iterator[torch.Tensor]:
    """`reverse_steps` of a `condition` and a prior with a batch of 1.

    Args:
        clamp: hinted voxels, see `bernoulli.reverse`. The chain goes on with them; what comes out is what the
            network itself says there.
    """
    prior = prior.expand(samples, *prior.shape[1:])
    said: list[torch.Tensor] = []

    def denoise(state: torch.Tensor, t: int) -> torch.Tensor:
        share = torch.full((samples,), t / chain.steps, device=state.device, dtype=torch.float32)
        with torch.inference_mode(), autocast(state.device):
            said.append(network.denoise(state, prior, share, features))
        return said[-1]

    noise = seeded_noise(seed, prior.shape, prior.device)
    # Looks at the prior, for which it waits: before the encoder keeps the device busy, not after.
    answers = reverse(denoise, prior, chain, steps, noise, clamp=clamp)
    with torch.inference_mode(), autocast(prior.device):
        features = [f.expand(samples, *f.shape[1:]) for f in network.encode(seen)]
    for _ in answers:
        yield torch.sigmoid(said.pop().float()).mean(0)


def refined_probability(
    region: Region, refined: torch.Tensor, prior: Prior, label: int, target: Grid
) -> torch.Tensor:
    """A refined region's probability on another grid, for instance the native one.

    What travels is the refiner's correction of the logit, not its mask: where a large object was refined at a
    coarse spacing and left alone, the prior's fine border survives.

    Args:
        refined: (1, k, j, i) on the region's grid.
        target: where the result is wanted.

    Returns:
        float32 (1, *target.shape_kji).
    """
    correction = _logit(refined) - _logit(region.prior)
    correction = correction * _fade(region.grid.shape_kji, correction)
    correction = resample(correction, region.grid.ijk_to_ras, target)
    unrefined = prior.resampled(label, target)
    # Where nothing is corrected, the prior stays as it is to the last bit.
    return torch.where(correction == 0, unrefined, torch.sigmoid(_logit(unrefined) + correction))


def _logit(probability: torch.Tensor) -> torch.Tensor:
    return torch.logit(probability, eps=PRIOR_MARGIN)


def _fade(shape_kji, like: torch.Tensor) -> torch.Tensor:
    fade = like.new_ones(shape_kji)
    for axis, (size, width) in enumerate(zip(shape_kji, FADE_KJI, strict=True)):
        index = torch.arange(size, device=like.device, dtype=like.dtype)
        ramp = (torch.minimum(index, size - 1 - index) / width).clamp(0, 1)
        fade = fade * ramp.view([-1 if n == axis else 1 for n in range(3)])
    return fade[None]
