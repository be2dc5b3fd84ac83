"""A segmentation that was just written, read back: whose it is, what it says, where it lies, every voxel."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pydicom

from HiDiffRefineLib.dicom.files import legible
from HiDiffRefineLib.dicom.identity import IDENTIFYING, identity_of
from HiDiffRefineLib.dicom.read_seg import Piece, labels_in, pieces_of, read_seg_header, segment_number
from HiDiffRefineLib.dicom.segments import CERTAIN, Segment, box_at, in_255ths
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.dicom.slices import Slice, slices_of
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.geometry.boxes import Box

_TOLD = ("name", "category", "type", "modifier", "region", "region_modifier")
# mm: the last decimals of numbers that DICOM holds in 16 characters.
_ROUNDING_MM = 1e-3


def prove(path: Path, series: Series, meant: Sequence[Segment], tick: Callable[[float], None]) -> None:
    """Refuses a file that does not say what was meant.

    Raises:
        DicomError: it differs.
        VolumeError: it cannot be read.
    """
    header = read_seg_header(path, series)
    if header.SegmentationType == "LABELMAP":  # whose segments have the numbers of their labels
        meant = sorted(meant, key=lambda segment: segment.label.value)
    with legible(path):
        labels = labels_in(header)
        if len(labels) != len(meant) or any(
            getattr(label, name) != getattr(segment.label, name)
            for label, segment in zip(labels.values(), meant, strict=True)
            for name in _TOLD
        ):
            raise _different()
        _check_names(header, series)
        places = slices_of(path, header)
        _check_places(places, header, series)
        segments = dict(zip(labels, meant, strict=True))
        _check_voxels(pieces_of(path, header, places, series, tick), segments)


def _check_names(header: pydicom.Dataset, series: Series) -> None:
    """Refuses a file that an archive would take for another patient's or study's."""
    identity, _ = identity_of(series.header)
    if any(str(header.get(keyword) or "") != str(identity.get(keyword) or "") for keyword in IDENTIFYING):
        raise _different()


def _check_places(frames: Sequence[Slice], header: pydicom.Dataset, series: Series) -> None:
    """Refuses frames that are not where the slices of the series are, by each rule that readers have.

    Some go by the frames' positions, others take the first one and step on by what the file says of the
    distance between slices.
    """
    measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    grids = np.array([[*one.orientation, *one.spacing_ij] for one in (series.slices[0], *frames)])
    distance = np.linalg.norm(series.ijk_to_ras[:3, 2])
    masks = header.SegmentationType != "LABELMAP"
    of_frames = _positions(frames)
    held = {(segment_number(header, n) if masks else 0, place) for n, place in enumerate(of_frames)}
    if (
        set(of_frames) != set(_positions(series.slices))
        or len(held) != len(frames)
        or abs(float(measures.SpacingBetweenSlices) - distance) > _ROUNDING_MM
        or np.abs(grids - grids[0]).max() > _ROUNDING_MM
    ):
        raise _different()


def _positions(slices: Sequence[Slice]) -> list[tuple[float, ...]]:
    return [tuple(np.round(one.position, 3).tolist()) for one in slices]


def _check_voxels(pieces: Iterable[Piece], segments: dict[int, Segment]) -> None:
    """Refuses a voxel that is another, piece by piece: all at once would double the memory."""
    left = {number: np.count_nonzero(in_255ths(segment.values)) for number, segment in segments.items()}
    seen = set()
    for piece in pieces:
        place = piece.number, int(piece.first[0])
        if place in seen or piece.number not in segments:
            raise _different()
        seen.add(place)
        meant = _within(segments[piece.number], box_at(piece.first, piece.values.shape))
        found = piece.values if meant.dtype == bool else np.rint(piece.values * CERTAIN)
        if not np.array_equal(found, in_255ths(meant)):
            raise _different()
        left[piece.number] -= np.count_nonzero(found)
    if any(left.values()):
        raise _different()


def _within(segment: Segment, box: Box) -> np.ndarray:
    """What a segment holds in a box, which may reach beyond its own."""
    values = np.zeros([side.stop - side.start for side in box], segment.values.dtype)
    sides = zip(segment.box, box, strict=True)
    shared = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in sides]
    if all(side.start < side.stop for side in shared):
        here, there = (
            tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(shared, of, strict=True))
            for of in (box, segment.box)
        )
        values[here] = segment.values[there]
    return values


def _different() -> DicomError:
    return DicomError(
        "Read back, the file was not the same: it was not kept.",
        "Please report this; save the segmentation as .seg.nrrd meanwhile.",
    )
