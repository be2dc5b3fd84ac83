"""Slices that make a volume: in order, complete, evenly spaced, above each other."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.dicom.identity import named
from HiDiffRefineLib.dicom.slices import Slice
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import SPACING_RANGE_MM, check_direction, check_grid, sheared
from HiDiffRefineLib.volumes.itk import affine_from_itk

# A slice may lie this part of the slice distance off the regular grid. Scanners round positions:
# to 0.1 mm at 1.25 mm distance is 4 %.
POSITION_TOLERANCE = 0.1
# Direction cosines of one stack agree to their rounding.
ORIENTATION_TOLERANCE = 1e-3
_POSITION = named("ImagePositionPatient")


def stacked(slices: Sequence[Slice]) -> tuple[list[Slice], np.ndarray]:
    """The slices in the order of k, and the 4×4 affine of their volume to RAS mm.

    k runs along the normal of the slices, i × j. A single slice is as thick as it says, or 1 mm.

    Raises:
        VolumeError: slices that are missing, doubled, uneven, tilted, of mixed orientation or size.
    """
    _check_copies(slices)
    _check_rescaling(slices)
    normal = _common_normal(slices)
    slices = sorted(slices, key=lambda s: s.position @ normal)
    first = slices[0]
    positions = np.array([s.position for s in slices])
    distance = first.thickness or 1.0
    if len(slices) > 1:
        _check_gaps(positions @ normal)
        _check_tilt(positions, normal, first.spacing_ij.min())
        distance = np.ptp(positions @ normal) / (len(slices) - 1)
    spacing = (*first.spacing_ij, distance)
    direction = np.stack([first.orientation[:3], first.orientation[3:], normal], axis=1)
    check_grid((*first.size_ij, len(slices)), spacing, direction, thinnest=1)
    return slices, affine_from_itk(positions[0], spacing, direction)


def _check_copies(slices: Sequence[Slice]) -> None:
    """Refuses a file that is there twice; a copy is no further time point or echo."""
    seen = {}
    for one in slices:
        twin = seen.setdefault((one.header.SOPInstanceUID, one.frame), one.file)
        if twin != one.file:
            raise VolumeError(
                f"The DICOM series holds the same slice twice: {twin.name} and {one.file.name}.",
                "Remove the copies.",
            )


def _check_rescaling(slices: Sequence[Slice]) -> None:
    """Refuses a slice that lacks what turns the others' stored values into HU: it would be 1024 too high."""
    usual, count = Counter(one.rescaling for one in slices).most_common(1)[0]
    if count == len(slices):
        return
    like_most = next(one for one in slices if one.rescaling == usual)
    odd = next(one for one in slices if one.rescaling != usual)
    bare, told = (odd, usual) if set(usual) - set(odd.rescaling) else (like_most, odd.rescaling)
    lacking = " and ".join(named(name) for name in told if name not in bare.rescaling)
    raise VolumeError(
        f"{bare.file.name} lacks {lacking}, which other slices of the DICOM series have.",
        "Copy or send the whole series again.",
    )


def _common_normal(slices: Sequence[Slice]) -> np.ndarray:
    """The unit normal i × j (LPS) of slices that are known to be alike afterwards."""
    first = slices[0]
    if any(np.abs(s.orientation - first.orientation).max() > ORIENTATION_TOLERANCE for s in slices):
        raise VolumeError(
            "The slices of the DICOM series have different orientations"
            f" ({named('ImageOrientationPatient')}).",
            "Remove scout or localizer images, or put each orientation into a folder of its own.",
        )
    if any(s.size_ij != first.size_ij or not np.allclose(s.spacing_ij, first.spacing_ij) for s in slices):
        raise VolumeError(
            "The slices of the DICOM series differ in size or pixel spacing"
            f" ({named('Rows')}, {named('Columns')}, {named('PixelSpacing')}).",
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
            f"The DICOM series holds several slices at one position ({_POSITION}).",
            "Put a single phase, echo or time point into a folder of its own.",
        )
    usual = np.percentile(gaps, 50, method="lower")
    even = np.linspace(heights[0], heights[-1], len(heights))
    if np.abs(heights - even).max() <= POSITION_TOLERANCE * usual:
        return
    before, after = gaps[0], gaps[-1]
    changed = np.abs(gaps - after) < np.abs(gaps - before)
    halves = np.where(changed, after, before)
    same = np.abs(gaps - halves).max() <= POSITION_TOLERANCE * min(before, after)
    if same and np.count_nonzero(np.diff(changed)) == 1 and min(changed.sum(), (~changed).sum()) > 1:
        raise VolumeError(
            f"The slices of the DICOM series are {before:.2f} mm apart up to slice {np.argmax(changed) + 1},"
            f" and {after:.2f} mm from there ({_POSITION}).",
            "Choose an evenly spaced reconstruction, or resample the volume in 3D Slicer.",
        )
    steps = np.round(gaps / usual)
    if steps.min() == 1 and np.abs(gaps - steps * usual).max() <= POSITION_TOLERANCE * usual:
        missing = int(steps.sum()) - len(gaps)
        raise VolumeError(
            f"The DICOM series lacks {missing} slice{'s' if missing > 1 else ''} in between ({_POSITION}).",
            "Copy or send the whole series again.",
        )
    raise VolumeError(
        f"The slices of the DICOM series are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm,"
        f" {_POSITION}).",
        "Choose an evenly spaced reconstruction, or resample the volume in 3D Slicer.",
    )


def _check_tilt(positions: np.ndarray, normal: np.ndarray, pixel_mm: float) -> None:
    """Refuses slices (LPS mm, one a row) that drift sideways by more than a quarter of a pixel."""
    offsets = positions - positions[0]
    sideways = offsets - np.outer(offsets @ normal, normal)
    if np.linalg.norm(sideways, axis=1).max() > 0.25 * pixel_mm:
        raise sheared()
