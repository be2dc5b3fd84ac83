"""Long work of a session, as iterators: what an engine answers, and what becomes of it when it ends."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from HiDiffRefineLib.inference.messages import (
    Doubt,
    DoubtRequest,
    EditRequest,
    Preview,
    Progress,
    SegmentationRequest,
)
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session.blocks import difference
from HiDiffRefineLib.session.editing import edit_blocks
from HiDiffRefineLib.session.steps import NewSegment

if TYPE_CHECKING:
    from HiDiffRefineLib.session.session import RefinementSession


def editing(
    session: "RefinementSession", name: str, request: EditRequest, wait: bool
) -> Iterator[Preview | None]:
    """Previews of an edit, which counts from the first one on, closed or not."""
    last: list[Preview] = []  # of each region
    try:
        with closing(session.engine.run(request, _ignore, wait)) as answers:
            for preview in answers:
                if preview is not None:
                    last = [*(seen for seen in last if seen.box != preview.box), preview]
                yield preview
    except GeneratorExit:
        if not last:
            raise
    session._do("edit", name=name, blocks=edit_blocks(session.state, name, last))


def segmenting(
    session: "RefinementSession", rois: tuple[RegionOfInterest, ...], progress: Progress, wait: bool
) -> Iterator[None]:
    """None while the segmentor works, then the segments are there."""
    with closing(session.engine.run(SegmentationRequest(rois), progress, wait)) as answers:
        for masks in answers:
            if masks is not None:
                break
            yield None
    nothing = np.zeros(session.state.grid.shape_kji, bool)
    names = {label.value: label.name for label in session.engine.bundle.labels}
    segments = []
    for found in masks:
        block = None if found.box is None else difference(nothing, found.mask, found.box)
        segments.append(NewSegment(names[found.label], found.label, found.label, block, rois))
    session._do("add", segments=segments)


def doubting(session: "RefinementSession", request: DoubtRequest, wait: bool) -> Iterator[Doubt | None]:
    """None while the refiner works, then its doubt."""
    with closing(session.engine.run(request, _ignore, wait)) as answers:
        for doubt in answers:
            if doubt is not None:
                session._doubtful = list(doubt.places_ras)
            yield doubt


def _ignore(share: float, what: str) -> None:
    """Nobody looks at the progress of an edit: its previews show it."""
