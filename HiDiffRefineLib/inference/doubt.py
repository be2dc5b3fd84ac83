"""Where the refiner is in doubt about a segment: how far chains from different draws disagree."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.edit import Segment, answers, on_region
from HiDiffRefineLib.inference.hint_channels import clamp_of
from HiDiffRefineLib.inference.messages import Doubt, DoubtRequest
from HiDiffRefineLib.networks.refiner import BernoulliRefiner

# One look at a slice shows what lies nearer together than this.
APART_MM = 10.0
# A place is as doubtful as its surroundings: a lone voxel is noise.
SURROUNDINGS_MM = 2.0
# Below, nine chains in ten agree with each other, or more.
FAINTEST = 0.2
# Doubtful places in one round: nobody looks at more before the next correction.
PLACES = 20


def doubt_about(
    segment: Segment,
    request: DoubtRequest,
    network: BernoulliRefiner,
    chain: BernoulliChain,
    temperature: float,
) -> Doubt:
    """The refiner's doubt about a segment, its current mask and hints given, from chains in one batch.

    Args:
        temperature: see `tempered`.
    """
    view, hints, device = request.view, request.hints, segment.image.device
    grid = part_of(segment.grid, view.box)
    mask = on_region(torch.from_numpy(view.mask).to(device), grid, view.region)
    *_, probability = answers(
        network, chain, segment, mask, hints, view.region, request.steps, request.seed, request.samples
    )
    told = torch.from_numpy(hint_labels(hints, view.region)).to(device)
    probability = torch.where(*clamp_of(told), probability)
    # Interpolation weights add up to 1 + 2e-7.
    probability = resample(probability, view.region.ijk_to_ras, grid)[0].clamp(0, 1).cpu().numpy()
    values = 1 - np.abs(2 * tempered(probability, temperature) - 1)
    values[hint_labels(hints, grid) != 0] = 0
    values[view.protected] = 0
    return Doubt(grid, view.box, values, doubtful_places(values, grid, PLACES))


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities as frequencies: logits divided by a temperature (Guo et al. 2017, arXiv 1706.04599)."""
    return expit(logit(probability) / np.float32(temperature))


def doubtful_places(doubt: np.ndarray, grid: Grid, count: int) -> np.ndarray:
    """The most doubtful places, the worst first, `APART_MM` or more from each other.

    Args:
        doubt: (k, j, i) in 0…1.
        grid: where it is.
        count: how many at most.

    Returns:
        (n, 3) RAS mm of voxel centres, n from 0 to count.
    """
    around = gaussian_filter(doubt, SURROUNDINGS_MM / grid.spacing_kji, mode="constant")
    voxels_kji = np.argwhere(doubt >= FAINTEST)
    order = np.argsort(-around[tuple(voxels_kji.T)], kind="stable")
    points_ras = voxels_kji[order][:, ::-1] @ grid.ijk_to_ras[:3, :3].T + grid.ijk_to_ras[:3, 3]
    places = []
    while len(points_ras) and len(places) < count:
        places.append(points_ras[0])
        points_ras = points_ras[np.linalg.norm(points_ras - points_ras[0], axis=1) >= APART_MM]
    return np.reshape(places, (-1, 3))
