"""Where the refiner looks: grids of one size around an object or a hint. No torch: a session asks as well."""

import numpy as np

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.hints.hint import Hint, bounds_ras

# The finest spacing of a region, relative to the prior's working grid: small organs are looked at closely.
ZOOM = 2 / 3
# Voxels of context that a region keeps around its object on each side, (k, j, i).
CONTEXT_KJI = (4, 12, 12)
# A whole object is looked at while that needs no spacing above this many times the finest one.
WIDEST = 1.5
# Finest working spacing of an image without a segmentor, mm: no network was trained on finer ones.
FINEST_MM = 1.0


def working_spacing_kji(bundle: Bundle, grid: Grid) -> np.ndarray:
    """Voxel size in mm along S, A, R that a segmentor works at; of a refiner alone, the image's own.

    Args:
        grid: of the image. An oblique axis counts for the one of S, A and R that it follows most.
    """
    if bundle.kind == "segmentor":
        return np.array(bundle.working_spacing_kji_mm)
    linear = grid.ijk_to_ras[:3, :3]
    size_ijk = np.linalg.norm(linear, axis=0)
    follows = np.abs(linear / size_ijk).argmax(axis=1)  # of R, A and S
    return np.maximum(size_ijk[follows][::-1], FINEST_MM)


def region_grid(bounds_ras: np.ndarray, working_kji, patch_kji) -> Grid:
    """A grid of fixed size around an object: finer than the working grid for a small one, else coarser.

    Args:
        bounds_ras: (2, 3) the object, RAS mm.
        working_kji: spacing of the prior's working grid, mm.
        patch_kji: voxels of the refiner's input.
    """
    room_kji = np.array(patch_kji) - 2 * np.array(CONTEXT_KJI)
    extent_kji = (bounds_ras[1] - bounds_ras[0])[::-1]
    spacing_kji = np.maximum(ZOOM * np.asarray(working_kji), extent_kji / room_kji)
    return centered_grid(bounds_ras.mean(0), patch_kji, spacing_kji)


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


def holds(region: Grid, hint: Hint) -> bool:
    """Whether a region shows a hint with at least half the context that its own region would."""
    margin = np.array(CONTEXT_KJI[::-1]) / 2 * region.spacing_kji[::-1]
    (low, high), (first, last) = region.bounds_ras(), bounds_ras(hint)
    return bool((first >= low + margin).all() and (last <= high - margin).all())
