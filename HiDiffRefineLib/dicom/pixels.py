"""The voxels of a series, as the values that its headers say they mean (CT: HU)."""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import (
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
    generate_uid,
)

from HiDiffRefineLib.dicom.files import legible, read_whole
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.itk import native_calls

# 512 × 512 × 8192; a header that asks for more is damaged.
MOST_VOXELS = 2**31
_PIXEL_TAGS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)


def read_voxels(series: Series) -> np.ndarray:
    """The rescaled values (k, j, i): whole numbers where all of them are, else float32.

    Raises:
        VolumeError: a slice is damaged, or packed in a way that cannot be undone here.
    """
    if np.prod(series.shape_kji, dtype=float) > MOST_VOXELS:
        raise VolumeError(
            f"The DICOM series claims {' × '.join(map(str, series.shape_kji))} voxels.",
            "Copy or send it again: a header is damaged.",
        )
    frames_of = lru_cache(maxsize=1)(_stored)  # a multi-frame object is read once for all its frames
    stored = []
    for one in series.slices:
        with legible(one.file):
            frames = frames_of(one.file)
            stored.append(frames[one.frame or 0])
            if stored[-1].shape != series.shape_kji[1:]:
                raise ValueError("another size than the header says")
    return _rescaled(np.stack(stored), series)


def _rescaled(stored: np.ndarray, series: Series) -> np.ndarray:
    factors = {(one.slope, one.intercept) for one in series.slices}
    slope, intercept = next(iter(factors))
    whole = stored.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer()
    if len(factors) > 1 or not whole:  # PET rescales slice by slice, in fractions
        slopes = np.array([one.slope for one in series.slices], np.float32)[:, None, None]
        intercepts = np.array([one.intercept for one in series.slices], np.float32)[:, None, None]
        return stored * slopes + intercepts
    low, high = int(stored.min()), int(stored.max())
    numbers = [low, high, slope, intercept, low * slope + intercept, high * slope + intercept]
    kind = np.int16 if np.abs(numbers).max() < 2**15 else np.int32 if np.abs(numbers).max() < 2**31 else float
    return stored.astype(kind) * kind(slope) + kind(intercept)


def _stored(file: Path) -> np.ndarray:
    """The stored values of a file, (frame, row, column)."""
    whole = read_whole(file)
    syntax = whole.file_meta.TransferSyntaxUID
    packed = syntax.is_encapsulated and syntax != RLELossless
    array = _unpacked(whole) if packed else whole.pixel_array
    return array.reshape(-1, *array.shape[-2:])


def _unpacked(whole: pydicom.Dataset) -> np.ndarray:
    """Pixels that GDCM unpacks (JPEG in all its kinds), from an object that holds nothing else."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = whole.file_meta.TransferSyntaxUID
    bare = pydicom.Dataset()
    bare.file_meta = meta
    bare.SOPClassUID, bare.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for name in _PIXEL_TAGS:
        if name in whole:
            bare[name] = whole[name]
    with TemporaryDirectory() as folder, native_calls():
        path = str(Path(folder) / "pixels.dcm")
        bare.save_as(path, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))
