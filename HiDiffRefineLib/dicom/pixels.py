"""The voxels of a series, as the values that its headers say they mean (CT: HU)."""

import struct
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.encaps import generate_fragments
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
    generate_uid,
)

from HiDiffRefineLib.dicom.files import legible, read_whole
from HiDiffRefineLib.dicom.identity import named
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.dicom.slices import Slice
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.itk import native_calls

# 512 × 512 × 8192; a header that asks for more is damaged.
MOST_VOXELS = 2**31
# No codec packs an image tighter, not even an empty one: GDCM would fill gigabytes before it finds out.
MOST_VOXELS_A_BYTE = 100_000
_JPEG2000_START = b"\xff\x4f\xff\x51"  # a codestream, and its sizes
_LONGEST_JP2_HEADER = 1024  # some vendors put a file's boxes in front
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_PACKED = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, JPEG2000Lossless, JPEG2000)
_PIXEL_TAGS = (
    "SamplesPerPixel",
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

    Voxels of padding that would be brighter than the whole image are as dark as its darkest.

    Raises:
        VolumeError: a slice is damaged, or packed in a way that cannot be undone here.
    """
    if np.prod(series.shape_kji, dtype=float) > MOST_VOXELS:
        raise VolumeError(
            f"The DICOM series claims {' × '.join(map(str, series.shape_kji))} voxels.",
            "Copy or send it again: a header is damaged.",
        )
    places = defaultdict(list)  # a multi-frame object is read once for all its frames
    for k, one in enumerate(series.slices):
        places[one.file].append((k, one.frame or 0))
    stored = [np.zeros(0)] * len(series.slices)
    for file, wanted in places.items():
        with legible(file):
            frames = stored_values(file)
            for k, frame in wanted:
                stored[k] = frames[frame]
                if stored[k].shape != series.shape_kji[1:]:
                    raise ValueError("another size than the header says")
    stack = np.stack(stored)
    return _without_bright_padding(_rescaled(stack, series), stack, series)


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


def _without_bright_padding(values: np.ndarray, stored: np.ndarray, series: Series) -> np.ndarray:
    """What is outside of the scanner's circle is -2000 as a rule, which read as unsigned is 63536.

    Padding elsewhere stays: below the image it does no harm, and amidst its values the header is wrong.
    """
    if stored.dtype.kind not in "iu" or "ModalityLUTSequence" in series.header:
        return values
    told = [_padding_ends(one, stored.dtype) for one in series.slices]
    told_elsewhere = next((ends for ends in told if ends.size), np.zeros(0))  # headers may leave it out
    padding = np.zeros(stored.shape, bool)
    for k, ends in enumerate(told):
        ends = ends if ends.size else told_elsewhere
        if ends.size:
            padding[k] = (stored[k] >= ends.min()) & (stored[k] <= ends.max())
    if padding.any() and not padding.all():
        image = values[~padding]
        if values[padding].min() > image.max():
            values[padding] = image.min()
    return values


def _padding_ends(one: Slice, kind: np.dtype) -> np.ndarray:
    """The lowest and highest stored value that a slice's header calls padding, or none."""
    with legible(one.file):
        ends = [one.header.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
        # The value may be told as signed where pixels are not, and the other way round.
        return np.array([end for end in ends if end is not None], np.int64).astype(kind)


def stored_values(file: Path) -> np.ndarray:
    """The values of a file, (frame, row, column), after its lookup table if it has one.

    Raises:
        VolumeError: packed in a way that cannot be undone here.
    """
    whole = read_whole(file)
    syntax = whole.file_meta.TransferSyntaxUID
    if syntax not in (*NATIVE, RLELossless, *_PACKED):
        raise VolumeError(
            f"{file.name} is packed as {syntax.name} ({named('TransferSyntaxUID')}), which can't be unpacked"
            " here.",
            "Have the archive send it uncompressed, or unpack it with another program (gdcmconv --raw).",
        )
    array = _unpacked(whole) if syntax in _PACKED else _plain(whole)
    if whole.get("ModalityLUTSequence"):
        array = apply_modality_lut(array, whole)
    return array.reshape(-1, *array.shape[-2:])


def _plain(whole: pydicom.Dataset) -> np.ndarray:
    """Pixels that pydicom reads; it takes the lowest bits for the stored ones, whatever the header says."""
    whole.PhotometricInterpretation = whole.get("PhotometricInterpretation") or "MONOCHROME2"
    allocated, kept = whole.BitsAllocated, whole.get("BitsStored") or whole.BitsAllocated
    highest = whole.get("HighBit", kept - 1)
    if highest == kept - 1 or "PixelData" not in whole:
        return whole.pixel_array
    if not kept <= highest + 1 <= allocated:
        raise ValueError("bits that are not there")
    whole.BitsStored = allocated
    return whole.pixel_array << (allocated - 1 - highest) >> (allocated - kept)


def _unpacked(whole: pydicom.Dataset) -> np.ndarray:
    """Pixels that GDCM unpacks (JPEG in all its kinds), from an object that holds nothing else."""
    if whole.HighBit != whole.BitsStored - 1:
        raise VolumeError(
            f"{named('HighBit')} is {whole.HighBit} with {whole.BitsStored} stored bits, and packed.",
            "Have the archive send it uncompressed.",
        )
    voxels = whole.Rows * whole.Columns * int(whole.get("NumberOfFrames") or 1)
    if voxels > MOST_VOXELS_A_BYTE * len(whole.PixelData):
        raise ValueError("more voxels than so few bytes can hold")
    _check_fragments(whole)
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
    bare.PhotometricInterpretation = "MONOCHROME2"  # what is shown white as black, GDCM would invert
    with TemporaryDirectory() as folder, native_calls(codecs=True):
        path = str(Path(folder) / "pixels.dcm")
        bare.save_as(path, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))


def _check_fragments(whole: pydicom.Dataset) -> None:
    """GDCM takes minutes over fragments that do not follow one another, and over a huge JPEG 2000 image.

    Raises:
        ValueError: damaged.
    """
    for fragment in generate_fragments(whole.PixelData):
        start = fragment.find(_JPEG2000_START, 0, _LONGEST_JP2_HEADER)
        if start >= 0:
            # ISO 15444-1, A.5.1: two ends, then two offsets, along columns and rows.
            x1, y1, x0, y0 = struct.unpack_from(">4I", fragment, start + len(_JPEG2000_START) + 4)
            if (y1 - y0, x1 - x0) != (whole.Rows, whole.Columns):
                raise ValueError("another size than the header says")
