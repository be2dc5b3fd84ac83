"""Models without torch: a segmentor by thresholds, a refiner that paints a ball around the newest hint."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from HiDiffRefineLib.bundles import Bundle, load_bundle
from HiDiffRefineLib.geometry.boxes import bounding_box, part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import bounds_ras
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.extents import ANSWER, LEVELS, NEVER, extents_of
from HiDiffRefineLib.inference.messages import (
    EditRequest,
    LabelMask,
    Place,
    Preview,
    SegmentationRequest,
    Uncertainty,
    UncertaintyRequest,
)
from HiDiffRefineLib.volumes.volume import Volume

THRESHOLDS = (500, 700)
# Slices of a CT that are looked at in one turn of the event loop.
TURN = 20


@dataclass
class ObedientModels:
    """See `session.engine.Models`; `radii_mm` are those of the balls, one a reverse step."""

    radii_mm: tuple[float, ...] = (2.0, 4.0)
    bundle: Bundle = field(default_factory=lambda: load_bundle("hippocampus-mr"))
    refiner_bundle: Bundle = field(default_factory=lambda: load_bundle("refiner"))
    mode: str = "segmentor"

    def open(self, volume: Volume) -> "ObedientEngine":
        return ObedientEngine(volume, self)


@dataclass
class ObedientEngine:
    """See `session.engine.Engine`."""

    volume: Volume
    models: ObedientModels

    @property
    def bundle(self) -> Bundle:
        return self.models.bundle

    @property
    def mode(self) -> str:
        return self.models.mode

    @property
    def refiner_bundle(self) -> Bundle:
        return self.models.refiner_bundle

    def close(self) -> None:
        pass

    def run(self, request, progress, wait) -> Iterator:
        if not wait:
            yield None
        if isinstance(request, SegmentationRequest):
            progress(0.5, "looking")
            low, high = THRESHOLDS
            # A worker would do this beside the user interface: here it is done in small turns.
            lower, higher = (np.zeros(self.volume.array.shape, bool) for _ in range(2))
            for slices in (slice(k, k + TURN) for k in range(0, len(lower), TURN)):
                part = self.volume.array[slices]
                higher[slices] = part >= high
                lower[slices] = (part >= low) & (part < high)
                yield None
            masks = []
            for label, mask in ((1, lower), (2, higher)):
                masks.append(_labelled(label, mask))
                yield None
            yield masks
        elif isinstance(request, EditRequest):
            grid, positive = Grid(self.volume.array.shape, self.volume.ijk_to_ras), request.hints[-1].positive
            for radius in self.models.radii_mm:
                for view in request.views:
                    part = part_of(grid, view.box)
                    mask = view.mask | False
                    distances = _distances(part, bounds_ras(request.hints[-1]).mean(0))
                    mask[(distances < radius) & ~view.protected] = positive
                    unclamped = mask.copy()
                    hinted = hint_labels(request.hints, part)
                    mask[hinted != 0] = hinted[hinted != 0] > 0
                    yield Preview(view.box, mask, unclamped)
                    if not wait:
                        yield None
            if request.tentative:
                return
            # Balls at each level.
            first = np.clip(distances / radius * ANSWER + 1, 1, NEVER).astype(np.uint8)
            first[(view.mask == positive) | view.protected] = NEVER
            hinted = hinted != 0
            first[hinted] = np.where(mask != view.mask, LEVELS[0], NEVER)[hinted]
            yield extents_of(first, mask != view.mask, view.box)
        elif isinstance(request, UncertaintyRequest):
            grid = Grid(self.volume.array.shape, self.volume.ijk_to_ras)
            part, mask = part_of(grid, request.view.box), request.view.mask
            # All of the mask, and a first slice beyond it that is no place.
            values = np.where(mask, 0.5, 0).astype(np.float32)
            values[0] = 0.25
            place = Place((part.ijk_to_ras @ [*np.argwhere(mask)[0][::-1], 1])[:3], 1.25)
            yield Uncertainty(part, request.view.box, values, mask.astype(np.uint8), (place,))


def _labelled(label: int, mask: np.ndarray) -> LabelMask:
    box = bounding_box(mask)
    return LabelMask(label, box, None if box is None else mask[box])


def _distances(grid: Grid, point_ras: np.ndarray) -> np.ndarray:
    kji = np.indices(grid.shape_kji)
    points = np.einsum("rc,ckji->rkji", grid.ijk_to_ras[:3, :3], kji[::-1])
    offset = grid.ijk_to_ras[:3, 3] - point_ras
    return np.linalg.norm(points + offset[:, None, None, None], axis=0)
