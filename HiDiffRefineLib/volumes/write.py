"""Segmentations and probability maps into files; a file is either whole or not there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import check_grid
from HiDiffRefineLib.volumes.itk import itk_from_affine, native_messages_silenced
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.seg_nrrd import header_fields

SEGMENTATION_EXTENSIONS = (".seg.nrrd", ".nii.gz", ".nii")
PROBABILITY_EXTENSIONS = (".nii.gz", ".nii")
CHECK_FOLDER = "Check that its folder exists, may be written to and has space left."


def write_segmentation(
    path: str | os.PathLike, labelmap: np.ndarray, ijk_to_ras: np.ndarray, labels: Sequence[Label]
) -> None:
    """Writes a labelmap as a 3D Slicer segmentation (.seg.nrrd) or as a plain labelmap (.nii.gz, .nii).

    Args:
        path: a file with one of `SEGMENTATION_EXTENSIONS`; replaced where it exists.
        labelmap: whole numbers from 0 to 65535, shape (k, j, i); 0 is background.
        ijk_to_ras: 4×4, (i, j, k, 1) to RAS mm.
        labels: what the values mean. An empty segment is listed as well. Only .seg.nrrd stores them.

    Raises:
        VolumeError: unknown extension, a value that no label names, an impossible grid, or the file
            cannot be written.
    """
    path = Path(path)
    check_destination(path, SEGMENTATION_EXTENSIONS)
    nameless = set(np.unique(labelmap).tolist()) - {0} - {label.value for label in labels}
    if nameless:
        raise VolumeError(
            f"The labelmap holds value {min(nameless)}, which no label names.",
            "Use the labels of the model that made the labelmap.",
        )
    labelmap = labelmap.astype(np.min_scalar_type(max((label.value for label in labels), default=0)))
    fields = header_fields(labelmap, labels) if path.name.lower().endswith(".seg.nrrd") else {}
    image = _image(labelmap, ijk_to_ras)
    for key, value in fields.items():
        image.SetMetaData(key, value)
    _write(path, image)


def write_probabilities(path: str | os.PathLike, maps: Sequence[np.ndarray], ijk_to_ras: np.ndarray) -> None:
    """Writes probability maps of several labels as one 4-D NIfTI file.

    Args:
        path: a file with one of `PROBABILITY_EXTENSIONS`; replaced where it exists.
        maps: float32 arrays (k, j, i), one a label; their order becomes the fourth axis.
        ijk_to_ras: 4×4, (i, j, k, 1) to RAS mm.

    Raises:
        VolumeError: unknown extension, an impossible grid, or the file cannot be written.
    """
    path = Path(path)
    check_destination(path, PROBABILITY_EXTENSIONS)
    _write(path, sitk.JoinSeries([_image(array, ijk_to_ras) for array in maps]))


def check_destination(path: str | os.PathLike, extensions: tuple[str, ...]) -> None:
    """Refuses a file that could not be written, before long work is done for it.

    Raises:
        VolumeError: unknown extension, or no folder to write to.
    """
    path = Path(path)
    if not path.name.lower().endswith(extensions):
        raise VolumeError(
            f"'{path.name}' has no extension that can be written.", f"Name it {', '.join(extensions)}."
        )
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise VolumeError(f"'{path.name}' could not be written.", CHECK_FOLDER)


def _image(array: np.ndarray, ijk_to_ras: np.ndarray) -> sitk.Image:
    origin, spacing, direction = itk_from_affine(ijk_to_ras)
    check_grid(array.shape[::-1], spacing, direction)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def _write(path: Path, image: sitk.Image) -> None:
    try:
        with _replacing(path) as unfinished, native_messages_silenced():
            sitk.WriteImage(image, str(unfinished), useCompression=True)
    except (RuntimeError, OSError) as error:
        raise VolumeError(
            f"'{path.name}' could not be written.",
            CHECK_FOLDER,
        ) from error


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name in the same folder that becomes `path` on success and vanishes otherwise."""
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
