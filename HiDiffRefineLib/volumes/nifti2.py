"""NIfTI-2 files, which ITK does not read, as NIfTI-1.

Formats: https://nifti.nimh.nih.gov/pub/dist/doc/nifti2.h and nifti1.h
"""

import gzip
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import damaged

_SIZE = 540
# From datatype to srow_z; the rest says nothing of voxels and places.
_NIFTI2 = "hh 8q 3d 8d q 2d 2d 2d 2q 80s 24s 2i 6d 12d i i"
_LONGEST = 32767


@contextmanager
def as_nifti1(path: Path) -> Iterator[Path]:
    """A NIfTI-2 file as a NIfTI-1 file, in a folder of its own; any other file as it is.

    Raises:
        VolumeError: a NIfTI-2 file that is damaged, or with axes too long for NIfTI-1.
    """
    packed = path.name.lower().endswith(".nii.gz")
    if not packed and path.suffix.lower() != ".nii":
        yield path
        return
    with gzip.open(path) if packed else path.open("rb") as file:
        try:
            header = file.read(_SIZE)
        except (gzip.BadGzipFile, EOFError, zlib.error):  # said by who reads it
            header = b""
        order = next((o for o in "<>" if header[:4] == struct.pack(f"{o}i", _SIZE)), "")
        if not order or len(header) < _SIZE:
            yield path
            return
        try:
            converted, offset = _converted(header, order)
        except (struct.error, OverflowError) as error:  # a number that no header of an image has
            raise damaged() from error
        with TemporaryDirectory() as folder:
            new = Path(folder) / "image.nii"
            try:
                with new.open("wb") as target:
                    target.write(converted)
                    file.seek(offset)
                    shutil.copyfileobj(file, target)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise damaged() from error
            yield new


def _converted(header: bytes, order: str) -> tuple[bytes, int]:
    """The NIfTI-1 header up to its voxels, and where the voxels begin in the NIfTI-2 file."""
    fields = struct.unpack_from(f"{order}{_NIFTI2}", header, 12)
    datatype, bitpix, dim = fields[0], fields[1], fields[2:10]
    pixdim, offset, scale = fields[13:21], fields[21], fields[22:24]
    if max(dim) > _LONGEST:
        raise VolumeError(
            f"The image has an axis of {max(dim)} voxels, too long to be read.", "Cut or resample it."
        )
    codes, quaternion, rows = fields[32:34], fields[34:40], fields[40:52]
    new = bytearray(352)
    struct.pack_into(f"{order}i", new, 0, 348)
    struct.pack_into(f"{order}8h", new, 40, *dim)
    struct.pack_into(f"{order}2h", new, 70, datatype, bitpix)
    struct.pack_into(f"{order}8f", new, 76, *pixdim)
    struct.pack_into(f"{order}3f", new, 108, 352, *scale)
    struct.pack_into("B", new, 123, fields[53] & 0xFF)
    struct.pack_into(f"{order}2h", new, 252, *codes)
    struct.pack_into(f"{order}6f", new, 256, *quaternion)
    struct.pack_into(f"{order}12f", new, 280, *rows)
    new[344:348] = b"n+1\0"
    return bytes(new), offset
