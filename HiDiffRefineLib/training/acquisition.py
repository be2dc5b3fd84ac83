"""How a scanner turns a head into an image: slices, noise, bias field. All on the device, for a whole batch.

Sampling is linear and separable, so that blur, slices and interpolation are one matrix an axis, whatever the
spacing of each image: no shape depends on a random number and the device never has to wait.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

# Full width at half maximum of a Gaussian over its standard deviation.
FWHM = 2.355


def along_axes(volumes: torch.Tensor, matrices_kji: Sequence[torch.Tensor]) -> torch.Tensor:
    """Volumes (B, k, j, i) with a matrix (B, new, old) applied along each axis."""
    for matrix in reversed(matrices_kji):
        batch, first, second, last = volumes.shape
        rows = volumes.reshape(batch, first * second, last) @ matrix.mT
        # The axis just done goes to the front: after three of them the order is the old one.
        volumes = rows.reshape(batch, first, second, -1).permute(0, 3, 1, 2)
    return volumes


def slice_matrix(
    places: torch.Tensor, spacing: torch.Tensor, width: torch.Tensor, start: torch.Tensor
) -> torch.Tensor:
    """From voxels to slices along one axis: (B, n, n), each row the Gaussian profile of a slice.

    Args:
        places: (n,) mm, the voxels' centres.
        spacing: (B,) mm between slices, not less than between voxels. Rows beyond the last slice mean
            nothing.
        width: (B,) mm, full width of the profile at half its maximum.
        start: (B,) mm, centre of the first slice.
    """
    number = torch.arange(len(places), device=places.device)
    centers = start[:, None] + spacing[:, None] * number
    away = (places - centers[:, :, None]) * (FWHM / width[:, None, None])
    return torch.softmax(-0.5 * away**2, dim=-1)


def interpolation_matrix(
    places: torch.Tensor, samples: torch.Tensor, spacing: torch.Tensor, start: torch.Tensor
) -> torch.Tensor:
    """From slices to samples along one axis, linearly: (B, m, n).

    Args:
        samples: (m,) mm, where to sample. Others: see `slice_matrix`.
    """
    last = torch.floor((places[-1] - start) / spacing)
    place = ((samples - start[:, None]) / spacing[:, None]).clamp(min=0).minimum(last[:, None])
    number = torch.arange(len(places), device=places.device)
    return (1 - (place[:, :, None] - number).abs()).clamp(min=0)


def smooth_field(coarse: torch.Tensor, shape_kji: Sequence[int]) -> torch.Tensor:
    """A field (B, C, k, j, i) of few knots, interpolated to a shape."""
    return F.interpolate(coarse, tuple(shape_kji), mode="trilinear", align_corners=True)


def with_noise(image: torch.Tensor, level: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The magnitude of an image (B, k, j, i) with complex noise, as MR has it (Rice's law).

    Args:
        level: (B,) standard deviation of either part of the noise.
    """
    level = level[:, None, None, None]
    real = torch.randn(image.shape, generator=generator, device=image.device)
    imaginary = torch.randn(image.shape, generator=generator, device=image.device)
    return torch.sqrt((image + level * real) ** 2 + (level * imaginary) ** 2)


def normalised(image: torch.Tensor, low: float, high: torch.Tensor) -> torch.Tensor:
    """Values (B, k, j, i) between two quantiles of what is not exactly 0 as 0…1, clipped.

    Args:
        low: quantile. high: (B,) quantiles.
    """
    # One voxel of 27 is plenty for quantiles and sorts faster.
    values = image[:, ::3, ::3, ::3].flatten(1)
    values = torch.where(values == 0, torch.nan, values).sort(1).values  # not-a-number comes last
    count = values.isfinite().sum(1, keepdim=True).clamp(min=1)
    ends = torch.stack([torch.full_like(high, low), high], dim=1)
    ends = values.gather(1, ((count - 1) * ends).long()).nan_to_num()
    bottom, top = ends[:, :1, None, None], ends[:, 1:, None, None]
    return ((image - bottom) / (top - bottom).clamp(min=1e-6)).clamp(0, 1)
