"""A DICOM segmentation object (SEG): highdicom makes all but the pixels, which are put in frame by frame."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import highdicom
import numpy as np
from highdicom.frame import encode_frame
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from HiDiffRefineLib import __version__
from HiDiffRefineLib.dicom.codes import description_of
from HiDiffRefineLib.dicom.identity import UNICODE, identity_of
from HiDiffRefineLib.dicom.read_seg import segment_number
from HiDiffRefineLib.dicom.references import refer, stand_ins
from HiDiffRefineLib.dicom.segments import CERTAIN, Segment, in_255ths, labelmap_of, overlapping
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.volumes.provenance import OUR_NAME

ENCODINGS = ("BINARY", "LABELMAP", "FRACTIONAL")
# Far from the numbers that scanners give their series.
SERIES_NUMBER = 9001
# Two parts, as DICOM wants names; a person is only named where the user says so.
CREATOR = f"{OUR_NAME}^Software"
_RLE_HEADER = 64  # bytes


def make_seg(
    series: Series, segments: Sequence[Segment], encoding: str, creator: str = CREATOR
) -> highdicom.seg.Segmentation:
    """The segments as an object that is not stored yet.

    Every slice has its frame, empty or not: OHIF and others put frames in the wrong place where some lack
    (highdicom issue 214, OHIF 2833). highdicom wants all voxels of all segments at once, as floats where
    they are probabilities, 4 GB for 13 organs of a CT: it is given frames of one pixel.

    Args:
        segments: masks; for FRACTIONAL probabilities.
        encoding: one of `ENCODINGS`.
        creator: who answers for the content.

    Raises:
        DicomError: headers of the series that no segmentation can refer to.
    """
    numbers = list(range(1, len(segments) + 1))
    if encoding == "LABELMAP":  # which keeps the values of its labels
        segments = sorted(segments, key=lambda segment: segment.label.value)
        numbers = [segment.label.value for segment in segments]
    with odd_headers_refused():
        identity, _ = identity_of(series.header)
        sources = stand_ins(series, identity)
        made = _segmentation(sources, segments, numbers, encoding, creator)
        made.SpecificCharacterSet = UNICODE  # for segments' names, whatever the source has
        order = refer(made, series)
    _, made.Rows, made.Columns = series.shape_kji
    made.SegmentsOverlap = _overlap(series, segments, encoding)
    made.PixelData = _pixels(made, series, segments, encoding, order)
    return made


@contextmanager
def odd_headers_refused() -> Iterator[None]:
    """What the series' headers hold is copied into the segmentation: what can't be is said in a sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values in the source's header are not ours
            yield
    except (OSError, MemoryError):
        raise
    # Headers of any scanner go through here, and highdicom and pydicom fail on odd ones in many ways.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DicomError(
            f"The headers of the series do not allow a segmentation ({reason}).",
            "Export to another format, or send the series again from the scanner or the archive.",
        ) from error


def _overlap(series: Series, segments: Sequence[Segment], encoding: str) -> str:
    if encoding == "FRACTIONAL":
        return "UNDEFINED"
    return "YES" if encoding == "BINARY" and overlapping(segments, series.shape_kji) else "NO"


def _pixels(made, series: Series, segments: Sequence[Segment], encoding: str, order: list[int]) -> bytes:
    """Those of all frames, of which frame n shows slice order[n]."""
    if encoding == "LABELMAP":
        labelmap = labelmap_of(segments, series.shape_kji).astype(f"u{made.BitsAllocated // 8}")
        return encapsulate([_encoded(labelmap[k]) for k in order])
    frames = (_frame(segments[segment_number(made, n) - 1], k, series.shape_kji) for n, k in enumerate(order))
    if encoding == "FRACTIONAL":
        return encapsulate([_encoded(frame) for frame in frames])
    packed = b"".join(_packed(frames))
    return packed + bytes(len(packed) % 2)


def _frame(segment: Segment, k: int, shape_kji: tuple[int, int, int]) -> np.ndarray:
    """A slice of a segment, (j, i): 0 or 1, or 255ths."""
    frame = np.zeros(shape_kji[1:], np.uint8)
    slices, rows, columns = segment.box
    if slices.start <= k < slices.stop:
        frame[rows, columns] = in_255ths(segment.values[k - slices.start])
    return frame


def _packed(frames: Iterator[np.ndarray]) -> Iterator[bytes]:
    """A bit each; eight frames end with a whole byte, however many pixels one has."""
    for first in frames:
        eight = [first, *(frame for _, frame in zip(range(7), frames, strict=False))]
        yield np.packbits(np.concatenate(eight, axis=None), bitorder="little").tobytes()


def _encoded(frame: np.ndarray) -> bytes:
    """A frame in RLE. pydicom packs it row by row, slowly: rows without content, most of them, go by once."""
    filled = np.flatnonzero(frame.any(axis=1))
    if not filled.size or frame.itemsize > 1 or frame.shape[1] == 1:
        return _rle(frame) if filled.size else _encoded_empty(frame.shape, frame.dtype)
    first, last = filled[0], filled[-1] + 1
    empty = _encoded_empty((1, frame.shape[1]), frame.dtype)[_RLE_HEADER:]
    packed = _rle(np.vstack([frame[first:last], np.zeros_like(frame[:1])]))
    # Behind the last row there may be a byte that makes the length even. The row added shows where it ends.
    body = packed[_RLE_HEADER : packed.rindex(empty)]
    body = empty * first + body + empty * (len(frame) - last)
    return packed[:_RLE_HEADER] + body + bytes(len(body) % 2)


@lru_cache(maxsize=2)
def _encoded_empty(shape: tuple[int, int], kind: np.dtype) -> bytes:
    return _rle(np.zeros(shape, kind))


def _rle(frame: np.ndarray) -> bytes:
    bits = 8 * frame.itemsize
    return encode_frame(np.ascontiguousarray(frame), RLELossless, bits, bits, "MONOCHROME2", 0)


def _segmentation(sources, segments, numbers, encoding, creator) -> highdicom.seg.Segmentation:
    one_pixel = np.zeros((len(sources), 1, 1, len(segments)), np.uint8)
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=one_pixel[..., 0] if encoding == "LABELMAP" else one_pixel,
        segmentation_type=encoding,
        segment_descriptions=[
            description_of(segment.label, number, sources[0].SeriesInstanceUID)
            for number, segment in zip(numbers, segments, strict=True)
        ],
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        series_description=f"{OUR_NAME} segmentation",
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=OUR_NAME,
        manufacturer_model_name=OUR_NAME,
        software_versions=__version__,
        device_serial_number="none",
        content_label="SEGMENTATION",
        content_description=f"{OUR_NAME} segmentation",
        content_creator_name=creator,
        max_fractional_value=CERTAIN,
        transfer_syntax_uid=ExplicitVRLittleEndian if encoding == "BINARY" else RLELossless,
        omit_empty_frames=False,
    )
