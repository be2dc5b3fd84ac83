"""One edit of a session: where its hints take it, and what becomes of the mask there."""

from collections.abc import Iterator, Sequence

import numpy as np

from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint, bounds_ras
from HiDiffRefineLib.hints.rasterize import hint_values
from HiDiffRefineLib.inference.edit import Preview, Segment, edit_region, edit_steps
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.refiner import CONTEXT_KJI
from HiDiffRefineLib.inference.segmentor import prior_of_labels
from HiDiffRefineLib.session.blocks import Block, Box, apply, difference, revert
from HiDiffRefineLib.session.engine import Engine
from HiDiffRefineLib.session.layer import Layer
from HiDiffRefineLib.session.state import State

# Same question, same answer.
SEED = 0


def edit_regions(layer: Layer, grid: Grid, pipeline: Pipeline) -> list[Grid]:
    """Where an edit takes place: around the newest hint, then around pending ones that lie farther off.

    Args:
        grid: the volume's.

    Returns:
        grids of the refiner's input, that of the newest hint last.
    """
    object_ras = layer.bounds_ras(grid)
    working_kji = pipeline.working_spacing_kji(grid)
    patch_kji = pipeline.refiner_bundle.patch_size_kji
    regions: list[Grid] = []
    for hint in reversed(layer.told.pending or layer.told.hints[-1:]):
        if not any(_holds(region, hint) for region in regions):
            regions.append(edit_region(hint, object_ras, working_kji, patch_kji))
    return regions[::-1]


def edit_previews(engine: Engine, state: State, name: str, steps: int) -> Iterator[Preview]:
    """A segment after each reverse step, region after region, each on top of the one before.

    Args:
        steps: reverse steps in each region.
    """
    pipeline = engine.pipeline
    layer, shape = state.layers[name], state.grid.shape_kji
    regions = edit_regions(layer, state.grid, pipeline)
    boxes = [voxel_box(state.grid, region.bounds_ras()) for region in regions]
    # Memory that is never written is never claimed: these cost what the boxes cost, not the volume.
    mask, protected = np.zeros(shape, bool), np.zeros(shape, bool)
    for box in boxes:
        mask[box] = layer.mask[box]
        protected[box] = state.protected(name, box)
    network = pipeline.network("refiner")
    for region, box in zip(regions, boxes, strict=True):
        segment = segment_within(box, engine, state, name)
        hints = layer.told.hints
        for preview in edit_steps(
            network, pipeline.chain, segment, mask, hints, region, steps, SEED, protected
        ):
            yield preview
        mask[box] = preview.mask


def edit_blocks(state: State, name: str, previews: Sequence[Preview]) -> list[Block]:
    """What an edit changes in a segment's mask, in this order.

    A pending hint that no preview reached is written as it is: every hint holds however early the user stops.

    Args:
        previews: the last one of each region.
    """
    layer = state.layers[name]
    blocks: list[Block] = []

    def change(box: Box, after: np.ndarray) -> None:
        block = difference(layer.mask, after, box)
        if block is not None:
            apply(layer.mask, block)
            blocks.append(block)

    for preview in previews:
        change(preview.box, preview.mask)
    voxels_kji, values = hint_values(layer.told.pending, state.grid)
    unmet = layer.mask[tuple(voxels_kji.T)] != (values > 0)
    if unmet.any():
        voxels_kji, values = voxels_kji[unmet], values[unmet]
        low, high = voxels_kji.min(0), voxels_kji.max(0) + 1
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        after = layer.mask[box].copy()
        after[tuple((voxels_kji - low).T)] = values > 0
        change(box, after)
    for block in blocks:
        revert(layer.mask, block)
    return blocks


def segment_within(box: Box, engine: Engine, state: State, name: str) -> Segment:
    """A segment as the refiner takes it, in a box of the native grid.

    Its prior is the segmentor's. For a mask that came from elsewhere, label 1 is that mask before any edit, 2
    the other segments.
    """
    layer = state.layers[name]
    if layer.label is not None:
        return Segment(engine.image, state.grid, engine.prior, layer.label)
    original = np.zeros([s.stop - s.start for s in box], bool)
    if layer.original is not None:
        original = layer.original.within(box)
    others = np.zeros_like(original)
    for other, its in state.layers.items():
        if other != name:
            others |= its.mask[box]
    others &= ~original
    device = engine.image.device
    prior = prior_of_labels(original + 2 * others, part_of(state.grid, box), 3, device)
    return Segment(engine.image, state.grid, prior, 1)


def _holds(region: Grid, hint: Hint) -> bool:
    """Whether a region shows a hint with at least half the context that its own region would."""
    margin = np.array(CONTEXT_KJI[::-1]) / 2 * region.spacing_kji[::-1]
    (low, high), (first, last) = region.bounds_ras(), bounds_ras(hint)
    return bool((first >= low + margin).all() and (last <= high - margin).all())
