"""DICOM files found and opened: out of any bytes comes a header, or a refusal in a sentence."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from HiDiffRefineLib.errors import HiDiffRefineError, VolumeError

# The largest detectors have some 30 million pixels. More is a damaged header, which must not eat the memory.
MOST_PIXELS = 2**25
# What later steps ask of a header without looking whether its bytes can be told.
_IDENTITY = ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality")
_OF_KNOWN_SIZE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# Elements of group 2 or 8, in either byte order, begin a file that lacks the preamble.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its first bytes, preamble or not, or was cut off before they could say.

    The index of a disc (DICOMDIR) is none here.
    """
    with legible(path), path.open("rb") as file:
        head = file.read(132)
    cut_off = len(head) < 132 and b"DICM".startswith(head.strip(b"\0"))
    return path.name != "DICOMDIR" and (head[128:] == b"DICM" or head[:2] in _FIRST_GROUPS or cut_off)


def dicom_files(folder: Path) -> list[Path]:
    """Every DICOM file of a folder and its subfolders, by name."""
    found = [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.is_file() and is_dicom(path))


def read_header(path: Path) -> pydicom.Dataset:
    """The header of a DICOM file, without its pixels, whose number it promises is there.

    Raises:
        VolumeError: damaged or cut off.
    """
    with legible(path), path.open("rb") as file:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        syntax = _name_syntax(header)
        if "SOPClassUID" not in header or "SOPInstanceUID" not in header:
            raise unreadable(path)
        if not all(isinstance(header.get(name) or "", str) for name in _IDENTITY):
            raise unreadable(path)
        # Cut off before its size, an image would pass for an object that is none, and a slice be lost.
        if "Rows" in header or "Image Storage" in header.SOPClassUID.name:
            if header.Rows * header.Columns > MOST_PIXELS:
                raise unreadable(path)
            left = os.fstat(file.fileno()).st_size - file.tell()
            if syntax in _OF_KNOWN_SIZE and left < _pixel_bytes(header):
                raise unreadable(path)
    return header


def read_whole(path: Path) -> pydicom.Dataset:
    """A DICOM file with its pixels; see `read_header`, which must have been asked first."""
    with legible(path):
        whole = pydicom.dcmread(path, force=True)
        _name_syntax(whole)
    return whole


@contextmanager
def legible(path: Path) -> Iterator[None]:
    """Turns whatever goes wrong over the bytes of a file into one refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values that we don't need are no one's concern
            yield
    except HiDiffRefineError:
        raise
    except (PermissionError, FileNotFoundError) as error:
        raise VolumeError(
            f"{path.name} cannot be read: {error.strerror}.",
            "Check the path and the permissions, or copy the file into a folder of your own.",
        ) from error
    # A parser of damaged bytes fails in as many ways as there are bytes.
    except Exception as error:
        raise unreadable(path) from error


def unreadable(path: Path) -> VolumeError:
    """The refusal of a damaged file."""
    return VolumeError(
        f"{path.name} is no readable DICOM file: it is damaged or cut off.",
        "Copy or send it again, or remove it from the folder.",
    )


def _name_syntax(header: pydicom.Dataset) -> pydicom.uid.UID:
    """The transfer syntax, entered where a file without preamble does not name it."""
    if not getattr(header, "file_meta", None):
        header.file_meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return header.file_meta.TransferSyntaxUID


def _pixel_bytes(header: pydicom.Dataset) -> int:
    samples = header.Rows * header.Columns * int(header.get("SamplesPerPixel", 1))
    return samples * int(header.get("NumberOfFrames") or 1) * header.BitsAllocated // 8
