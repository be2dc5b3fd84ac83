"""Headers of NRRD and MetaImage files, and whether their voxels are whole: what ITK does not look at."""

import io
import os
import re
import zlib
from pathlib import Path

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import damaged
from HiDiffRefineLib.volumes.unzipped import Unzipped

_NRRD, META = (".nrrd", ".nhdr"), (".mha", ".mhd")
# Lines of text, in NRRD up to an empty one, in MetaImage to the one that says where the voxels are.
_LONGEST_HEADER = 1 << 20
_NRRD_END = re.compile(rb"\r?\n\r?\n")
_META_END = re.compile(rb"^ElementDataFile\s*=.*(?:\n|\Z)", re.MULTILINE)
_READ_BYTES = 1 << 20


def nrrd_header(path: Path) -> tuple[bytes, int]:
    """The header's lines, and where the voxels begin."""
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    end = _NRRD_END.search(start)
    return (start[: end.start()], end.end()) if end else (start, len(start))


def meta_header(path: Path) -> tuple[dict[str, str], int]:
    """A MetaImage header's fields, none where it does not end, and where the voxels begin."""
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    end = _META_END.search(start)
    if end is None:
        return {}, 0  # said by who reads it
    header = start[: end.end()].decode("latin-1")
    return dict(re.findall(r"^(\w+)\s*=[ \t]*(.*?)\s*$", header, re.MULTILINE)), end.end()


def check_packed(path: Path) -> None:
    """Unpacks the voxels of a file, where they are packed, and forgets them. Of other kinds, does nothing.

    Where a checksum is wrong, ITK gives an NRRD file's voxels as they are, and MetaImage's as whatever lay in
    memory.

    Raises:
        VolumeError: packed voxels are damaged or cut off.
    """
    suffix = path.suffix.lower()
    found = _packed_nrrd(path) if suffix in _NRRD else _packed_meta(path) if suffix in META else None
    if found is None:
        return
    file, start, size = found
    with file.open("rb") as packed:
        packed.seek(start)
        voxels = Unzipped(packed if size is None else io.BytesIO(packed.read(size)))
        buffer = bytearray(_READ_BYTES)
        try:
            while voxels.readinto(buffer):
                pass
        except (EOFError, zlib.error) as error:
            raise damaged() from error


def check_ended(path: Path) -> None:
    """Refuses (VolumeError) a MetaImage file of numbers as text with nothing after the last one.

    ITK does, too, but calls it unreadable. Whether digits are missing, nobody can tell.
    """
    fields, start = meta_header(path)
    if fields.get("BinaryData", "True")[:1] not in ("F", "f", "0"):
        return
    where = fields["ElementDataFile"]
    file = path if where.upper() == "LOCAL" else path.parent / where
    if not file.is_file():
        return
    with file.open("rb") as text:
        end = text.seek(0, os.SEEK_END)
        text.seek(max(end - 1, 0))
        if end > (start if file == path else 0) and not text.read().isspace():
            raise VolumeError(
                "The text of the file ends with a digit and no line break: its last number may be cut off.",
                "Copy it again; if it is whole, add a line break at its end.",
            )


def _packed_nrrd(path: Path) -> tuple[Path, int, None] | None:
    """The file with packed voxels, and where they begin; None where they are not packed, or in many files."""
    header, start = nrrd_header(path)
    if not re.search(rb"^encoding: *gz(?:ip)?\s*$", header, re.MULTILINE | re.IGNORECASE):
        return None
    elsewhere = re.search(rb"^data ?file: *(.*?)\s*$", header, re.MULTILINE | re.IGNORECASE)
    if elsewhere:
        path, start = path.parent / os.fsdecode(elsewhere[1]), 0
        if not path.is_file():
            return None
    lines = re.search(rb"^line ?skip: *(\d+)", header, re.MULTILINE | re.IGNORECASE)
    with path.open("rb") as file:
        file.seek(start)
        for _ in range(int(lines[1]) if lines else 0):
            start += len(file.readline())
    return path, start, None


def _packed_meta(path: Path) -> tuple[Path, int, int | None] | None:
    """The same of MetaImage, and how many bytes there are; None for all."""
    fields, start = meta_header(path)
    if fields.get("CompressedData", "")[:1] not in ("T", "t", "1"):
        return None
    size = fields.get("CompressedDataSize", "")
    number = int(size) if size.isdecimal() and int(size) else None
    where = fields["ElementDataFile"]
    if where.upper() == "LOCAL":
        if number is None:
            raise VolumeError(
                "The header does not say how long the packed voxels are (CompressedDataSize).",
                "Save the image again, from 3D Slicer for instance.",
            )
        return path, start, number
    file = path.parent / where
    return (file, 0, number) if file.is_file() else None
