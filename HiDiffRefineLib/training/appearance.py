"""Batches of images changed on the device: any contrast, any resolution, and objects drawn into them.

All functions take images (B, 1, k, j, i) in 0…1. Nothing here waits for the device.
"""

import numpy as np
import torch
import torch.nn.functional as F

# Shares of images that are recoloured by a random network, turned upside down, bent along their grey scale.
RECOLOURED, INVERTED, BENT = 0.3, 0.2, 0.3
# Knots of a bend.
KNOTS = 5
# Voxels between the knots of smooth fields (k, j, i).
FIELD_KNOTS = (24, 40, 40)


def uniform(
    like: torch.Tensor, low: float, high: float, share: float = 1.0, other: float = 0.0
) -> torch.Tensor:
    """(B, 1, 1, 1, 1) even in low…high for a share of the samples, `other` for the rest."""
    value = low + (high - low) * torch.rand(len(like), 1, 1, 1, 1, device=like.device)
    if share >= 1:
        return value
    return torch.where(torch.rand_like(value) < share, value, other)


def smooth_noise(like: torch.Tensor, knots_kji, channels: int = 1) -> torch.Tensor:
    """Normal noise (B, channels, k, j, i) that is smooth over so many voxels."""
    shape = like.shape[2:]
    coarse = [max(2, round(n / knot)) for n, knot in zip(shape, knots_kji, strict=True)]
    noise = torch.randn(len(like), channels, *coarse, device=like.device)
    return F.interpolate(noise, size=shape, mode="trilinear", align_corners=True)


def blurred(image: torch.Tensor, sigma_kji) -> torch.Tensor:
    """Convolved with a Gaussian; widths in voxels.

    A sum of shifted images: cuDNN would look for its fastest convolution anew for every size of image, which
    took longer than all the rest of a batch.
    """
    for axis, sigma in enumerate(sigma_kji, start=2):
        if sigma < 0.2:
            continue
        reach = max(1, round(2.5 * sigma))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        pad = [0] * 6
        pad[2 * (4 - axis)] = pad[2 * (4 - axis) + 1] = reach
        padded = F.pad(image, pad, mode="replicate")
        size, image = image.shape[axis], torch.zeros_like(image)
        for start, weight in enumerate(kernel / kernel.sum()):
            image.add_(padded.narrow(axis, start, size), alpha=float(weight))
    return image


def recoloured(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Each image through a shallow random convolutional network of its own (GIN, arXiv 2111.12525)."""
    batch = len(image)
    x, inside = (image - 0.5).transpose(0, 1), 1
    for outside in (2, 2, 2, 1):
        size = int(rng.choice([1, 3]))
        weight = torch.randn(batch * outside, inside, size, size, size, device=image.device) / size
        bias = 0.5 * torch.randn(batch * outside, device=image.device)
        x = F.conv3d(x, weight, bias, padding=size // 2, groups=batch)
        if outside > 1:
            x = F.leaky_relu(x, 0.1)
        inside = outside
    x = x.transpose(0, 1)
    few = x.flatten(1)[:, ::37]
    low, high = (torch.quantile(few, q, dim=1)[:, None, None, None, None] for q in (0.01, 0.99))
    x = ((x - low) / (high - low + 1e-5)).clamp(-0.2, 1.2)
    return torch.lerp(image, x, uniform(image, 0, 1, 0.5, 1.0)).clamp(0, 1)


def augmented(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Other contrasts, then bias field, lost resolution, brightness, contrast, gamma and noise."""
    # Of one or two numbers only: cuDNN looks for its fastest convolution anew for each number of images.
    chosen = rng.permutation(len(image))[: int(RECOLOURED * len(image) + rng.random())]
    if len(chosen):
        image = image.clone()
        image[chosen] = recoloured(image[chosen], rng)
    image = torch.lerp(image, 1 - image, uniform(image, 1, 1, INVERTED))
    image = torch.lerp(image, bent(image), uniform(image, 1, 1, BENT))
    image = image * torch.exp(smooth_noise(image, FIELD_KNOTS) * uniform(image, 0, 0.3, 0.3))
    image = torch.lerp(image, blurred(image, rng.uniform(0.3, 1.0, 3)), uniform(image, 0.5, 1, 0.25))
    middle = image.mean((2, 3, 4), keepdim=True)
    image = (image - middle) * (1 + uniform(image, -0.3, 0.3, 0.4)) + middle + uniform(image, -0.1, 0.1, 0.4)
    image = image.clamp(1e-4, 1) ** torch.exp(uniform(image, -0.4, 0.4, 0.4))
    return (image + torch.randn_like(image) * uniform(image, 0, 0.1, 0.35)).clamp(0, 1)


def bent(image: torch.Tensor) -> torch.Tensor:
    """Grey values along a random rising curve, one for each image."""
    curve = torch.rand(len(image), KNOTS, device=image.device).sort(dim=1).values
    place = image.flatten(1).clamp(0, 1) * (KNOTS - 1)
    left = place.floor().clamp(max=KNOTS - 2).long()
    low, high = curve.gather(1, left), curve.gather(1, left + 1)
    return torch.lerp(low, high, place - left).view_as(image)


def thick_slices(image: torch.Tensor, count: int) -> torch.Tensor:
    """As if every `count` slices had been acquired as one."""
    acquired = F.avg_pool3d(image, (count, 1, 1))
    return F.interpolate(acquired, size=image.shape[2:], mode="trilinear", align_corners=False)


def distances(image: torch.Tensor, center_kji: torch.Tensor, radius_kji: torch.Tensor) -> torch.Tensor:
    """Distance from each centre in radii, (B, n, k, j, i), 1 at an ellipsoid's surface.

    Args:
        center_kji, radius_kji: (B, n, 3) in voxels.
    """
    total = 0
    for axis in range(3):
        at = torch.arange(image.shape[2 + axis], device=image.device, dtype=torch.float32)
        one = ((at - center_kji[..., axis, None]) / radius_kji[..., axis, None]) ** 2
        total = total + one.view(*one.shape[:2], *(-1 if axis == n else 1 for n in range(3)))
    return total.sqrt()
