"""Volumes and labelmaps from NIfTI, NRRD and MetaImage files."""

import errno
import io
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError, is_memory_full
from HiDiffRefineLib.volumes.checks import (
    check_direction,
    check_grid,
    check_intensities,
    check_place,
    damaged,
    likeness_to_labels,
    not_numbers,
    nowhere,
    segmentation,
    sheared,
    whole_labels,
)
from HiDiffRefineLib.volumes.itk import affine_from_itk, check_letters, native_calls
from HiDiffRefineLib.volumes.labels import Label, nameless_label
from HiDiffRefineLib.volumes.nifti2 import as_nifti1
from HiDiffRefineLib.volumes.nifti_forms import read_forms
from HiDiffRefineLib.volumes.nrrd_kinds import with_kinds
from HiDiffRefineLib.volumes.packed import META, check_ended, check_packed, meta_header
from HiDiffRefineLib.volumes.seg_nrrd import check_values, flattened, labels_in, layers_in, legible
from HiDiffRefineLib.volumes.units import unit_mm
from HiDiffRefineLib.volumes.unzipped import Unzipped
from HiDiffRefineLib.volumes.volume import Volume

_NIFTI = (".nii.gz", ".nii")
# By the numbers that the format has for them.
_NIFTI_TYPES = {
    "2": "u1",
    "4": "i2",
    "8": "i4",
    "16": "f4",
    "64": "f8",
    "256": "i1",
    "512": "u2",
    "768": "u4",
    "1024": "i8",
    "1280": "u8",
}
# In the name of a file that may be a segmentation.
_SAYS_LABELS = re.compile(r"(?<![a-z])(?:seg|segmentation|labels?|labelmap|mask)(?![a-z])", re.IGNORECASE)
EXTENSIONS = (*_NIFTI, ".nrrd", ".nhdr", ".mha", ".mhd")
# What a MetaImage header calls its origin and its axes.
_META_PLACE = {"Offset", "Origin", "Position", "TransformMatrix", "Rotation", "Orientation", "ElementSpacing"}


def read_volume(path: str | os.PathLike) -> Volume:
    """Reads a grey image.

    Args:
        path: a file with one of `EXTENSIONS`; `dicom.images` reads DICOM too.

    Returns:
        The volume, array (k, j, i). Stored integer types are kept.

    Raises:
        VolumeError: the file is missing, damaged, a segmentation, or no 3-D grey image on a rectangular grid.
    """
    path = Path(path).absolute()
    with named(path):
        if path.name.lower().endswith(".seg.nrrd"):
            raise segmentation()
        volume = _read(path)
        check_intensities(volume.array)
        if _SAYS_LABELS.search(path.name) and likeness_to_labels(volume.array):
            raise segmentation()
    return volume


def read_labelmap(path: str | os.PathLike) -> Volume:
    """The labelmap of `read_segmentation`."""
    return read_segmentation(path)[0]


def read_segmentation(path: str | os.PathLike) -> tuple[Volume, list[Label]]:
    """Reads a labelmap, .seg.nrrd included, and what its values mean; an empty one (all 0) is fine.

    It may be one voxel thin: 3D Slicer saves a segmentation cropped, a scribble to its slice.

    Args:
        path: as for `read_volume`.

    Returns:
        the labelmap, array (k, j, i) of the smallest unsigned integer type that holds its values, and a label
        for each segment that a .seg.nrrd lists (the empty ones too) and for each further value. Segments of
        several layers get values of their own.

    Raises:
        VolumeError: as for `read_volume`; the values are not whole numbers from 0 to 65535; or segments of a
            .seg.nrrd overlap.
    """
    path = Path(path).absolute()
    labels, layers = [], []
    with named(path):
        in_slicers_form = path.name.lower().endswith(".seg.nrrd")
        volume = _read(path, thinnest=1, layered=in_slicers_form)
        if in_slicers_form:
            with _as_itk_reads(path) as file, native_calls():
                reader = opened(file)
                reader.ReadImageInformation()
            keys = filter(str.isascii, reader.GetMetaDataKeys())  # as all that Slicer writes are
            fields = {key: legible(reader.GetMetaData(key)) for key in keys}
            labels, layers = labels_in(fields), layers_in(fields)
            # One value a voxel is one layer, whatever an old header leaves out.
            check_values(labels, layers if volume.array.ndim == 4 else [0] * len(labels))
        array = volume.array
        if array.ndim == 4:
            array, labels = flattened(array, labels, layers)
        array = whole_labels(array)
    unlisted = set(np.unique(array).tolist()) - {0} - {label.value for label in labels}
    return volume.like(array), [*labels, *map(nameless_label, sorted(unlisted))]


def read_probabilities(path: str | os.PathLike) -> tuple[int, Iterator[Volume]]:
    """The maps of a 4-D NIfTI file, one for each label in order, or the one of a 3-D file.

    Returns:
        how many there are, and each as float32 (k, j, i) when it is asked for: 13 of a CT would take 2 GB.

    Raises:
        VolumeError: the file is missing, damaged, no NIfTI, or holds values that are not numbers.
    """
    path = Path(path).absolute()
    with named(path):
        if not path.name.lower().endswith(_NIFTI):
            raise VolumeError("Maps of probabilities are NIfTI files.", "Use the file of --probabilities.")
        path.open("rb").close()
        check_letters(path)
        with _as_itk_reads(path) as file, native_calls():
            reader = opened(file)
            try:
                reader.ReadImageInformation()
            except RuntimeError as error:
                raise _unreadable(error) from error
        _check_pixel_type(reader, layered=False)
    return math.prod(reader.GetSize()[3:]), _maps(path, reader)


def _maps(path: Path, reader: sitk.ImageFileReader) -> Iterator[Volume]:
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)[:3, :3]
    affine = affine_from_itk(reader.GetOrigin()[:3], reader.GetSpacing()[:3], direction)
    shape = reader.GetSize()[2::-1]
    slope, intercept = (float(reader.GetMetaData(f"scl_{name}")) for name in ("slope", "inter"))
    with named(path), _as_itk_reads(path) as readable, _nifti_voxels(readable, reader) as (file, kind):
        for _ in range(math.prod(reader.GetSize()[3:])):
            array = np.empty(shape, kind)
            if file.readinto(memoryview(array).cast("B")) != array.nbytes:
                raise damaged()
            array = array.astype(np.float32, copy=False)
            if slope not in (0, 1) or intercept:
                array = array * np.float32(slope or 1) + np.float32(intercept)
            if not np.isfinite(array.sum(dtype=np.float64)):  # NaN and infinity survive a sum
                raise not_numbers()
            yield Volume(array, affine, title(path))
        if file.read(1):  # its checksum is verified at the end
            raise damaged()


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Puts the file's name in front of every refusal."""
    try:
        yield
    except VolumeError as error:
        raise VolumeError(f"{path.name}: {error.message}", error.remedy) from error
    except OSError as error:
        remedy = "Check the permissions of the file and of its folder, or copy it into a folder of your own."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # of a copy that is unpacked
            remedy = "Make room in the folder of temporary files, or set TMPDIR to another one."
        raise VolumeError(f"{path.name} cannot be read: {error.strerror}.", remedy) from error


def title(path: Path) -> str:
    """The file's name without its extension."""
    name = path.name
    for extension in (".seg.nrrd", *EXTENSIONS):
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def _read(path: Path, thinnest: int = 2, layered: bool = False) -> Volume:
    if not path.exists():
        raise VolumeError("There is no such file or folder.", "Check the path.")
    if path.is_dir():
        raise VolumeError(
            "This is a folder, not a file.",
            "Choose a file in it; a DICOM segmentation becomes a mask by import-dicom.",
        )
    if not path.name.lower().endswith(EXTENSIONS):
        raise unknown()
    path.open("rb").close()  # Python says why a file can't be read, ITK only that it can't
    check_letters(path)
    with _as_itk_reads(path) as file, native_calls():
        array, ijk_to_ras = _read_file(file, thinnest, layered)
        forms = read_forms(file) if file.name.lower().endswith(_NIFTI) else None
        return Volume(array, ijk_to_ras, title(path), forms=forms)


def unknown() -> VolumeError:
    """The refusal of a file of another kind."""
    return VolumeError(
        "This kind of file is not known.",
        f"Use {', '.join(EXTENSIONS)}, or DICOM where an image is asked for; a DICOM segmentation becomes a"
        " mask by import-dicom.",
    )


@contextmanager
def _as_itk_reads(path: Path) -> Iterator[Path]:
    """The file, or one like it in a form and under a name that ITK knows."""
    with _in_small_letters(path) as named_so, as_nifti1(named_so) as nifti, with_kinds(nifti) as file:
        yield file


@contextmanager
def _in_small_letters(path: Path) -> Iterator[Path]:
    """A NIfTI file under a name that ITK reads: it knows .nii and .NII, but not .Nii."""
    extension = path.name[len(title(path)) :]
    if extension.islower() or extension.lower() not in _NIFTI:
        yield path
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"image{extension.lower()}"
        try:
            file.symlink_to(path)
        except OSError:  # Windows keeps links for administrators
            shutil.copyfile(path, file)
        yield file


def opened(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if path.suffix.lower() in META:
        reader.SetImageIO("MetaImageIO")  # which SimpleITK finds by itself for small letters only
    return reader


def _read_file(path: Path, thinnest: int, layered: bool) -> tuple[np.ndarray, np.ndarray]:
    reader = opened(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        # ITK's NIfTI reader refuses sheared and singular axes by itself.
        raise (sheared() if "orthonormal" in str(error) else _unreadable(error)) from error

    # Checked before the voxels are read: ITK mends some of it in silence (negative spacing).
    size, unit = reader.GetSize(), unit_mm(path, reader)
    axes = min(reader.GetDimension(), 3)
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)[:axes, :axes]
    _check_pixel_type(reader, layered)
    check_grid(size, [unit * step for step in reader.GetSpacing()], direction, thinnest)
    if path.name.lower().endswith(_NIFTI):
        check_nifti_voxels(path, reader)
    if path.suffix.lower() in META:
        _check_meta_place(path)
        check_ended(path)
    check_packed(path)

    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise _unreadable(error) from error
    affine = placed(reader)
    affine[:3] *= unit
    check_place(affine)
    components = reader.GetNumberOfComponents()
    # Drops further axes, of length 1.
    return array.reshape(*size[2::-1], *([components] if components > 1 else [])), affine


def _check_meta_place(path: Path) -> None:
    """Refuses a MetaImage header whose place is no number: ITK makes 0 of it."""
    fields, _ = meta_header(path)
    for name in _META_PLACE & fields.keys():
        try:
            numbers = np.array([float(word) for word in fields[name].split()])
        except ValueError:
            numbers = np.array([np.nan])
        if not np.isfinite(numbers).all():
            raise nowhere()


def placed(reader: sitk.ImageFileReader) -> np.ndarray:
    """The 4×4 from (i, j, k, 1) to RAS of a file whose header was read, in the file's unit.

    Raises:
        VolumeError: axes that are not at right angles.
    """
    corrected = "ITK_sform_corrected"
    if reader.HasMetaDataKey(corrected) and reader.GetMetaData(corrected) == "YES":
        return _straightened(reader)
    direction = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)[:3, :3]
    return affine_from_itk(reader.GetOrigin()[:3], reader.GetSpacing()[:3], direction)


def _straightened(reader: sitk.ImageFileReader) -> np.ndarray:
    """The affine of a NIfTI file whose axes are not quite at right angles, by its sform.

    ITK turns such axes too, but some by more than they are off. Here all are turned as little as can be,
    about the middle of the volume.

    Raises:
        VolumeError: they are further off than rounding explains.
    """
    stored = np.eye(4)
    stored[:3] = [[float(x) for x in reader.GetMetaData(f"srow_{axis}").split()] for axis in "xyz"]
    lengths = np.linalg.norm(stored[:3, :3], axis=0)
    direction = stored[:3, :3] / np.where(lengths > 0, lengths, 1)
    check_direction(direction)
    left, _, right = np.linalg.svd(direction)
    affine, middle = stored.copy(), (np.array(reader.GetSize()[:3]) - 1) / 2
    affine[:3, :3] = left @ right * lengths
    affine[:3, 3] += (stored[:3, :3] - affine[:3, :3]) @ middle
    affine[:3] *= reader.GetSpacing()[0] / lengths[0]  # the file may count in micrometres
    return affine


def _check_pixel_type(reader: sitk.ImageFileReader, layered: bool) -> None:
    if reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise VolumeError("The image is complex-valued.", "Export its magnitude and load that.")
    if reader.GetNumberOfComponents() > 1 and not layered:
        raise VolumeError(
            f"The file holds {reader.GetNumberOfComponents()} values per voxel"
            " (a colour image, vectors, or overlapping segments).",
            "Convert it to one grey value per voxel; export a segmentation as one labelmap.",
        )


def check_nifti_voxels(path: Path, reader: sitk.ImageFileReader) -> None:
    """ITK fills the missing end of a truncated NIfTI file with zeros, reads NaN as 0, and says nothing."""
    left = math.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) // 8
    with _nifti_voxels(path, reader) as (file, kind):
        while left and (block := file.read(min(left, 1 << 20))):
            left -= len(block)
            if kind.kind == "f" and not np.isfinite(np.frombuffer(block, kind)).all():
                raise not_numbers()
        while file.read(1 << 20):  # its checksum is verified at the end
            pass
    if left:
        raise damaged()


@contextmanager
def _nifti_voxels(path: Path, reader: sitk.ImageFileReader) -> Iterator[tuple[io.BufferedIOBase, np.dtype]]:
    """A NIfTI file from its first voxel on, unzipped, and the type of its voxels.

    Raises:
        VolumeError: whatever the block inside meets of damage.
    """
    kind = _NIFTI_TYPES.get(reader.GetMetaData("datatype"), f"V{int(reader.GetMetaData('bitpix')) // 8}")
    try:
        with path.open("rb") as packed:
            file = io.BufferedReader(Unzipped(packed)) if path.suffix.lower() == ".gz" else packed
            # A NIfTI file starts with the size of its header: 348, or 540 in NIfTI-2.
            order = "<" if int.from_bytes(file.read(4), "little") in (348, 540) else ">"
            file.read(int(float(reader.GetMetaData("vox_offset"))) - 4)
            yield file, np.dtype(kind).newbyteorder(order)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise damaged() from error


def _unreadable(error: RuntimeError) -> Exception:
    """What ITK's refusal to read means."""
    return MemoryError(str(error)) if is_memory_full(error) else damaged()
