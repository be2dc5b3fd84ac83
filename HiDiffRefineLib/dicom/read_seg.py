"""Segments out of a DICOM segmentation object, of any writer, on the grid of the series they belong to."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import iter_pixels

from HiDiffRefineLib.dicom.codes import label_of
from HiDiffRefineLib.dicom.files import legible, read_header, read_whole
from HiDiffRefineLib.dicom.segments import NOWHERE, Segment
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.dicom.slices import macro, slices_of
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.geometry.lattice import laid
from HiDiffRefineLib.volumes.itk import LPS_TO_RAS, affine_from_itk

# A part of a frame: its first voxel (k, j, i) in the series' grid, and the voxels (k, j, i) there.
Piece = tuple[np.ndarray, np.ndarray]


def read_seg(path: Path, series: Series, tick: Callable[[float], None] = lambda share: None) -> list[Segment]:
    """The segments of a SEG file: BINARY, LABELMAP, or FRACTIONAL (float32 probabilities).

    Args:
        series: the image that was segmented.
        tick: called with the share done.

    Returns:
        a segment for each that the file describes, the empty ones too.

    Raises:
        DicomError: no segmentation, of another patient position, or on another grid than the series.
        VolumeError: damaged.
    """
    header = read_header(path)
    with legible(path):
        _check_is_segmentation(header, series)
        labels = [label_of(item) for item in header.SegmentSequence]
        pieces = _pieces(path, header, series, tick)
        if set(pieces) - {label.value for label in labels}:
            raise ValueError("voxels of a segment that is not described")
        return [
            _joined(label, pieces[label.value], header.SegmentationType)
            for label in labels
            if label.value > 0  # 0 is the background of a LABELMAP
        ]


def _check_is_segmentation(header: pydicom.Dataset, series: Series) -> None:
    if header.get("Modality") != "SEG" or "SegmentSequence" not in header:
        raise DicomError("The file is no DICOM segmentation.", "Choose a file whose modality is SEG.")
    frames = [one.get("FrameOfReferenceUID") for one in (header, series.header)]
    referenced = {str(one.get("SeriesInstanceUID")) for one in header.get("ReferencedSeriesSequence") or []}
    # pydicom-seg names a frame of reference of its own, but also the series.
    of_series = str(series.header.SeriesInstanceUID) in referenced
    if all(frames) and frames[0] != frames[1] and not of_series:
        raise DicomError(
            "The segmentation belongs to another scan than the series (another frame of reference).",
            "Choose the series that was segmented.",
        )


def _pieces(
    path: Path, header: pydicom.Dataset, series: Series, tick: Callable[[float], None]
) -> dict[int, list[Piece]]:
    """What the frames hold, by segment number."""
    places = slices_of(path, header)
    highest = float(header.get("MaximumFractionalValue") or 1)
    found: dict[int, list[Piece]] = defaultdict(list)
    for n, frame in enumerate(_frames(path)):
        if n % 64 == 0:
            tick(n / len(places))
        if not frame.any():
            continue
        affine = affine_from_itk(places[n].position, (*places[n].spacing_ij, 1), _axes(places[n].orientation))
        if header.SegmentationType == "LABELMAP":
            for value in np.flatnonzero(np.bincount(frame[frame > 0])):
                found[int(value)].append(_placed(frame == value, affine, series))
        else:
            number = segment_number(header, n)
            values = frame / np.float32(highest) if header.SegmentationType == "FRACTIONAL" else frame > 0
            found[number].append(_placed(values, affine, series))
    return found


def _frames(path: Path) -> Iterator[np.ndarray]:
    """The frames (j, i), one at a time: all at once would take a byte for each bit."""
    whole = read_whole(path)
    pixels = whole.Rows * whole.Columns
    packed = whole.BitsAllocated == 1 and not whole.file_meta.TransferSyntaxUID.is_encapsulated
    if not packed or pixels % 8 == 0:
        yield from iter_pixels(whole, raw=True, allow_excess_frames=False)
        return
    # Frames that begin in the middle of a byte, which pydicom 3.0 gives only all at once.
    stored = np.frombuffer(whole.PixelData, np.uint8)
    for start in range(0, int(whole.NumberOfFrames) * pixels, pixels):
        part = np.unpackbits(stored[start // 8 : (start + pixels + 7) // 8], bitorder="little")
        yield part[start % 8 :][:pixels].reshape(whole.Rows, whole.Columns)


def segment_number(header: pydicom.Dataset, frame: int) -> int:
    """The segment that a frame of a SEG (no LABELMAP) belongs to."""
    identified = macro(header, frame, "SegmentIdentificationSequence")
    return int(identified.ReferencedSegmentNumber)


def _axes(orientation: np.ndarray) -> np.ndarray:
    row, column = orientation[:3], orientation[3:]
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _placed(values: np.ndarray, affine: np.ndarray, series: Series) -> Piece:
    """What is in a frame (j, i), cut to that, in the grid of the series.

    Raises:
        DicomError: voxels of the frame that are no voxels of the series.
    """
    rows, columns = (np.flatnonzero(values.any(axis=axis)) for axis in (1, 0))
    # A copy: as part of a frame it would keep the whole of it in memory.
    cut = values[None, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :2] @ (columns[0], rows[0])
    found = laid(cut, affine, _grid_at(series, affine[:3, 3]))
    if found is None:
        raise DicomError(
            "The segmentation lies on another grid than the series.",
            "Choose the series that was segmented, or resample the segmentation in 3D Slicer.",
        )
    array, first = found
    if (first < 0).any() or (first + array.shape > series.shape_kji).any():
        raise DicomError(
            "The segmentation reaches beyond the series.", "Choose the series that was segmented, whole."
        )
    return first, array


def _grid_at(series: Series, point_ras: np.ndarray) -> np.ndarray:
    """4×4 of the series, moved so that the slice nearest to a point lies where its header says.

    Scanners round positions, by more than a grid may be off.
    """
    k = int(np.rint((np.linalg.inv(series.ijk_to_ras) @ [*point_ras, 1])[2]))
    if not 0 <= k < len(series.slices):
        return series.ijk_to_ras
    moved = series.ijk_to_ras.copy()
    moved[:3, 3] = LPS_TO_RAS[:3, :3] @ series.slices[k].position - k * moved[:3, 2]
    return moved


def _joined(label, pieces: list[Piece], encoding: str) -> Segment:
    kind = np.float32 if encoding == "FRACTIONAL" else bool
    if not pieces:
        return Segment(label, NOWHERE, np.zeros((0, 0, 0), kind))
    low = np.min([first for first, _ in pieces], axis=0)
    high = np.max([first + part.shape for first, part in pieces], axis=0)
    values = np.zeros(high - low, kind)
    for first, part in pieces:
        here = values[tuple(slice(a, a + n) for a, n in zip(first - low, part.shape, strict=True))]
        np.maximum(here, part, out=here)
    return Segment(label, tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), values)
