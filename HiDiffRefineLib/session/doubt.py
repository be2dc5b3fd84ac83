"""Where the refiner is in doubt about a segment: how far chains from different draws disagree."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.edit import answers, clamp_of, on_region
from HiDiffRefineLib.inference.refiner import region_grid
from HiDiffRefineLib.session.blocks import Box
from HiDiffRefineLib.session.editing import SEED, segment_within
from HiDiffRefineLib.session.engine import Engine
from HiDiffRefineLib.session.state import State

# Chains side by side.
SAMPLES = 8
# One look at a slice shows what lies nearer together than this.
APART_MM = 10.0
# A place is as doubtful as its surroundings: a lone voxel is noise.
SURROUNDINGS_MM = 2.0
# Below, nine chains in ten agree with each other, or more.
FAINTEST = 0.2


@dataclass(frozen=True)
class Doubt:
    """An uncertainty map.

    Args:
        grid: of the map, a part of the volume's.
        box: slices (k, j, i) of the volume that the map covers.
        values: float32 (k, j, i), 1 - |2p - 1| of the chains' mean probability p: 0 sure, 1 undecided. It is
            0 where the user has spoken and where no edit may change anything.
    """

    grid: Grid
    box: Box
    values: np.ndarray


def uncertainty(engine: Engine, state: State, name: str, samples: int = SAMPLES) -> Doubt:
    """The refiner's doubt about a segment, its current mask and hints given, from chains in one batch.

    Raises:
        SessionError: an empty segment.
        BundleError: weights missing or damaged.
    """
    pipeline, layer = engine.pipeline, state.layers[name]
    bounds_ras = layer.bounds_ras(state.grid)
    if bounds_ras is None:
        raise SessionError(
            f"'{name}' is empty: there is nothing to doubt.", "Place a click in it and refine."
        )
    steps = pipeline.check(None, ["refiner"])
    patch_kji = pipeline.refiner_bundle.patch_size_kji
    region = region_grid(bounds_ras, pipeline.working_spacing_kji(state.grid), patch_kji)
    box = voxel_box(state.grid, region.bounds_ras())
    grid = part_of(state.grid, box)
    segment = segment_within(box, engine, state, name)
    network, device, hints = pipeline.network("refiner"), segment.image.device, layer.told.hints
    mask = on_region(torch.from_numpy(layer.mask[box]).to(device), grid, region)
    *_, probability = answers(network, pipeline.chain, segment, mask, hints, region, steps, SEED, samples)
    probability = torch.where(*clamp_of(hints, region, device), probability)
    # Interpolation weights add up to 1 + 2e-7.
    probability = resample(probability, region.ijk_to_ras, grid)[0].clamp(0, 1).cpu().numpy()
    values = 1 - np.abs(2 * probability - 1)
    values[hint_labels(hints, grid) != 0] = 0
    values[state.protected(name, box)] = 0
    return Doubt(grid, box, values)


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
