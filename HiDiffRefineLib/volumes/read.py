"""Volumes and labelmaps from NIfTI, NRRD, MetaImage and DICOM folders."""

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import check_grid, check_intensities, check_labels, sheared
from HiDiffRefineLib.volumes.dicom_folder import read_dicom_folder
from HiDiffRefineLib.volumes.itk import affine_from_itk, native_messages_silenced
from HiDiffRefineLib.volumes.volume import Volume

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


def read_volume(path: str | os.PathLike) -> Volume:
    """Reads a grey image.

    Args:
        path: a file with one of `EXTENSIONS`, or a folder that holds one DICOM series.

    Returns:
        The volume, array (k, j, i). Stored integer types are kept; DICOM gives rescaled values (CT: HU).

    Raises:
        VolumeError: the file is missing, damaged, or no 3-D grey image on a rectangular grid.
    """
    path = Path(path).absolute()
    with _named(path):
        array, ijk_to_ras = _read(path)
        check_intensities(array)
    return Volume(array, ijk_to_ras, title(path))


def read_labelmap(path: str | os.PathLike) -> Volume:
    """Reads a labelmap, single-layer .seg.nrrd included; an empty one (all 0) is fine.

    Args:
        path: as for `read_volume`.

    Returns:
        The labelmap, array (k, j, i) of the smallest unsigned integer type that holds its values.

    Raises:
        VolumeError: as for `read_volume`, or the values are not whole numbers from 0 to 65535.
    """
    path = Path(path).absolute()
    with _named(path):
        array, ijk_to_ras = _read(path)
        check_labels(array)
    return Volume(array.astype(np.min_scalar_type(int(array.max()))), ijk_to_ras, title(path))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name in front of every refusal."""
    try:
        yield
    except VolumeError as error:
        raise VolumeError(f"{path.name}: {error.message}", error.remedy) from error


def title(path: Path) -> str:
    """The file's name without its extension."""
    name = path.name
    for extension in (".seg.nrrd", *EXTENSIONS):
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.exists():
        raise VolumeError("There is no such file or folder.", "Check the path.")
    if path.is_dir():
        return read_dicom_folder(path)
    if not path.name.lower().endswith(EXTENSIONS):
        raise VolumeError(
            "This kind of file is not known.",
            f"Use {', '.join(EXTENSIONS)}, or a folder that holds one DICOM series.",
        )
    with native_messages_silenced():
        return _read_file(path)


def _read_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        # ITK's NIfTI reader refuses sheared and singular axes by itself.
        raise (sheared() if "orthonormal" in str(error) else _damaged()) from error

    # Checked before the voxels are read: ITK mends some of it in silence (negative spacing).
    size = reader.GetSize()
    axes = min(reader.GetDimension(), 3)
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)[:axes, :axes]
    _check_pixel_type(reader)
    check_grid(size, reader.GetSpacing(), direction)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        _check_nifti_length(path, reader)

    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise _damaged() from error
    affine = affine_from_itk(reader.GetOrigin()[:3], reader.GetSpacing()[:3], direction)
    return array.reshape(size[2::-1]), affine  # drops further axes, of length 1


def _check_pixel_type(reader: sitk.ImageFileReader) -> None:
    if reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise VolumeError("The image is complex-valued.", "Export its magnitude and load that.")
    if reader.GetNumberOfComponents() > 1:
        raise VolumeError(
            f"The file holds {reader.GetNumberOfComponents()} values per voxel"
            " (a colour image, vectors, or overlapping segments).",
            "Convert it to one grey value per voxel; export a segmentation as one labelmap.",
        )


def _check_nifti_length(path: Path, reader: sitk.ImageFileReader) -> None:
    """ITK fills the missing end of a truncated NIfTI file with zeros and says nothing."""
    voxels_bytes = math.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) // 8
    try:
        length = _unpacked_length(path)
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged() from error
    if length < float(reader.GetMetaData("vox_offset")) + voxels_bytes:
        raise _damaged()


def _unpacked_length(path: Path) -> int:
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    with gzip.open(path) as file:  # reading to the end also verifies the checksum
        return sum(len(block) for block in iter(lambda: file.read(1 << 20), b""))


def _damaged() -> VolumeError:
    return VolumeError(
        "The file is damaged, incomplete, or not of the kind that its name says.",
        "Copy or export it again from its source.",
    )
