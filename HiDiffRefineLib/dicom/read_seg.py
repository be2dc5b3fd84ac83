"""Segments out of a DICOM segmentation object, of any writer, on the grid of the series they belong to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import iter_pixels
from pydicom.uid import RLELossless

from HiDiffRefineLib.dicom.codes import label_of
from HiDiffRefineLib.dicom.files import files_at, legible, read_header, read_whole
from HiDiffRefineLib.dicom.pixels import NATIVE, stored_values
from HiDiffRefineLib.dicom.segments import NOWHERE, Segment, box_at
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.dicom.slices import Slice, macro, slices_of
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.geometry.lattice import laid
from HiDiffRefineLib.volumes.itk import LPS_TO_RAS, affine_from_itk
from HiDiffRefineLib.volumes.labels import Label


@dataclass(frozen=True)
class Piece:
    """What a frame holds of a segment, cut to that.

    Args:
        number: of the segment in the file.
        first: place (k, j, i) in the series' grid of the first of `values`.
        values: (k, j, i): bool, or float32 probabilities.
    """

    number: int
    first: np.ndarray
    values: np.ndarray


def read_seg(path: Path, series: Series, tick: Callable[[float], None] = lambda share: None) -> list[Segment]:
    """The segments of a SEG file: BINARY, LABELMAP, or FRACTIONAL (float32 probabilities).

    Args:
        series: the image that was segmented.
        tick: called with the share done.

    Returns:
        a segment for each that the file describes, the empty ones too. Numbers are those of the file, each
        one higher where it counts from 0.

    Raises:
        DicomError: no segmentation, of another patient position, or on another grid than the series.
        VolumeError: damaged.
    """
    header = read_seg_header(path, series)
    with legible(path):
        labels = labels_in(header)
        found: dict[int, list[Piece]] = {number: [] for number in labels}
        for piece in pieces_of(path, header, slices_of(path, header), series, tick):
            if piece.number not in found:
                raise ValueError("voxels of a segment that is not described")
            found[piece.number].append(piece)
        return [_joined(label, found[number], header.SegmentationType) for number, label in labels.items()]


def read_seg_header(path: Path, series: Series) -> pydicom.Dataset:
    """The header of a SEG file that belongs to a series; raises as `read_seg`."""
    header = read_header(path)
    with legible(path):
        _check_is_segmentation(header, series)
    return header


def find_seg(path: Path) -> Path:
    """The SEG file that is meant by a folder, a disc's index, or the file itself.

    Raises:
        DicomError: none, or several.
        VolumeError: damaged files.
    """
    files = files_at(path)
    if files == [path]:
        return path
    found = {file: header for file in files if (header := read_header(file)).get("Modality") == "SEG"}
    if not found:
        raise DicomError("The folder holds no DICOM segmentation.", "Choose a file whose modality is SEG.")
    if len(found) > 1:
        listed = "; ".join(f"{f.name}, '{h.get('SeriesDescription', '')}'" for f, h in found.items())
        raise DicomError(
            f"The folder holds {len(found)} DICOM segmentations: {listed}.", "Choose one of them."
        )
    return next(iter(found))


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


def labels_in(header: pydicom.Dataset) -> dict[int, Label]:
    """What each segment is, by its number in the file; the background of a LABELMAP is none.

    A file that counts from 0, which DICOM forbids but programs do, has labels one higher.
    """
    items = {int(item.SegmentNumber): item for item in header.SegmentSequence}
    if len(items) < len(header.SegmentSequence):
        raise DicomError(
            "Two segments of the file have the same SegmentNumber (0062,0004).",
            "Export it again from the program that made it.",
        )
    if header.SegmentationType == "LABELMAP":
        items.pop(_background(header), None)
    labels = {number: label_of(item) for number, item in items.items()}
    if 0 in labels:
        labels = {number: replace(label, value=number + 1) for number, label in labels.items()}
    return labels


def _background(header: pydicom.Dataset) -> int:
    """The value of a LABELMAP's voxels that are of no segment."""
    padding = header.get("PixelPaddingValue")
    return 0 if padding is None else int(padding)


def pieces_of(
    path: Path,
    header: pydicom.Dataset,
    places: Sequence[Slice],
    series: Series,
    tick: Callable[[float], None] = lambda share: None,
) -> Iterator[Piece]:
    """What the frames hold, one at a time.

    Args:
        header: of the file; see `read_seg_header`.
        places: of its frames; see `slices_of`.
    """
    highest = np.float32(header.get("MaximumFractionalValue") or 1)
    for n, frame in enumerate(_frames(path)):
        if n % 64 == 0:
            tick(n / len(places))
        affine = affine_from_itk(places[n].position, (*places[n].spacing_ij, 1), _axes(places[n].orientation))
        for number, held in _held(header, n, frame):
            first, values = _placed(held, affine, series)
            yield Piece(number, first, values if values.dtype == bool else values / highest)


def _held(header: pydicom.Dataset, n: int, frame: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The segments that are in frame n: their numbers and masks, or fractions as they are stored."""
    if header.SegmentationType == "LABELMAP":
        background = _background(header)
        for value in np.flatnonzero(np.bincount(frame.ravel())):
            if value != background:
                yield int(value), frame == value
    elif frame.any():
        fractions = header.SegmentationType == "FRACTIONAL"
        yield segment_number(header, n), frame if fractions else frame > 0


def _frames(path: Path) -> Iterator[np.ndarray]:
    """The frames (j, i), one at a time: all at once would take a byte for each bit."""
    whole = read_whole(path)
    syntax = whole.file_meta.TransferSyntaxUID
    if syntax not in (*NATIVE, RLELossless):
        yield from stored_values(path)
        return
    pixels = whole.Rows * whole.Columns
    packed = whole.BitsAllocated == 1 and syntax in NATIVE
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


def _placed(values: np.ndarray, affine: np.ndarray, series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Place and values, in the grid of the series, of what is in a frame (j, i), cut to that.

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


def _joined(label: Label, pieces: list[Piece], encoding: str) -> Segment:
    kind = np.float32 if encoding == "FRACTIONAL" else bool
    if not pieces:
        return Segment(label, NOWHERE, np.zeros((0, 0, 0), kind))
    low = np.min([piece.first for piece in pieces], axis=0)
    high = np.max([piece.first + piece.values.shape for piece in pieces], axis=0)
    values = np.zeros(high - low, kind)
    for piece in pieces:
        part = box_at(piece.first - low, piece.values.shape)
        np.maximum(values[part], piece.values, out=values[part])
    return Segment(label, box_at(low, values.shape), values)
