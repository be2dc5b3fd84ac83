"""Targets that no label map has, and masks that are wrong: drawn on the device, a batch at a time.

All take (B, 1, k, j, i) tensors. `flat` (B,) is the height of a voxel over its width.
"""

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.training.appearance import blurred, distances, smooth_noise, uniform

# Lesions in an image, and their radius in voxels of the plane.
MOST_LESIONS, RADII = 8, (1.3, 9.0)
# Radius of a bright spot in noise.
SPOT_RADII = (1.5, 20.0)
# Share of lesions that a mask knows, where it knows some; and of samples whose target is one lesion of many.
KNOWN_SHARE, ONE_SHARE = 0.75, 0.3
# Radius within which tissue hangs together, in voxels of the plane, and how unlike it may be.
TISSUE_RADII, TISSUE_TOLERANCE = (3.0, 40.0), (0.02, 0.15)
# Voxels of tissue that make a target, and the share of its border that the image shows: what ends at a radius
# in the midst of a large organ teaches that a click there means a ball.
TISSUE_VOXELS, TISSUE_SHOWN = (15, 80_000), 0.7
# Flooding goes so many steps, from voxel to voxel of this size (k, j, i).
FLOOD, HALF_KJI = 32, (1, 2, 2)


def flood(seed: torch.Tensor, allowed: torch.Tensor, steps: int = FLOOD) -> torch.Tensor:
    """What hangs together with a seed within what is allowed, at most so many steps off.

    On half the voxels in plane, for a quarter of the time: what a gap of one voxel parts is joined. Sums of
    neighbours for maxima: torch's pooling by maxima also writes the index of each, eight bytes a voxel.

    Args:
        seed, allowed: of 0. and 1., (B, 1, k, j, i).
    """
    seed, room = (F.max_pool3d(x, HALF_KJI) for x in (seed * allowed, allowed))
    for _ in range(steps):
        seed = torch.minimum(F.avg_pool3d(seed, 3, 1, 1, divisor_override=1), room)
    return F.interpolate(seed, size=allowed.shape[2:], mode="nearest") * allowed


def _log_uniform(shape, low: float, high: float, device) -> torch.Tensor:
    return low * (high / low) ** torch.rand(shape, device=device)


def _radii(radius: torch.Tensor, flat: torch.Tensor, stretch: float) -> torch.Tensor:
    """(B, n, 3) radii in voxels of somewhat flat ellipsoids of a radius (B, n) in the plane."""
    radii = radius[..., None] * torch.exp(stretch * torch.randn(*radius.shape, 3, device=radius.device))
    return torch.cat([radii[..., :1] / flat.view(-1, 1, 1), radii[..., 1:]], dim=-1).clamp(min=0.6)


def _centers(like: torch.Tensor, count: int, inner: float) -> torch.Tensor:
    """(B, count, 3) voxels within the middle share of a patch."""
    shares = 0.5 + inner * (torch.rand(len(like), count, 3, device=like.device) - 0.5)
    return torch.stack([n * shares[..., axis] for axis, n in enumerate(like.shape[2:])], dim=-1)


def voxel(flat: torch.Tensor, shape_kji) -> torch.Tensor:
    """(B, 3) float k, j, i of places (B,) in flat arrays; `torch.unravel_index` waits for the device."""
    _, j, i = shape_kji
    return torch.stack([flat // (j * i), flat // i % j, flat % i], dim=1).float()


def noise_scene(image: torch.Tensor) -> torch.Tensor:
    """An even or slowly varying background under noise."""
    level = uniform(image, 0.1, 0.6) + smooth_noise(image, (20, 40, 40)) * uniform(image, 0, 0.1, 0.5)
    noise = torch.randn_like(image)
    noise = torch.lerp(noise, 2 * blurred(noise, (0.5, 0.8, 0.8)), uniform(image, 0, 1, 0.5))
    return (level + noise * uniform(image, 0.01, 0.12)).clamp(0, 1)


def draw_lesions(
    image: torch.Tensor, flat: torch.Tensor, rng: np.random.Generator, spots: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images with lesions drawn into them, the lesions that are wanted, and a mask that knows some of these.

    Args:
        spots: (B,) bool, few and large ones, brighter or darker than all noise.
    """
    batch, device = len(image), image.device
    spot = spots.view(-1, 1)
    radius = _log_uniform((batch, MOST_LESIONS), *RADII, device)
    radius = torch.where(spot, _log_uniform((batch, MOST_LESIONS), *SPOT_RADII, device), radius)
    alike = torch.rand(batch, 1, device=device) < 0.5
    radius = torch.where(alike, radius[:, :1] * (1 + 0.15 * torch.randn_like(radius)).clamp(0.6, 1.5), radius)
    count = torch.randint(1, MOST_LESIONS + 1, (batch, 1), device=device)
    count = torch.where(spot, count.clamp(max=2), count)
    centers = _centers(image, MOST_LESIONS, 0.8)
    centers[:, 0] = _centers(image, 1, 0.4)[:, 0]
    distance = distances(image, centers, _radii(radius, flat, 0.15))
    uneven = smooth_noise(image, (4, 6, 6)) * uniform(image, 0, 0.2, 0.5)
    there = (torch.arange(MOST_LESIONS, device=device) < count).view(batch, -1, 1, 1, 1)
    # The border is as sharp as voxels are, whatever the radius.
    depth = (1 - distance + uneven) * radius.view(batch, -1, 1, 1, 1)
    depth = torch.where(there, depth, -10.0)
    share = torch.sigmoid(4 * depth.amax(1, keepdim=True) / uniform(image, 0.7, 2.0))
    around = blurred(image, (1.5, 3.0, 3.0))
    contrast = uniform(image, 0.08, 0.5)
    contrast = torch.where(spots.view(-1, 1, 1, 1, 1), uniform(image, 0.25, 0.6), contrast)
    middle = (share * around).sum((2, 3, 4), keepdim=True) / share.sum((2, 3, 4), keepdim=True).clamp(
        min=1e-3
    )
    sign = torch.where(torch.rand_like(middle) < middle.clamp(0.15, 0.85), -1.0, 1.0)
    painted = image + sign * contrast
    painted = torch.lerp(
        painted, middle + sign * contrast + 0.5 * (image - around), uniform(image, 1, 1, 0.5)
    )
    image = torch.lerp(image, painted, share).clamp(0, 1)
    wanted = there & (
        (torch.rand(batch, 1, 1, 1, 1, device=device) >= ONE_SHARE)
        | (torch.arange(MOST_LESIONS, device=device).view(1, -1, 1, 1, 1) == 0)
    )
    truth = torch.where(wanted, depth, -10.0).amax(1, keepdim=True) > 0
    known = wanted & (torch.rand(batch, MOST_LESIONS, 1, 1, 1, device=device) < KNOWN_SHARE)
    mask = torch.where(known, depth, -10.0).amax(1, keepdim=True) > 0
    return image, truth.float(), mask.float()


def grown(
    image: torch.Tensor, flat: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tissue of one grey that hangs together near the middle, and (B, 1, 1, 1, 1) whether there is any."""
    batch, device = len(image), image.device
    smooth = blurred(image, rng.uniform(0.4, 1.5, 3))
    center = _centers(image, 1, 0.5).round()
    flat_index = (center[:, 0] * center.new_tensor([image.shape[3] * image.shape[4], image.shape[4], 1])).sum(
        1
    )
    flat_index = flat_index.long().clamp(0, image[0].numel() - 1)
    grey = smooth.flatten(1).gather(1, flat_index[:, None]).view(batch, 1, 1, 1, 1)
    radius = _log_uniform((batch, 1), *TISSUE_RADII, device)
    distance = distances(image, center, _radii(radius, flat, 0.2))
    distance = distance + 0.2 * smooth_noise(image, (8, 12, 12))
    alike = ((smooth - grey).abs() < uniform(image, *TISSUE_TOLERANCE)) & (grey > 0.02)
    seed = torch.zeros_like(image).flatten(1).scatter_(1, flat_index[:, None], 1.0).view_as(image)
    tissue = flood(seed, (alike & (distance < 1)).float())
    border = F.max_pool3d(tissue, 3, 1, 1) - tissue
    hidden = (border * alike).sum((2, 3, 4), keepdim=True) / border.sum((2, 3, 4), keepdim=True).clamp(min=1)
    rounded = (blurred(tissue, (0.4, 0.7, 0.7)) > 0.5).float()
    size = tissue.sum((2, 3, 4), keepdim=True)
    # A few voxels would not outlive the rounding.
    tissue = torch.where(size < 200, tissue, rounded)
    size = tissue.sum((2, 3, 4), keepdim=True)
    found = (size >= TISSUE_VOXELS[0]) & (size <= TISSUE_VOXELS[1]) & (hidden <= 1 - TISSUE_SHOWN)
    return tissue, found


def corrupted(prior: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Probabilities that are wrong as segmentors and people are.

    Ragged, too large or small, cut, bitten into, with false pieces and holes, displaced.
    """
    batch, device = len(prior), prior.device
    soft = torch.logit(blurred(prior, (0.8, 1.5, 1.5)), eps=0.01)
    ragged = smooth_noise(prior, (6, 12, 12)) * uniform(prior, 0.5, 2.5, 0.7)
    changed = torch.sigmoid(2 * (soft + ragged + uniform(prior, -2.5, 2.5, 0.5)))
    prior = torch.where(torch.rand(batch, 1, 1, 1, 1, device=device) < 0.75, changed, prior)
    # Somewhere in the object, or near it.
    flat_place = (torch.rand_like(prior) * (prior > 0.5)).flatten(1).argmax(1)
    inside = voxel(flat_place, prior.shape[2:])
    near = torch.tensor([3.0, 8.0, 8.0], device=device)
    centers = torch.stack([inside, inside, inside + near * torch.randn(batch, 3, device=device)], dim=1)
    radii = _log_uniform((batch, 3), 2.0, 16.0, device)
    flat = torch.full((batch,), 2.0, device=device)
    distance = distances(prior, centers, _radii(radii, flat, 0.2)) + 0.15 * smooth_noise(prior, (5, 8, 8))
    ball = torch.sigmoid(8 * (1 - distance))
    bite, hole, blob = (ball[:, n : n + 1] for n in range(3))
    prior = prior * (1 - bite * uniform(prior, 1, 1, 0.35)) * (1 - hole * uniform(prior, 1, 1, 0.15))
    prior = torch.maximum(prior, blob * uniform(prior, 1, 1, 0.35))
    # Beyond a plane through a place of the object.
    normal = F.normalize(
        torch.randn(batch, 3, device=device) * torch.tensor([2.0, 1, 1], device=device), dim=1
    )
    height = 0
    for axis in range(3):
        at = torch.arange(prior.shape[2 + axis], device=device, dtype=torch.float32)
        one = (at - inside[:, axis, None]) * normal[:, axis, None]
        height = height + one.view(batch, 1, *(-1 if axis == n else 1 for n in range(3)))
    prior = prior * (1 - torch.sigmoid(2 * height) * uniform(prior, 1, 1, 0.25))
    if rng.random() < 0.25:
        shift = [int(n) for n in rng.integers(-4, 5, 3) * np.array([0.5, 1, 1])]
        prior = torch.roll(prior, shift, (2, 3, 4))
    hard = torch.rand(batch, 1, 1, 1, 1, device=device) < 0.5
    return torch.where(hard, (prior > 0.5).float(), prior).clamp(0, 1)


def partly_right(prior: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """A prior that is right in some places, which are smooth and of any share of the patch."""
    there = smooth_noise(prior, (6, 12, 12)) > uniform(prior, -1.0, 0.5)
    return torch.where(there, torch.lerp(truth, prior, 0.2), prior)
