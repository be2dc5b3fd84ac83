"""One edit of a session: where its hints take it, and what becomes of the mask there."""

from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.rasterize import hint_values
from HiDiffRefineLib.inference.extents import ANSWER, Extents
from HiDiffRefineLib.inference.messages import EditRequest, Preview, UncertaintyRequest, View
from HiDiffRefineLib.inference.regions import (
    Look,
    close_spacing_kji,
    holds,
    look_at,
    region_grid,
    voxel_kji,
    working_spacing_kji,
)
from HiDiffRefineLib.session.blocks import Block, Box, apply, block_of, difference, revert
from HiDiffRefineLib.session.engine import Engine, Models
from HiDiffRefineLib.session.layer import GivenHints, Layer
from HiDiffRefineLib.session.state import State

# Same question, same answer.
SEED = 0
# Chains side by side that tell where they disagree.
SAMPLES = 8


def edit_looks(
    layer: Layer, grid: Grid, models: Engine | Models, given: GivenHints | None = None
) -> list[Look]:
    """Where an edit takes place: around the newest hint, then around pending ones that lie farther off.

    Args:
        grid: the volume's.
        given: hints in the place of the segment's own.

    Returns:
        that of the newest hint last.
    """
    object_ras = layer.bounds_ras(grid)
    patch_kji = models.refiner_bundle.patch_size_kji
    working_kji = working_spacing_kji(models.bundle, grid, patch_kji, layer.label)
    looks: list[Look] = []
    given = given or layer.given
    for hint in reversed(given.pending or given.hints[-1:]):
        if not any(holds(look, hint) for look in looks):
            looks.append(look_at(hint, layer.mask, object_ras, grid, working_kji, patch_kji, layer.label))
    return looks[::-1]


def edit_request(
    engine: Engine, state: State, name: str, steps: int, tried: GivenHints | None = None
) -> EditRequest:
    """What an engine has to know for an edit of a segment.

    Args:
        steps: reverse steps in each region.
        tried: hints in the place of the segment's own, for a tentative edit.
    """
    layer = state.layers[name]
    given = tried or layer.given
    views = tuple(_view(look, state, name) for look in edit_looks(layer, state.grid, engine, given))
    asked = len(given.pending) or 1
    tentative = tried is not None
    return EditRequest(views, given.hints, layer.label, layer.rois, steps, SEED, asked, tentative)


def uncertainty_request(engine: Engine, state: State, name: str, steps: int) -> UncertaintyRequest:
    """What an engine has to know to be asked where it is uncertain about a segment.

    Args:
        steps: reverse steps of each chain.

    Raises:
        SessionError: an empty segment.
    """
    layer = state.layers[name]
    bounds_ras = layer.bounds_ras(state.grid)
    if bounds_ras is None:
        raise SessionError(
            f"'{name}' is empty: there is nothing to be uncertain about.", "Place a click in it and refine."
        )
    patch_kji = engine.refiner_bundle.patch_size_kji
    working_kji = working_spacing_kji(engine.bundle, state.grid, patch_kji, layer.label)
    # As near as its edits look: a segmentor's label is an organ, however small.
    close_kji = np.inf
    if layer.label is None:
        close_kji = close_spacing_kji(bounds_ras, voxel_kji(state.grid), patch_kji)
    region = region_grid(bounds_ras, working_kji, patch_kji, close_kji)
    view = _view(Look(region), state, name)
    return UncertaintyRequest(view, layer.given.hints, layer.label, layer.rois, steps, SEED, SAMPLES)


def newest_of_each(previews: Sequence[Preview], preview: Preview) -> list[Preview]:
    """The newest preview of each region, now that there is another one."""
    return [*(seen for seen in previews if seen.box != preview.box), preview]


def edit_blocks(
    state: State,
    name: str,
    previews: Sequence[Preview],
    extents: Extents | None,
    given: GivenHints | None = None,
) -> tuple[list[Block], Block | None]:
    """What an edit changes in a segment's mask, and of that what its extents could change otherwise.

    A pending hint that no preview reached is written as it is: every hint holds however early the user stops.

    Args:
        previews: the last one of each region.
        extents: of the last region.
        given: hints in the place of the segment's own.
    """
    layer = state.layers[name]
    moving = extents and block_of(extents.flips(ANSWER), extents.box)
    blocks: list[Block] = []

    def change(box: Box, after: np.ndarray) -> None:
        block = difference(layer.mask, after, box)
        if block is not None:
            apply(layer.mask, block)
            blocks.append(block)

    *others, newest = previews
    for preview in others:
        change(preview.box, preview.mask)
    if moving is not None:
        apply(layer.mask, moving)
    # Nothing is left of it but where it replaced a preview of the same box.
    change(newest.box, newest.mask)
    voxels_kji, values = hint_values((given or layer.given).pending, state.grid)
    unmet = layer.mask[tuple(voxels_kji.T)] != (values > 0)
    if unmet.any():
        voxels_kji, values = voxels_kji[unmet], values[unmet]
        low, high = voxels_kji.min(0), voxels_kji.max(0) + 1
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        after = layer.mask[box].copy()
        after[tuple((voxels_kji - low).T)] = values > 0
        change(box, after)
    for block in (*blocks, *([moving] if moving else [])):
        revert(layer.mask, block)
    return blocks, moving


def extent_block(state: State, level: int) -> Block | None:
    """What the edit that was the newest step, see `State.extent`, changes at a level; None if nothing.

    What is protected by now keeps what the present level made of it.
    """
    extents, block, _ = state.extent
    flips, stays = extents.flips(level), state.protected(state.selected, extents.box)
    if stays.any():
        np.copyto(flips, False if block is None else block.within(extents.box), where=stays)
    return block_of(flips, extents.box)


def _view(look: Look, state: State, name: str) -> View:
    """A segment in a region, copied: what comes after does not change the request."""
    box, layer = voxel_box(state.grid, look.region.bounds_ras()), state.layers[name]
    original = others = None
    if layer.label is None:
        others = state.others(name, box)
        original = np.zeros_like(others)
        for block in layer.original:
            original |= block.within(box)
    protected = state.protected(name, box) | look.beyond(part_of(state.grid, box))
    return View(look.region, box, layer.mask[box].copy(), protected, original, others, look.fresh)
