"""One DICOM series from a folder: the slices are sorted and placed by their own headers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import SPACING_RANGE_MM, check_direction, check_grid, sheared
from HiDiffRefineLib.volumes.itk import affine_from_itk, native_messages_silenced

# A slice may lie this part of the slice distance off the regular grid. Scanners round positions:
# to 0.1 mm at 1.25 mm distance is 4 %.
POSITION_TOLERANCE = 0.1
# Direction cosines of one stack agree to their rounding.
ORIENTATION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Slice:
    file: str
    position: np.ndarray  # centre of the first pixel, LPS mm
    orientation: np.ndarray  # 6 direction cosines, LPS: along a row (i), along a column (j)
    spacing_ij: np.ndarray  # mm
    size_ij: tuple[int, int]
    rescale: tuple[str, str]  # slope and intercept as the header has them
    modality: str


def read_dicom_folder(folder: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Reads the single DICOM series of a folder (subfolders are not searched).

    Returns:
        The array (k, j, i) of rescaled values (CT: HU), the 4×4 affine to RAS mm and the modality. k runs
        along the normal of the slices, i × j.

    Raises:
        VolumeError: no series or several; slices that are missing, doubled, uneven, tilted, of mixed
            orientation or size; multi-frame or colour objects.
    """
    with native_messages_silenced():
        slices = [_read_header(file) for file in _series_files(folder)]
        first = slices[0]
        normal = _common_normal(slices)
        slices.sort(key=lambda s: s.position @ normal)
        positions = np.array([s.position for s in slices])
        _check_gaps(positions @ normal)
        _check_tilt(positions, normal, first.spacing_ij.min())
        array = _read_pixels(slices)
    distance = np.ptp(positions @ normal) / (len(slices) - 1)
    spacing = (*first.spacing_ij, distance)
    direction = np.stack([first.orientation[:3], first.orientation[3:], normal], axis=1)
    check_grid((*first.size_ij, len(slices)), spacing, direction)
    return array, affine_from_itk(positions[0], spacing, direction), first.modality


def _series_files(folder: Path) -> tuple[str, ...]:
    """The files of the folder's only series."""
    finder = sitk.ImageSeriesReader
    ids = finder.GetGDCMSeriesIDs(str(folder))
    series = [finder.GetGDCMSeriesFileNames(str(folder), series_id) for series_id in ids]
    if not series:
        raise VolumeError(
            "The folder holds no DICOM images.", "Choose the folder that directly holds the slices."
        )
    if len(series) > 1:
        found = "; ".join(_describe(files) for files in series)
        raise VolumeError(
            f"The folder holds {len(series)} DICOM series: {found}.",
            "Put the files of one series into a folder of its own.",
        )
    _check_nothing_skipped(folder, series[0])
    return series[0]


def _check_nothing_skipped(folder: Path, files: tuple[str, ...]) -> None:
    """GDCM leaves a truncated file out in silence, which would cost a slice at the end of the stack."""
    known = {Path(file).name for file in files} | {"DICOMDIR"}
    for path in folder.iterdir():
        if path.name not in known and path.is_file():
            with path.open("rb") as file:
                if file.read(132)[128:] == b"DICM":
                    raise _unreadable(path.name)


def _describe(files: tuple[str, ...]) -> str:
    reader = _header_reader(files[0])
    number = _tag(reader, "0020|0011")
    # Letters beyond ASCII arrive undecoded, as surrogates that no terminal prints.
    description = _tag(reader, "0008|103e").encode(errors="replace").decode() or "no description"
    return f"{f'series {number}, ' if number else ''}'{description}' ({len(files)} files)"


def _header_reader(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(file) from error
    return reader


def _tag(reader: sitk.ImageFileReader, key: str) -> str:
    return reader.GetMetaData(key).strip("\0 ") if reader.HasMetaDataKey(key) else ""


def _read_header(file: str) -> _Slice:
    reader = _header_reader(file)
    size = reader.GetSize()
    if len(size) > 2 and size[2] > 1:
        raise VolumeError(
            f"{Path(file).name} holds many frames in one DICOM object.",
            "Load it in 3D Slicer and export the volume as NRRD or NIfTI.",
        )
    if reader.GetNumberOfComponents() > 1:
        raise VolumeError(f"{Path(file).name} is a colour image.", "Choose a series of grey images.")
    try:
        position = np.array(_tag(reader, "0020|0032").split("\\"), float)
        orientation = np.array(_tag(reader, "0020|0037").split("\\"), float)
        # The header names the distance between rows (along j) first.
        spacing_ij = np.array(_tag(reader, "0028|0030").split("\\"), float)[::-1]
    except ValueError as error:
        raise _unplaced(file) from error
    if (len(position), len(orientation), len(spacing_ij)) != (3, 6, 2):
        raise _unplaced(file)
    rescale = (_tag(reader, "0028|1053"), _tag(reader, "0028|1052"))
    modality = _tag(reader, "0008|0060")
    return _Slice(file, position, orientation, spacing_ij, size[:2], rescale, modality)


def _common_normal(slices: list[_Slice]) -> np.ndarray:
    """The unit normal i × j (LPS) of slices that are known to be alike afterwards."""
    first = slices[0]
    if len(slices) < 2:
        raise VolumeError("The DICOM series has a single slice.", "Choose the series of a 3-D volume.")
    if any(np.abs(s.orientation - first.orientation).max() > ORIENTATION_TOLERANCE for s in slices):
        raise VolumeError(
            "The slices of the DICOM series have different orientations.",
            "Remove scout or localizer images, or put each orientation into a folder of its own.",
        )
    if any(s.size_ij != first.size_ij or not np.allclose(s.spacing_ij, first.spacing_ij) for s in slices):
        raise VolumeError(
            "The slices of the DICOM series differ in size or pixel spacing.",
            "Put the slices of one size into a folder of their own.",
        )
    row, column = first.orientation[:3], first.orientation[3:]
    normal = np.cross(row, column)
    check_direction(np.stack([row, column, normal], axis=1))
    return normal / np.linalg.norm(normal)


def _check_gaps(heights: np.ndarray) -> None:
    """Refuses slices, at ascending heights in mm along their normal, that are doubled, missing or uneven."""
    gaps = np.diff(heights)
    if gaps.min() < SPACING_RANGE_MM[0]:
        raise VolumeError(
            "The DICOM series holds several slices at one position.",
            "Put a single phase, echo or time point into a folder of its own.",
        )
    usual = np.percentile(gaps, 50, method="lower")
    even = np.linspace(heights[0], heights[-1], len(heights))
    if np.abs(heights - even).max() <= POSITION_TOLERANCE * usual:
        return
    steps = np.round(gaps / usual)
    if steps.min() == 1 and np.abs(gaps - steps * usual).max() <= POSITION_TOLERANCE * usual:
        missing = int(steps.sum()) - len(gaps)
        raise VolumeError(
            f"The DICOM series lacks {missing} slice{'s' if missing > 1 else ''} in between.",
            "Copy or send the whole series again.",
        )
    raise VolumeError(
        f"The slices of the DICOM series are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm).",
        "Choose an evenly spaced reconstruction, or resample the volume in 3D Slicer.",
    )


def _check_tilt(positions: np.ndarray, normal: np.ndarray, pixel_mm: float) -> None:
    """Refuses slices (LPS mm, one a row) that drift sideways by more than a quarter of a pixel."""
    offsets = positions - positions[0]
    sideways = offsets - np.outer(offsets @ normal, normal)
    if np.linalg.norm(sideways, axis=1).max() > 0.25 * pixel_mm:
        raise sheared()


def _read_pixels(slices: list[_Slice]) -> np.ndarray:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([s.file for s in slices])
    if len({s.rescale for s in slices}) > 1:
        # The first slice's type would truncate the others' fractions (PET rescales slice by slice).
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise VolumeError(
            "A slice of the DICOM series is damaged or incomplete.", "Copy or send the whole series again."
        ) from error


def _unreadable(file: str) -> VolumeError:
    return VolumeError(
        f"{Path(file).name} is no readable DICOM image.", "Remove it from the folder, or copy it again."
    )


def _unplaced(file: str) -> VolumeError:
    return VolumeError(
        f"{Path(file).name} does not say where it lies in the patient (position, orientation, spacing).",
        "Choose an original series rather than a screen capture or a derived picture.",
    )
