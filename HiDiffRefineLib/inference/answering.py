"""One request of a session, answered on one device."""

from collections.abc import Iterator

import numpy as np

from HiDiffRefineLib.geometry.boxes import part_of, voxel_box, whole_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.compose import compose, label_probability
from HiDiffRefineLib.inference.edit import Segment, edit_steps
from HiDiffRefineLib.inference.extents import Extents
from HiDiffRefineLib.inference.messages import (
    EditRequest,
    LabelMask,
    Preview,
    Progress,
    Request,
    SegmentationRequest,
    Uncertainty,
    UncertaintyRequest,
    View,
    WarmUpRequest,
)
from HiDiffRefineLib.inference.prepared_volume import PreparedVolume
from HiDiffRefineLib.inference.regions import edit_region, working_spacing_kji
from HiDiffRefineLib.inference.segmentor import prior_of_labels
from HiDiffRefineLib.inference.uncertainty import uncertainty_of


def answer(prepared: PreparedVolume, request: Request, progress: Progress) -> Iterator:
    """What `messages` promises for each kind of request.

    Raises:
        HiDiffRefineError: what the pipeline refuses.
        torch.cuda.OutOfMemoryError: the device is full.
    """
    match request:
        case EditRequest():
            yield from _previews(prepared, request)
        case UncertaintyRequest():
            yield _uncertainty(prepared, request)
        case SegmentationRequest():
            yield _label_masks(prepared, request, progress)
        case WarmUpRequest():
            _warm_up(prepared, progress)


def _previews(prepared: PreparedVolume, request: EditRequest) -> Iterator[Preview | Extents]:
    pipeline, shape = prepared.pipeline, prepared.grid.shape_kji
    pipeline.check(request.steps, ["refiner"])
    # Memory that is never written is never claimed: these cost what the boxes cost, not the volume.
    mask, protected = np.zeros(shape, bool), np.zeros(shape, bool)
    for view in request.views:
        mask[view.box] = view.mask
    for view in request.views:
        # Its own alone: what another view may not reach, this one may.
        protected[view.box] = view.protected
        segment = _segment(prepared, view, request)
        last, extents = yield from edit_steps(
            pipeline.edit_network,
            pipeline.chain,
            segment,
            mask,
            request.hints,
            view.region,
            request.steps,
            request.seed,
            protected,
            request.asked,
            view.fresh,
            not request.tentative,
        )
        mask[view.box] = last.mask
    if extents is not None:
        yield extents


def _uncertainty(prepared: PreparedVolume, request: UncertaintyRequest) -> Uncertainty:
    pipeline = prepared.pipeline
    pipeline.check(request.steps, ["refiner"])
    segment = _segment(prepared, request.view, request)
    return uncertainty_of(segment, request, pipeline.network("refiner"), pipeline.chain, pipeline.temperature)


def _label_masks(
    prepared: PreparedVolume, request: SegmentationRequest, progress: Progress
) -> list[LabelMask]:
    """No voxel is in two of them. Of regions of interest that overlap, the last one that finds a label."""
    labels, grid = prepared.pipeline.bundle.labels, prepared.grid
    labelmap, rois = np.zeros(grid.shape_kji, np.uint8), request.rois or (None,)
    for roi in request.rois:
        roi.box(grid)
    for n, roi in enumerate(rois):
        prior = prepared.prior(roi, lambda share, what, n=n: progress(0.9 * (n + share) / len(rois), what))
        part = prepared.scan(roi).grid
        maps = [label_probability(prior, label.value, part) for label in labels]
        box = whole_box(grid.shape_kji)
        if roi is not None:
            box, inside = roi.box(grid), roi.holds(part)
            maps = [found and found.within(inside) for found in maps]
        shown = compose(maps, part.shape_kji)
        labelmap[box][shown > 0] = shown[shown > 0]
    progress(1.0, "segmenting")
    return [_label_mask(labelmap, label.value) for label in labels]


def _label_mask(labelmap: np.ndarray, value: int) -> LabelMask:
    mask = labelmap == value
    if not mask.any():
        return LabelMask(value, None, None)
    sides = [np.flatnonzero(mask.any(axis=others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1))]
    box = tuple(slice(int(first), int(last) + 1) for first, last in sides)
    return LabelMask(value, box, mask[box])


def _warm_up(prepared: PreparedVolume, progress: Progress) -> None:
    """One edit of an empty mask in the volume's middle: loads the refiner, and records its graphs."""
    progress(0.0, "loading the refiner")
    pipeline, grid = prepared.pipeline, prepared.grid
    steps = pipeline.check(None, ["refiner"])
    middle = Click(grid.center_ras, True)
    patch_kji = pipeline.refiner_bundle.patch_size_kji
    region = edit_region(middle, None, working_spacing_kji(pipeline.bundle, grid, patch_kji), patch_kji)
    box = voxel_box(grid, region.bounds_ras())
    nothing = np.zeros(part_of(grid, box).shape_kji, bool)
    view = View(region, box, nothing, nothing, nothing, nothing)
    request = EditRequest((view,), (middle,), None, (), steps, 0)
    for n, _ in zip(range(1, steps + 1), _previews(prepared, request), strict=False):
        progress(n / steps, "warming up")


def _segment(prepared: PreparedVolume, view: View, request: EditRequest | UncertaintyRequest) -> Segment:
    """A segment as the refiner takes it.

    Its prior is the segmentor's, of the region of interest nearest to the view. For a mask that came from
    elsewhere, label 1 is that mask before any edit, 2 the other segments.
    """
    if request.label is None:
        # In bytes: as 64-bit integers a box of 5 million voxels takes 18 ms more.
        labelmap = view.original + np.uint8(2) * (view.others & ~view.original)
        grid, image = part_of(prepared.grid, view.box), prepared.image()
        here = prior_of_labels(labelmap, grid, 3, image.device)
        return Segment(image, prepared.grid, here, 1, foreign=True)
    roi = min(request.rois, key=lambda roi: _distance(roi.center_ras, view.region), default=None)
    return Segment(prepared.image(roi), prepared.grid, prepared.prior(roi), request.label)


def _distance(center_ras, region: Grid) -> float:
    return float(np.linalg.norm(np.subtract(center_ras, region.center_ras)))
