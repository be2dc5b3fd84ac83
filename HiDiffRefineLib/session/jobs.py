"""Long work of a session, as iterators: what an engine answers, and what becomes of it when it ends."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from HiDiffRefineLib.geometry.boxes import Box, slabs
from HiDiffRefineLib.inference.extents import Extents
from HiDiffRefineLib.inference.messages import (
    EditRequest,
    Preview,
    Progress,
    SegmentationRequest,
    Uncertainty,
    UncertaintyRequest,
)
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session.blocks import Block, block_of
from HiDiffRefineLib.session.editing import edit_blocks, newest_of_each
from HiDiffRefineLib.session.steps import NewSegment

if TYPE_CHECKING:
    from HiDiffRefineLib.session.session import RefinementSession

# At a time, in a few milliseconds.
PACKED_VOXELS = 4_000_000


def editing(
    session: "RefinementSession", name: str, request: EditRequest, wait: bool
) -> Iterator[Preview | None]:
    """Previews of an edit, which counts from the first one on, closed or not."""
    last: list[Preview] = []
    extents = None
    try:
        with closing(session.engine.run(request, ignore, wait)) as answers:
            for found in answers:
                if isinstance(found, Extents):
                    extents = found
                    continue
                if found is not None:
                    last = newest_of_each(last, found)
                yield found
    except GeneratorExit:
        if not last:
            raise
    blocks, block = edit_blocks(session.state, name, last, extents)
    session._do("edit", name=name, blocks=blocks, extents=extents, block=block)


def segmenting(
    session: "RefinementSession", rois: tuple[RegionOfInterest, ...], progress: Progress, wait: bool
) -> Iterator[None]:
    """None while the segmentor works, then the segments are there."""
    with closing(session.engine.run(SegmentationRequest(rois), progress, wait)) as answers:
        for masks in answers:
            if masks is not None:
                break
            yield None
    names = {label.value: label.name for label in session.engine.bundle.labels}
    segments = []
    for found in masks:
        parts = [] if found.box is None else slabs_of(found.mask, found.box)
        blocks = yield from _packing(parts)
        segments.append(NewSegment(names[found.label], found.label, found.label, blocks, rois))
    yield from _adding(session, segments)


def adopting(
    session: "RefinementSession", name: str, parts: Iterable[tuple[Box, np.ndarray]]
) -> Iterator[None]:
    """None now and then, then a segment of that name is there."""
    # The model's values stay free for its own segments.
    used = [label.value for label in session.engine.bundle.labels]
    used += [layer.value for layer in session.state.layers.values()]
    blocks = yield from _packing(parts)
    yield from _adding(session, [NewSegment(name, max(used, default=0) + 1, None, blocks)])


def finding_uncertainty(
    session: "RefinementSession", request: UncertaintyRequest, wait: bool
) -> Iterator[Uncertainty | None]:
    """None while the refiner works, then its uncertainty."""
    with closing(session.engine.run(request, ignore, wait)) as answers:
        for uncertainty in answers:
            if uncertainty is not None:
                session.last_uncertainty, session._looked_at = uncertainty, 0
            yield uncertainty


def slabs_of(mask: np.ndarray, box: Box) -> Iterator[tuple[Box, np.ndarray]]:
    """A mask of a box, some slices at a time."""
    for slab in slabs(box, PACKED_VOXELS):
        k = slab[0]
        yield slab, mask[k.start - box[0].start : k.stop - box[0].start]


def _packing(parts: Iterable[tuple[Box, np.ndarray]]) -> Generator[None, None, tuple[Block, ...]]:
    blocks = []
    for box, mask in parts:
        block = block_of(mask, box)
        if block is not None:
            blocks.append(block)
        yield None
    return tuple(blocks)


def _adding(session: "RefinementSession", segments: list[NewSegment]) -> Iterator[None]:
    yield from session.state.adding(segments)
    session._done("add", segments=segments)


def ignore(share: float, what: str) -> None:
    """Nobody looks at the progress."""
