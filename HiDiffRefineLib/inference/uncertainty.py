"""Where the refiner is uncertain about a segment: how far chains from different draws disagree."""

import numpy as np
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects, label, sum_labels
from scipy.special import expit, logit

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.edit import Segment, answers, on_region
from HiDiffRefineLib.inference.hint_channels import clamp_of
from HiDiffRefineLib.inference.messages import Place, Uncertainty, UncertaintyRequest
from HiDiffRefineLib.networks.refiner import BernoulliRefiner

# Below, nine chains in ten agree with each other, or more.
FAINTEST = 0.2
# What is undecided is a place to look at where it reaches this many times as deep as along the border.
DEEPER = 1.5
# Places in one round: nobody looks at more before the next correction.
PLACES = 10


def uncertainty_of(
    segment: Segment,
    request: UncertaintyRequest,
    network: BernoulliRefiner,
    chain: BernoulliChain,
    temperature: float,
) -> Uncertainty:
    """The refiner's uncertainty about a segment, its current mask and hints given, from chains in one batch.

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
    border = mask_border(probability >= 0.5)
    numbers = number_places(values, border, grid.spacing_kji, view.region.spacing_kji.min(), PLACES)
    return Uncertainty(grid, view.box, values, numbers, describe_places(values, numbers, grid))


def tempered(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities as frequencies: logits divided by a temperature (Guo et al. 2017, arXiv 1706.04599)."""
    return expit(logit(probability) / np.float32(temperature))


def mask_border(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask (k, j, i) that have a face in common with what is outside."""
    return mask & ~binary_erosion(mask, border_value=1)


def number_places(
    uncertainty: np.ndarray, border: np.ndarray, spacing_kji: np.ndarray, working_mm: float, count: int
) -> np.ndarray:
    """Where the mask may well be another: connected places that are undecided deeper than a border is.

    Every border is undecided by a voxel or two, which tells nobody where to look.

    Args:
        uncertainty: (k, j, i) in 0…1.
        border: bool (k, j, i), the border of the likeliest mask.
        spacing_kji: mm.
        working_mm: smallest voxel that the refiner sees, mm.
        count: how many places at most.

    Returns:
        uint8 (k, j, i): 0 outside of places, else their numbers; the mask may change most in place 1.
    """
    undecided = uncertainty >= FAINTEST
    # Beyond the map nothing is known: not undecided.
    depth_mm = distance_transform_edt(np.pad(undecided, 1), sampling=spacing_kji)[1:-1, 1:-1, 1:-1]
    along = depth_mm[border & undecided]
    limit_mm = DEEPER * max(working_mm, np.median(along) if along.size else 0.0)
    deep = depth_mm > limit_mm
    numbers = np.zeros(uncertainty.shape, np.uint8)
    if not deep.any():
        return numbers
    # The deep parts, and what is as near to them as they are deep: a place without the band that leads on.
    near = distance_transform_edt(~deep, sampling=spacing_kji) <= limit_mm
    pieces, found = label(undecided & near, np.ones((3, 3, 3)))
    change = sum_labels(uncertainty, pieces, np.arange(1, found + 1))
    order = np.argsort(-change, kind="stable")[:count]
    table = np.zeros(found + 1, np.uint8)
    table[order + 1] = np.arange(1, len(order) + 1)
    return table[pieces]


def describe_places(uncertainty: np.ndarray, numbers: np.ndarray, grid: Grid) -> tuple[Place, ...]:
    """Where to look at each place of `number_places`, and how much of the mask is at stake there."""
    places = []
    for number, box in enumerate(find_objects(numbers), 1):
        inside = numbers[box] == number
        depth = distance_transform_edt(np.pad(inside, 1), sampling=grid.spacing_kji)[1:-1, 1:-1, 1:-1]
        voxel_kji = np.array(np.unravel_index(depth.argmax(), depth.shape)) + [side.start for side in box]
        point_ras = grid.ijk_to_ras[:3, :3] @ voxel_kji[::-1] + grid.ijk_to_ras[:3, 3]
        # Of uncertainty 1 - |2p - 1| the half is the chance that the likelier answer is wrong.
        volume_ml = uncertainty[box][inside].sum() / 2 * np.prod(grid.spacing_kji) / 1000
        places.append(Place(point_ras, float(volume_ml)))
    return tuple(places)
