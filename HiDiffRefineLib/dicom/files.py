"""DICOM files found and opened: out of any bytes comes a header, or a refusal in a sentence."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from HiDiffRefineLib.dicom.identity import named
from HiDiffRefineLib.errors import HiDiffRefineError, VolumeError

# Bytes until which a file says that it is DICOM.
_HEAD = 132
# The largest detectors have some 30 million pixels. More is a damaged header, which must not eat the memory.
MOST_PIXELS = 2**25
# What later steps ask of a header without looking whether its bytes can be told.
_IDENTITY = ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality")
_OF_KNOWN_SIZE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# An element of group 2 or 8, in either byte order, begins a file that lacks the preamble: its number, then
# its kind in two letters, or in group 8 its length. Files of plain numbers may begin with an 8, too.
_FIRST_ELEMENT = re.compile(rb"(?:[\x02\x08]\0..|\0\x08..)[A-Z]{2}|\x08\0.\0..\0\0", re.DOTALL)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its first bytes, preamble or not."""
    with legible(path), path.open("rb") as file:
        head = file.read(_HEAD)
    return head[128:] == b"DICM" or bool(_FIRST_ELEMENT.match(head))


def files_at(path: Path) -> list[Path]:
    """The DICOM files of a folder with its subfolders, by name; those of a disc by its index; or the file.

    Raises:
        VolumeError: damaged, or files that the index names are not there.
    """
    if path.is_dir():
        return dicom_files(path)
    header = read_header(path)
    return _files_of_index(path, header) if is_index(header) else [path]


def dicom_files(folder: Path) -> list[Path]:
    """Every DICOM file of a folder and its subfolders, by name.

    A file too short to say what it is may be anything, but among slices and named like them, it was one.
    """
    found = [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
    found = [path for path in found if path.is_file()]
    known = {path for path in found if is_dicom(path)}
    alike = {_without_numbers(path) for path in known}
    cut_off = {path for path in found if path.stat().st_size < _HEAD and _without_numbers(path) in alike}
    return sorted(known | cut_off)


def is_index(header: pydicom.Dataset) -> bool:
    """Whether a file is the index of a disc (DICOMDIR), whatever its name."""
    return header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage


def _without_numbers(path: Path) -> tuple[Path, str]:
    return path.parent, re.sub(r"[0-9]+", "0", path.name)


def _files_of_index(path: Path, header: pydicom.Dataset) -> list[Path]:
    """The images that an index names, in small letters or capitals: discs know no difference."""
    there = {
        str((Path(parent) / name).relative_to(path.parent)).lower(): Path(parent) / name
        for parent, _, names in os.walk(path.parent)
        for name in names
    }
    with legible(path):
        records = [one for one in header.DirectoryRecordSequence if one.DirectoryRecordType == "IMAGE"]
        named_there = [os.path.join(*_parts(one.ReferencedFileID)) for one in records]
    gone = [name for name in named_there if name.lower() not in there]
    if gone:
        raise VolumeError(
            f"The disc's index {path.name} names images that are not there: {gone[0]}"
            f"{f' and {len(gone) - 1} more' if gone[1:] else ''} ({named('ReferencedFileID')}).",
            "Copy the whole disc again, or choose the folder of the series.",
        )
    return [there[name.lower()] for name in named_there]


def _parts(value) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def read_header(path: Path) -> pydicom.Dataset:
    """The header of a DICOM file, without its pixels, whose number it promises is there.

    Raises:
        VolumeError: damaged or cut off.
    """
    with legible(path), path.open("rb") as file:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        syntax = _name_syntax(header)
        if is_index(header):
            return header
        if lacking := [name for name in ("SOPClassUID", "SOPInstanceUID") if not header.get(name)]:
            raise unreadable(path, f" It has no {named(lacking[0])}.")
        if not all(isinstance(header.get(name) or "", str) for name in _IDENTITY):
            raise unreadable(path)
        # Cut off before its size, an image would pass for an object that is none, and a slice be lost.
        image = "Image Storage" in header.SOPClassUID.name
        if image and "Rows" not in header and max(header.keys()) > tag_for_keyword("Rows"):
            raise VolumeError(
                f"{path.name} is a {header.SOPClassUID.name} by its {named('SOPClassUID')}, but has no"
                f" {named('Rows')}.",
                "It is no image: remove it from the folder.",
            )
        if image or "Rows" in header:
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


def unreadable(path: Path, why: str = "") -> VolumeError:
    """The refusal of a damaged file, with what it lacks if that is known."""
    return VolumeError(
        f"{path.name} is no readable DICOM file: it is damaged or cut off.{why}",
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
