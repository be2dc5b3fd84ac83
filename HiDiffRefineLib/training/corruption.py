"""Priors as they are met in use: displaced, half missing, grown or shrunk, ragged, over- or under-confident.

Out-of-fold priors carry a segmentor's own mistakes; these add those of hurried hands and foreign tools.
"""

import numpy as np
import torch
import torch.nn.functional as F

# Share of training samples whose prior is corrupted on top of being out of fold.
CORRUPTED_SHARE = 0.25


def displacement(rng: np.random.Generator, spacing_kji: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For a misplaced prior: a shift (3,) in RAS mm, up to 4 voxels, and a linear map 3×3 within 10 %."""
    shift = rng.uniform(-4, 4, 3) * spacing_kji[::-1]
    return shift, np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))


def corrupt(prior: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One random corruption of a prior (1, k, j, i), probabilities in and out."""
    return rng.choice([_half_missing, _grown_or_shrunk, _ragged, _confidence])(prior, rng)


def _half_missing(prior: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    where = torch.nonzero(prior[0] > 0.5).float()
    if len(where) == 0:
        return prior
    normal = torch.as_tensor(rng.normal(size=3), dtype=torch.float32, device=prior.device)
    cut = torch.quantile(where @ normal, float(rng.uniform(0.15, 0.5)))
    axes = [torch.arange(n, device=prior.device, dtype=torch.float32) for n in prior.shape[1:]]
    height = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ normal
    return prior * (height > cut)


def _grown_or_shrunk(prior: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    flat, wide = int(rng.integers(0, 2)), int(rng.integers(1, 4))
    size, padding = (2 * flat + 1, 2 * wide + 1, 2 * wide + 1), (flat, wide, wide)
    if rng.random() < 0.5:
        return F.max_pool3d(prior[None], size, 1, padding)[0]
    return 1 - F.max_pool3d(1 - prior[None], size, 1, padding)[0]


def _ragged(prior: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    # A smooth random field added to the blurred logit moves the border in and out over a few voxels.
    coarse = [max(2, n // int(rng.integers(4, 10))) for n in prior.shape[1:]]
    field = torch.from_numpy(rng.normal(size=(1, 1, *coarse)).astype(np.float32)).to(prior.device)
    field = F.interpolate(field, size=prior.shape[1:], mode="trilinear", align_corners=False)[0]
    blurred = F.avg_pool3d(prior[None], (3, 5, 5), 1, (1, 2, 2))[0]
    return torch.sigmoid(torch.logit(blurred, eps=0.01) + float(rng.uniform(0.5, 2)) * field)


def _confidence(prior: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    if rng.random() < 0.5:
        return (prior > 0.5).float()
    return torch.sigmoid(torch.logit(prior, eps=0.001) * float(rng.uniform(0.4, 2.5)))
