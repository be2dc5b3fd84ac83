"""Where the refiner looks: grids of one size around an object or a hint. No torch: a session asks as well.

Where a mask came from elsewhere, nothing here is in absolute millimetres: the same object in voxels of
0.02 mm and of 2 mm is looked at alike.
"""

from dataclasses import dataclass

import numpy as np

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.geometry.boxes import voxel_box
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.hints.hint import Hint, bounds_ras
from HiDiffRefineLib.inference.pieces import piece_near

# The spacing at which organs are looked at closely, relative to the prior's working grid.
ZOOM = 2 / 3
# Voxels of context that a region keeps around its object on each side, (k, j, i).
CONTEXT_KJI = (4, 12, 12)
# A whole object is looked at while that needs no spacing above this many times the finest one.
WIDEST = 1.5
# What is smaller than this share of the room between the contexts is looked at more closely, so that it
# fills it: at the working grid's spacing a click in 19 right voxels added up to 7,000. But no closer than
# this share of the image's voxels: finer ones show nothing new.
FILLED, FINEST = 1 / 3, 1 / 4
# A large image without a segmentor is worked on in coarser voxels, so that a patch shows this share of each
# side, but at most by so much: a CT of 512 columns as in the refiner's training.
SHOWN, COARSEST = 1 / 4, 1.5


def voxel_kji(grid: Grid) -> np.ndarray:
    """Voxel size in mm along S, A, R; an oblique axis counts for the one that it follows most."""
    return grid.spacing_kji[::-1][_follows(grid)][::-1]


def zoom_values(spacing_kji, native_kji) -> np.ndarray:
    """How a region's voxels compare with the image's own, and with each other: what no network can see.

    Scale itself is no part of it: the same object in other voxel sizes must give the same answer.

    Args:
        spacing_kji: of the region. native_kji: of the image along S, A, R; both in one unit.

    Returns:
        float32 (3,): half the binary logarithms of the region's voxel over the image's in plane and across
        slices, and of its height over its width.
    """
    k, j = np.log2(np.asarray(spacing_kji)[:2] / np.asarray(native_kji)[:2])
    return 0.5 * np.array([j, k, np.log2(spacing_kji[0] / spacing_kji[1])], np.float32)


def working_spacing_kji(bundle: Bundle, grid: Grid, patch_kji, label: int | None = None) -> np.ndarray:
    """Voxel size in mm along S, A, R of a segment's prior.

    Args:
        bundle: whose working spacing counts for its own labels.
        grid: of the image, whose voxels count for a mask from elsewhere.
        patch_kji: voxels of the refiner's input.
        label: of the bundle's segmentor; None for a mask from elsewhere.
    """
    if label is not None:
        return np.array(bundle.working_spacing_kji_mm)
    size_kji = np.array(grid.shape_kji)[::-1][_follows(grid)][::-1]
    return voxel_kji(grid) * np.clip(SHOWN * size_kji / patch_kji, 1, COARSEST)


def region_grid(bounds_ras: np.ndarray, working_kji, patch_kji, closest_kji=np.inf) -> Grid:
    """A grid of fixed size around an object: finer than the working grid for a small one, else coarser.

    Args:
        bounds_ras: (2, 3) the object, RAS mm.
        working_kji: spacing of the prior's working grid, mm.
        patch_kji: voxels of the refiner's input.
        closest_kji: spacing for what is smaller, mm, see `close_spacing_kji`.
    """
    room_kji = np.array(patch_kji) - 2 * np.array(CONTEXT_KJI)
    extent_kji = (bounds_ras[1] - bounds_ras[0])[::-1]
    finest_kji = np.minimum(ZOOM * np.asarray(working_kji), closest_kji)
    return centered_grid(bounds_ras.mean(0), patch_kji, np.maximum(finest_kji, extent_kji / room_kji))


def close_spacing_kji(bounds_ras: np.ndarray, voxel_kji, patch_kji) -> np.ndarray:
    """Spacing in mm along S, A, R at which an object fills enough of a region, however small it is.

    Args:
        bounds_ras: (2, 3) the object, RAS mm.
        voxel_kji: size of the image's voxels, mm.
        patch_kji: voxels of the refiner's input.
    """
    room_kji = np.array(patch_kji) - 2 * np.array(CONTEXT_KJI)
    extent_kji = (bounds_ras[1] - bounds_ras[0])[::-1]
    return np.maximum(FINEST * np.asarray(voxel_kji), extent_kji / (FILLED * room_kji))


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
        whole = region_grid(_both(object_ras, around), working_kji, patch_kji)
        if (whole.spacing_kji <= widest_kji * (1 + 1e-9)).all():
            return whole
    room_kji = np.array(patch_kji) - 2 * np.array(CONTEXT_KJI)
    spacing_kji = np.maximum(widest_kji, (around[1] - around[0])[::-1] / room_kji)
    return centered_grid(around.mean(0), patch_kji, spacing_kji)


@dataclass(frozen=True, eq=False)
class Look:
    """Where an edit looks, and what it may do there.

    Args:
        region: the refiner's grid.
        reach_ras: (2, 3) RAS mm, beyond which nothing changes; None for all of the region.
        fresh: whether nothing of the segment is there yet, see `changes.answering`.
    """

    region: Grid
    reach_ras: np.ndarray | None = None
    fresh: bool = False

    def beyond(self, grid: Grid) -> np.ndarray:
        """The voxels of a grid that may not change, bool (k, j, i)."""
        result = np.zeros(grid.shape_kji, bool)
        if self.reach_ras is not None:
            result[:] = True
            result[voxel_box(grid, self.reach_ras)] = False
        return result


def look_at(
    hint: Hint,
    mask: np.ndarray,
    object_ras: np.ndarray | None,
    grid: Grid,
    working_kji,
    patch_kji,
    label: int | None = None,
) -> Look:
    """How an edit of a mask looks at what a hint points at.

    A small piece of the mask is looked at closely, and grows by its own size at most. Where the hint lies
    farther off, it starts another piece like that: twice as large at most. All else as `edit_region` says,
    a segmentor's label too: an organ in pieces is an organ.

    Args:
        mask: bool (k, j, i), before the edit.
        object_ras: (2, 3) RAS mm, box around it, stray voxels left out; None if it is empty.
        grid: of the mask.
        label: of the segmentor; None for a mask from elsewhere. Others: as for `edit_region`.
    """
    piece_ras = piece_near(mask, hint, grid) if label is None and object_ras is not None else None
    if piece_ras is not None:
        around, voxel = bounds_ras(hint), voxel_kji(grid)
        close_kji = close_spacing_kji(piece_ras, voxel, patch_kji)
        if (close_kji < ZOOM * np.asarray(working_kji)).any():
            # A little less, so that no rounding decides about voxels on its edge.
            size = (1 - 1e-6) * np.maximum(piece_ras[1] - piece_ras[0], 2 * voxel[::-1])
            near = (around[1] >= piece_ras[0] - size).all() and (around[0] <= piece_ras[1] + size).all()
            looked_at = _both(piece_ras, around) if near else around
            region = region_grid(looked_at, working_kji, patch_kji, close_kji)
            return Look(region, looked_at + [-size, size], not near)
    return Look(edit_region(hint, object_ras, working_kji, patch_kji))


def holds(look: Look, hint: Hint) -> bool:
    """Whether a look reaches a hint and shows it with at least half the context that its own would."""
    margin = np.array(CONTEXT_KJI[::-1]) / 2 * look.region.spacing_kji[::-1]
    (low, high), (first, last) = look.region.bounds_ras(), bounds_ras(hint)
    if look.reach_ras is not None:
        low, high, margin = *look.reach_ras, 0
    return bool((first >= low + margin).all() and (last <= high - margin).all())


def _both(bounds: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.stack([np.minimum(bounds[0], others[0]), np.maximum(bounds[1], others[1])])


def _follows(grid: Grid) -> np.ndarray:
    """Which of i, j and k runs along R, A and S."""
    linear = grid.ijk_to_ras[:3, :3]
    return np.abs(linear / np.linalg.norm(linear, axis=0)).argmax(axis=1)
