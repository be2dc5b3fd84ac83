"""Segmentations and probability maps into files, which are either whole or not there."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import check_grid
from HiDiffRefineLib.volumes.itk import check_letters, itk_from_affine, native_calls
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.new_files import check_writable, new_files
from HiDiffRefineLib.volumes.nifti_forms import NiftiForms, write_forms
from HiDiffRefineLib.volumes.read import check_nifti_voxels, opened, placed, title
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
    forms: NiftiForms | None = None,
) -> None:
    """Writes a labelmap as a 3D Slicer segmentation (.seg.nrrd) or as a plain labelmap (.nii.gz, .nii).

    Args:
        path: a file with one of `SEGMENTATION_EXTENSIONS`; replaced where it exists.
        labelmap: whole numbers from 0 to 65535, shape (k, j, i); 0 is background.
        ijk_to_ras: 4×4, (i, j, k, 1) to RAS mm.
        labels: what the values mean. An empty segment is listed as well. Only .seg.nrrd stores them.
        probabilities: a file with one of `PROBABILITY_EXTENSIONS` for `maps`; both are written or none.
        maps: float32 arrays (k, j, i), one a label; their order becomes the fourth axis of a 4-D NIfTI file.
        forms: of the image that the labelmap lies on; what is written as NIfTI keeps both places.

    Raises:
        VolumeError: unknown extension, a value that no label names, or an impossible grid.
        FileError: the files can't be written; those of before are as they were.
    """
    path = Path(path)
    check_destination(path, SEGMENTATION_EXTENSIONS)
    nameless = set(np.unique(labelmap).tolist()) - {0} - {label.value for label in labels}
    if nameless:
        raise VolumeError(
            f"The labelmap holds value {min(nameless)}, which no label names.",
            "Use the labels of the model that made the labelmap.",
        )
    if probabilities is not None:
        check_destination(probabilities, PROBABILITY_EXTENSIONS)
        probabilities = Path(probabilities)
    labelmap = labelmap.astype(np.min_scalar_type(max((label.value for label in labels), default=0)))
    fields = header_fields(labelmap, labels) if path.name.lower().endswith(".seg.nrrd") else {}
    with new_files(path, probabilities) as (mask_file, maps_file):
        _write(mask_file, [labelmap], ijk_to_ras, fields, forms)
        if maps_file:
            _write(maps_file, maps, ijk_to_ras, {}, forms)


def check_destination(path: str | os.PathLike, extensions: tuple[str, ...]) -> None:
    """Refuses a file that could not be written, before long work is done for it.

    Raises:
        VolumeError: unknown extension, or letters that are no Unicode.
        FileError: it may not be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(extensions):
        raise VolumeError(
            f"'{path.name}' has no extension that can be written.", f"Name it {', '.join(extensions)}."
        )
    check_letters(path)
    check_writable(path)


def _write(
    path: Path,
    arrays: Sequence[np.ndarray],
    ijk_to_ras: np.ndarray,
    fields: dict[str, str],
    forms: NiftiForms | None,
) -> None:
    """Writes arrays (k, j, i) as one image, several as one of four dimensions, and reads it back.

    ITK leaves a torn NIfTI file on a full disk, and says nothing.
    """
    image = _image(arrays[0], ijk_to_ras)
    if len(arrays) > 1:
        image = sitk.JoinSeries([image, *(_image(array, ijk_to_ras) for array in arrays[1:])])
    for key, value in fields.items():
        image.SetMetaData(key, value)
    # ITK does not know every extension in capitals.
    file = path.with_name(title(path) + path.name[len(title(path)) :].lower())
    both = forms is not None and not fields
    written = file.with_name(".plain.nii") if both else file
    try:
        with native_calls():
            sitk.WriteImage(image, str(written), useCompression=not both)
        del image  # maps of a whole CT are large
        if both:
            write_forms(written, file, forms)
        _check_written(file, arrays, ijk_to_ras, fields)
    except (RuntimeError, VolumeError) as error:
        raise OSError(errno.EIO, "read back, it is not the same") from error
    os.replace(file, path)


def _check_written(
    file: Path, arrays: Sequence[np.ndarray], ijk_to_ras: np.ndarray, fields: dict[str, str]
) -> None:
    """Refuses (VolumeError) a file that does not hold what was meant."""
    with native_calls():
        reader = opened(file)
        reader.ReadImageInformation()
        if file.suffix != ".nrrd":
            check_nifti_voxels(file, reader)
        image = reader.Execute()
    found = sitk.GetArrayViewFromImage(image)
    found = found.reshape(-1, *found.shape[-3:])
    same = len(found) == len(arrays) and all(map(np.array_equal, found, arrays))
    same = same and all(reader.HasMetaDataKey(k) and reader.GetMetaData(k) == v for k, v in fields.items())
    if not same or _farthest(placed(reader), ijk_to_ras, arrays[0].shape) > _near(ijk_to_ras):
        raise VolumeError("Read back, the file is not the same.")


def _farthest(first: np.ndarray, second: np.ndarray, shape_kji: tuple[int, ...]) -> float:
    """How far apart two 4×4 place the corner of a block of voxels at the most, mm."""
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*shape_kji[::-1], 1]
    return float(np.abs(corners @ (first - second).T).max())


def _near(ijk_to_ras: np.ndarray) -> float:
    """A hundredth of a voxel, mm; NIfTI's 32 bits can't do better than a millionth of the distance."""
    smallest = np.linalg.norm(ijk_to_ras[:3, :3], axis=0).min()
    return max(0.01 * smallest, 1e-6 * np.abs(ijk_to_ras[:3, 3]).max())


def _image(array: np.ndarray, ijk_to_ras: np.ndarray) -> sitk.Image:
    origin, spacing, direction = itk_from_affine(ijk_to_ras)
    check_grid(array.shape[::-1], spacing, direction, thinnest=1)
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image
