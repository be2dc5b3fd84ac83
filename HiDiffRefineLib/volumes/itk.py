"""The seam to SimpleITK: its LPS frame, and its habit of writing to the terminal."""

import locale
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from HiDiffRefineLib.errors import VolumeError

# ITK and DICOM count millimetres to the patient's left and posterior, we to the right and anterior.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
_lock = threading.Lock()
# Of ITK, up to an empty line; of nifti_clib; of VNL, with the matrix that it did not like; of MetaIO.
_MESSAGES = re.compile(
    rb"^(?:WARNING: In (?s:.*?)(?:\n\n|\Z)|(?:\*\*|\+\+) .*\n?|/\S*/vnl/.*\n(?:M = \[[^\]]*\]\n?)?"
    rb"|(?:Meta(?:Image|Object): |Skipping unrecognized field |Incomplete file record definition"
    rb"|Uncompress failed|\w+ required and not defined|\w+ defined prior to defining |   ideal = ).*\n?)",
    re.MULTILINE,
)


def affine_from_itk(origin, spacing, direction) -> np.ndarray:
    """The 4×4 affine from (i, j, k, 1) to RAS mm.

    Args:
        origin: centre of voxel (0, 0, 0), LPS mm.
        spacing: mm along (i, j, k).
        direction: 3×3 (or its 9 entries by rows); column n is the LPS direction of axis n.
    """
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(direction, (3, 3)) * np.asarray(spacing)
    ijk_to_lps[:3, 3] = origin
    return LPS_TO_RAS @ ijk_to_lps


def itk_from_affine(ijk_to_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Origin (LPS mm), spacing (mm along i, j, k) and direction (3×3); undoes `affine_from_itk`."""
    ijk_to_lps = LPS_TO_RAS @ ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    return ijk_to_lps[:3, 3], spacing, ijk_to_lps[:3, :3] / spacing


def check_letters(path: Path) -> None:
    """Refuses a path (VolumeError) that is no Unicode, as on old discs: ITK would end the whole process."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise VolumeError(
            "The name of the file or of its folder has letters in an encoding that is not the system's.",
            "Rename it, or choose a folder with another name.",
        ) from error


@contextmanager
def native_calls(codecs: bool = False) -> Iterator[None]:
    """Around whatever has ITK read or write a file: numbers with a decimal point, and no messages of its own.

    All this belongs to the whole process, hence the lock.

    Args:
        codecs: whether GDCM unpacks pixels, whose libraries have messages without end.
    """
    with _lock, _decimal_points(), _small_shear_allowed(), _messages_dropped(codecs):
        yield


@contextmanager
def _decimal_points() -> Iterator[None]:
    """NRRD files are read and written by the locale, which Qt sets: 1.75 is 1 where it has commas."""
    before = locale.setlocale(locale.LC_NUMERIC)
    if before == "C":
        yield
        return
    locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


@contextmanager
def _small_shear_allowed() -> Iterator[None]:
    """Has ITK read NIfTI files whose rounded axes are not quite at right angles; `read` says how far off."""
    before = os.environ.get(_PERMISSIVE)
    os.environ[_PERMISSIVE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_PERMISSIVE)
        if before is not None:
            os.environ[_PERMISSIVE] = before


@contextmanager
def _messages_dropped(codecs: bool) -> Iterator[None]:
    """Drops what ITK, nifti_clib and MetaIO report of a file besides raising: the user gets our sentence.

    What other threads write to the standard error meanwhile comes a moment later. It is lost only where GDCM
    finds damaged pixels: nobody can tell what is whose.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all, as in a Windows application
        yield
        return
    with TemporaryFile() as told:
        os.dup2(told.fileno(), 2)
        bad = True
        try:
            yield
            bad = False
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            told.seek(0)
            others = _MESSAGES.sub(b"", told.read())
            if others and not (bad and codecs):
                os.write(2, others)
