"""A DICOM segmentation object (SEG), made by highdicom from segments and the series they lie on."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import highdicom
import numpy as np
import pydicom
from highdicom.frame import encode_frame
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from HiDiffRefineLib import __version__
from HiDiffRefineLib.dicom.codes import description_of
from HiDiffRefineLib.dicom.read_seg import segment_number
from HiDiffRefineLib.dicom.segments import Segment, labelmap_of, overlapping
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.dicom.slices import macro
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.volumes.provenance import OUR_NAME

ENCODINGS = ("BINARY", "LABELMAP", "FRACTIONAL")
# A probability of 1 in a FRACTIONAL object, whose voxels have 8 bits.
CERTAIN = 255
# Far from the numbers that scanners give their series.
SERIES_NUMBER = 9001
# Two parts, as DICOM wants names; a person is only named where the user says so.
CREATOR = f"{OUR_NAME}^Software"
# Those that highdicom copies: a source that was de-identified may lack them, a SEG may have them empty.
_OF_PATIENT_AND_STUDY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
_OF_HOSPITAL = (
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "OperatorsName",
)


def make_seg(
    series: Series, segments: Sequence[Segment], encoding: str, creator: str = CREATOR
) -> highdicom.seg.Segmentation:
    """The segments as an object that is not stored yet.

    Every slice has its frame, empty or not: OHIF and others put frames in the wrong place where some lack
    (highdicom issue 214, OHIF 2833).

    Args:
        segments: masks; for FRACTIONAL probabilities.
        encoding: one of `ENCODINGS`.
        creator: who answers for the content.

    Raises:
        DicomError: headers of the series that no segmentation can refer to.
    """
    sources, order = _sources(series)
    make = _fractional if encoding == "FRACTIONAL" else _masks
    with odd_headers_refused():
        made = _nameless(make(series, segments, order, encoding, sources, creator))
        made.SpecificCharacterSet = "ISO_IR 192"  # Unicode: for segments' names, whatever the source has
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


def _sources(series: Series) -> tuple[list[pydicom.Dataset], list[int]]:
    """Headers that the segmentation refers to, and the k of each of their slices or frames, in turn."""
    headers = {id(one.header): one.header for one in series.slices}
    sources = [copy.copy(header) for header in headers.values()]
    for name in _OF_PATIENT_AND_STUDY:
        if name not in sources[0]:
            setattr(sources[0], name, "")
    if series.slices[0].frame is None and not sources[0].get("SliceThickness"):
        sources[0].SliceThickness = f"{_spacing_kji(series)[0]:.6g}"
    if series.slices[0].frame is None:
        return sources, list(range(len(series.slices)))
    if len(sources) > 1:
        raise DicomError(
            f"The series has {len(sources)} multi-frame objects, where a segmentation can refer to one.",
            "Choose a series of one object, or of single slices.",
        )
    return sources, list(np.argsort([one.frame for one in series.slices]))


def _nameless(made: highdicom.seg.Segmentation) -> highdicom.seg.Segmentation:
    """Without the hospital's and the scanner's names, which highdicom copies into a list of equipment."""
    for equipment in made.ContributingEquipmentSequence:
        for name in _OF_HOSPITAL:
            if name in equipment:
                delattr(equipment, name)
    return made


def _masks(series, segments, order, encoding, sources, creator) -> highdicom.seg.Segmentation:
    """BINARY or LABELMAP. BINARY numbers its segments from 1; LABELMAP keeps their values."""
    numbers = range(1, len(segments) + 1)
    if encoding == "LABELMAP":
        segments = sorted(segments, key=lambda segment: segment.label.value)
        numbers = [segment.label.value for segment in segments]
    if encoding == "LABELMAP":
        array = labelmap_of(segments, series.shape_kji)
    elif overlapping(segments, series.shape_kji) is None:
        array = np.zeros(series.shape_kji, np.min_scalar_type(len(segments)))
        for number, segment in zip(numbers, segments, strict=True):
            array[segment.box][segment.values] = number
    else:
        array = np.zeros((*series.shape_kji, len(segments)), np.uint8)
        for n, segment in enumerate(segments):
            array[(*segment.box, n)] = segment.values
    syntax = RLELossless if encoding == "LABELMAP" else ExplicitVRLittleEndian
    return _segmentation(series, segments, numbers, array[order], encoding, sources, creator, syntax)


def _fractional(series, segments, order, encoding, sources, creator) -> highdicom.seg.Segmentation:
    """Probabilities. highdicom wants them all at once as floats, 4 GB for 13 organs of a CT: it makes the
    header, for frames of one pixel, and they are put in here, one by one."""
    one_pixel = np.ones((len(order), 1, 1, len(segments)), np.uint8)
    numbers = range(1, len(segments) + 1)
    made = _segmentation(
        series,
        segments,
        numbers,
        one_pixel,
        encoding,
        sources,
        creator,
        RLELossless,
        plane_positions=[
            highdicom.PlanePositionSequence("PATIENT", series.slices[k].position) for k in order
        ],
    )
    made.SegmentsOverlap = "UNDEFINED"
    _, made.Rows, made.Columns = series.shape_kji
    places = {tuple(np.round(one.position, 6)): k for k, one in enumerate(series.slices)}
    frames = []
    for n in range(int(made.NumberOfFrames)):
        segment = segments[segment_number(made, n) - 1]
        position = macro(made, n, "PlanePositionSequence").ImagePositionPatient
        k = places[tuple(np.round(np.array(position, float), 6))]
        frame = _frame(segment, k, series.shape_kji)
        frames.append(_encoded(frame) if frame.any() else _encoded_empty(*frame.shape))
    made.PixelData = encapsulate(frames)
    return made


def _frame(segment: Segment, k: int, shape_kji: tuple[int, int, int]) -> np.ndarray:
    frame = np.zeros(shape_kji[1:], np.uint8)
    slices, rows, columns = segment.box
    if slices.start <= k < slices.stop:
        frame[rows, columns] = np.rint(segment.values[k - slices.start] * CERTAIN)
    return frame


@lru_cache(maxsize=1)
def _encoded_empty(rows: int, columns: int) -> bytes:
    """Two frames of three are empty, and each would take some milliseconds."""
    return _encoded(np.zeros((rows, columns), np.uint8))


def _encoded(frame: np.ndarray) -> bytes:
    return encode_frame(frame, RLELossless, 8, 8, "MONOCHROME2", 0)


def _segmentation(
    series, segments, numbers, array, encoding, sources, creator, syntax, **more
) -> highdicom.seg.Segmentation:
    source = series.header
    spacing_kji = _spacing_kji(series).tolist()
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=array,
        segmentation_type=encoding,
        segment_descriptions=[
            description_of(segment.label, number, source.SeriesInstanceUID)
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
        transfer_syntax_uid=syntax,
        omit_empty_frames=False,
        pixel_measures=highdicom.PixelMeasuresSequence(
            pixel_spacing=spacing_kji[1:],
            slice_thickness=float(sources[0].get("SliceThickness") or spacing_kji[0]),
            spacing_between_slices=spacing_kji[0],
        ),
        **more,
    )


def _spacing_kji(series: Series) -> np.ndarray:
    return np.linalg.norm(series.ijk_to_ras[:3, :3], axis=0)[::-1]
