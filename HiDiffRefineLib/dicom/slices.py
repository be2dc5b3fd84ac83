"""Slices of a series: each a file of its own, or a frame of a multi-frame object (enhanced CT and MR)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from HiDiffRefineLib.dicom.files import legible
from HiDiffRefineLib.dicom.identity import named
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import SPACING_RANGE_MM

# Tags that say what stored values mean, and what one says that is not there.
_RESCALING, _TABLE = {"RescaleSlope": 1, "RescaleIntercept": 0}, "ModalityLUTSequence"


@dataclass(frozen=True)
class Slice:
    """Where a slice lies, and how its stored values become those of the image.

    Args:
        header: of its file, without pixels.
        frame: its number in that file, from 0; None where the file is one slice.
        position: centre of the first pixel, LPS mm.
        orientation: 6 direction cosines, LPS: along a row (i), along a column (j).
        spacing_ij: mm.
        size_ij: pixels.
        slope: of stored values; `intercept` is added then.
        rescaling: what the header has of the tags that say how.
        thickness: mm; 0 where the header tells none that can be.
    """

    file: Path
    header: pydicom.Dataset
    frame: int | None
    position: np.ndarray
    orientation: np.ndarray
    spacing_ij: np.ndarray
    size_ij: tuple[int, int]
    slope: float
    intercept: float
    rescaling: tuple[str, ...]
    thickness: float


def slices_of(file: Path, header: pydicom.Dataset) -> list[Slice]:
    """The slices of one file.

    Raises:
        VolumeError: it does not say where it lies.
    """
    with legible(file):
        if "PerFrameFunctionalGroupsSequence" in header:
            if len(header.PerFrameFunctionalGroupsSequence) != int(header.NumberOfFrames):
                raise ValueError("another number of frames than their headers")
            return [_frame(file, header, n) for n in range(int(header.NumberOfFrames))]
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise VolumeError(
                f"{file.name} holds many frames in one DICOM object that does not say where each lies"
                f" (no {named('PerFrameFunctionalGroupsSequence')}).",
                "Load it in 3D Slicer and export the volume as NRRD or NIfTI.",
            )
        return [_slice(file, header, None, [header] * 4)]


def macro(header: pydicom.Dataset, frame: int, name: str) -> pydicom.Dataset:
    """What a multi-frame header says of a frame: with that frame, or for all; empty where nowhere."""
    shared = header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    groups = (header.PerFrameFunctionalGroupsSequence[frame], shared[0])
    return next((group[name][0] for group in groups if group.get(name)), pydicom.Dataset())


def _frame(file: Path, header: pydicom.Dataset, number: int) -> Slice:
    macros = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
    )
    return _slice(file, header, number, [macro(header, number, name) for name in macros])


def _slice(file: Path, header: pydicom.Dataset, frame: int | None, parts: list[pydicom.Dataset]) -> Slice:
    """A slice from where its header has the position, the orientation, the pixel size and the rescaling."""
    placed, turned, measured, rescaled = parts
    position = _numbers(file, placed, "ImagePositionPatient", 3)
    orientation = _numbers(file, turned, "ImageOrientationPatient", 6)
    # The header names the distance between rows (along j) first.
    spacing_ij = _numbers(file, measured, "PixelSpacing", 2)[::-1]
    factors = {name: rescaled[name].value for name in _RESCALING if rescaled.get(name) not in (None, "")}
    rescaling = tuple(factors)
    if header.get(_TABLE):  # which stands in for them
        rescaling, factors = (_TABLE,), {}
    slope, intercept = (float(factors.get(name, bare)) for name, bare in _RESCALING.items())
    if not np.isfinite([slope, intercept]).all():
        raise ValueError("rescaling is no number")
    size_ij = int(header.Columns), int(header.Rows)
    return Slice(
        file,
        header,
        frame,
        position,
        orientation,
        spacing_ij,
        size_ij,
        slope,
        intercept,
        rescaling,
        _thickness(measured),
    )


def _thickness(part: pydicom.Dataset) -> float:
    """Only told along or of a single slice, so that no odd value may refuse a series."""
    try:
        thickness = abs(float(part.get("SliceThickness") or 0))
    except (TypeError, ValueError):
        return 0.0
    return thickness if SPACING_RANGE_MM[0] <= thickness <= SPACING_RANGE_MM[1] else 0.0


def _numbers(file: Path, part: pydicom.Dataset, name: str, count: int) -> np.ndarray:
    values = np.array(part.get(name) or [], float)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise VolumeError(
            f"{file.name} does not say where it lies in the patient: it has no usable {named(name)}.",
            "Choose an original series rather than a screen capture or a derived picture.",
        )
    return values
