"""Segments into a DICOM SEG file that is proven before it has its name."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from HiDiffRefineLib.dicom.checks import check_list
from HiDiffRefineLib.dicom.make import CERTAIN, CREATOR, make_seg, odd_headers_refused
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import Segment
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.geometry.boxes import Box, hull
from HiDiffRefineLib.volumes.new_files import new_files
from HiDiffRefineLib.volumes.write import check_destination

EXTENSIONS = (".dcm",)


def export_seg(
    path: Path,
    series: Series,
    segments: Sequence[Segment],
    encoding: str = "BINARY",
    creator: str = CREATOR,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> None:
    """Writes a file, reads it back and compares every voxel and every code; only then it appears.

    Args:
        path: the file, .dcm; replaced where it exists.
        series: what the segments lie on.
        segments: masks; for FRACTIONAL probabilities.
        encoding: BINARY, LABELMAP or FRACTIONAL.
        progress: called with the share done and a few words; what it raises ends the work.

    Raises:
        DicomError: a line of the check list that is not good, or a file that differs from what was meant.
        FileError: the file can't be written; one of before is as it was.
    """
    path = Path(path).absolute()
    check_destination(path, EXTENSIONS)
    if path.resolve() in {one.file.resolve() for one in series.slices}:
        raise DicomError(
            f"'{path.name}' is a slice of the series.", "Choose another name for the segmentation."
        )
    for check in check_list(series, segments, encoding):
        if not check.good:
            raise DicomError(check.text, check.remedy)
    progress(0.05, "making the segmentation")
    made = make_seg(series, segments, encoding, creator)
    with new_files(path) as [new]:
        progress(0.4, "writing")
        with odd_headers_refused():
            made.save_as(new, enforce_file_format=True)
        del made
        progress(0.6, "reading it back")
        found = read_seg(new, series, lambda share: progress(0.6 + 0.35 * share, "reading it back"))
        _compare(segments, found, encoding)
        progress(0.95, "done")


def _compare(meant: Sequence[Segment], found: Sequence[Segment], encoding: str) -> None:
    """Refuses a file that does not say what was meant."""
    if encoding == "LABELMAP":  # whose segments have the numbers of their labels
        meant = sorted(meant, key=lambda segment: segment.label.value)
    if len(meant) != len(found) or not all(map(_same, meant, found)):
        raise DicomError(
            "Read back, the file was not the same: it was not kept.",
            "Please report this; save the segmentation as .seg.nrrd meanwhile.",
        )


def _same(meant: Segment, found: Segment) -> bool:
    codes = ("name", "category", "type", "modifier", "region", "region_modifier")
    if any(getattr(meant.label, name) != getattr(found.label, name) for name in codes):
        return False
    # Outside the box that was found there is nothing; outside the one that was meant neither.
    both = hull([meant.box, found.box])
    laid = [_within(segment, both) for segment in (meant, found)]
    if meant.values.dtype == bool:
        return np.array_equal(*laid)
    return bool(np.abs(laid[0] - laid[1]).max(initial=0) <= 0.501 / CERTAIN)


def _within(segment: Segment, box: Box) -> np.ndarray:
    values = np.zeros([side.stop - side.start for side in box], segment.values.dtype)
    if segment.values.size:
        part = (slice(s.start - b.start, s.stop - b.start) for s, b in zip(segment.box, box, strict=True))
        values[tuple(part)] = segment.values
    return values
