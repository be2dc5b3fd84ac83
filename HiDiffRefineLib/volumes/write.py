"""Segmentations and probability maps into files, which are either whole or not there."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import check_grid
from HiDiffRefineLib.volumes.itk import check_letters, itk_from_affine, native_messages_silenced
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.seg_nrrd import header_fields

SEGMENTATION_EXTENSIONS = (".seg.nrrd", ".nii.gz", ".nii")
PROBABILITY_EXTENSIONS = (".nii.gz", ".nii")


def write_segmentation(
    path: str | os.PathLike,
    labelmap: np.ndarray,
    ijk_to_ras: np.ndarray,
    labels: Sequence[Label],
    probabilities: str | os.PathLike | None = None,
    maps: Sequence[np.ndarray] = (),
) -> None:
    """Writes a labelmap as a 3D Slicer segmentation (.seg.nrrd) or as a plain labelmap (.nii.gz, .nii).

    Args:
        path: a file with one of `SEGMENTATION_EXTENSIONS`; replaced where it exists.
        labelmap: whole numbers from 0 to 65535, shape (k, j, i); 0 is background.
        ijk_to_ras: 4×4, (i, j, k, 1) to RAS mm.
        labels: what the values mean. An empty segment is listed as well. Only .seg.nrrd stores them.
        probabilities: a file with one of `PROBABILITY_EXTENSIONS` for `maps`; both are written or none.
        maps: float32 arrays (k, j, i), one a label; their order becomes the fourth axis of a 4-D NIfTI file.

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
    images = {path: image}
    if probabilities is not None:
        check_destination(probabilities, PROBABILITY_EXTENSIONS)
        images[Path(probabilities)] = sitk.JoinSeries([_image(array, ijk_to_ras) for array in maps])
    _write(images)


def check_destination(path: str | os.PathLike, extensions: tuple[str, ...]) -> None:
    """Refuses a file that could not be written, before long work is done for it.

    Raises:
        VolumeError: unknown extension, letters that are no Unicode, or no folder to write to.
    """
    path = Path(path)
    if not path.name.lower().endswith(extensions):
        raise VolumeError(
            f"'{path.name}' has no extension that can be written.", f"Name it {', '.join(extensions)}."
        )
    check_letters(path)
    check_folder(path)


def check_folder(path: Path) -> None:
    """Refuses a file (VolumeError) whose folder can't take it."""
    if path.is_dir():
        raise VolumeError(f"'{path.name}' could not be written: it is a folder.", "Choose another name.")
    if not path.parent.is_dir():
        raise VolumeError(
            f"'{path.name}' could not be written: its folder does not exist.", "Create the folder first."
        )
    if not os.access(path.parent, os.W_OK):
        raise VolumeError(
            f"'{path.name}' could not be written: you may not write to its folder.", "Choose another folder."
        )


def _image(array: np.ndarray, ijk_to_ras: np.ndarray) -> sitk.Image:
    origin, spacing, direction = itk_from_affine(ijk_to_ras)
    check_grid(array.shape[::-1], spacing, direction, thinnest=1)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def _write(images: dict[Path, sitk.Image]) -> None:
    """Writes all files under other names in their folders first: none appears before all are whole."""
    # ITK does not know every extension in capitals.
    unfinished = {
        path: path.with_name(f".{os.getpid()}.{n}.{path.name.lower()}") for n, path in enumerate(images)
    }
    try:
        with native_messages_silenced():
            for path, image in images.items():
                sitk.WriteImage(image, str(unfinished[path]), useCompression=True)
        for path in images:
            os.replace(unfinished[path], path)
    except (RuntimeError, OSError) as error:
        raise VolumeError(
            f"'{path.name}' could not be written.", "Check that its folder has space left."
        ) from error
    finally:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)
