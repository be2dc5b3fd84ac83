"""Segments into a DICOM SEG file that is proven before it has its name."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from HiDiffRefineLib.dicom.checks import check_list
from HiDiffRefineLib.dicom.make import CREATOR, make_seg, odd_headers_refused
from HiDiffRefineLib.dicom.proof import prove
from HiDiffRefineLib.dicom.segments import Segment
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.errors import DicomError
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
        VolumeError: the file cannot be written.
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
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        progress(0.4, "writing")
        with odd_headers_refused():
            made.save_as(temporary, enforce_file_format=True)
        del made
        progress(0.6, "reading it back")
        prove(
            temporary,
            series,
            segments,
            lambda share: progress(0.6 + 0.35 * share, "reading it back"),
        )
        progress(0.95, "done")
        os.replace(temporary, path)
    except OSError as error:
        raise DicomError(
            f"'{path.name}' could not be written ({error.strerror}).", "Check that its folder has space left."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
