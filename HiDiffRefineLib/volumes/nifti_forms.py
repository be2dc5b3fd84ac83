"""The two places that a NIfTI header gives its voxels, qform and sform, which may differ.

Format: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
"""

import errno
import gzip
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Voxels by which both may differ: files round.
TOLERANCE = 0.1
_SIZE = 348
_PACKING = 6
# Codes, quaternion and offset, and the rows of the sform.
_FORMS, _FORMS_AT = "2h6f12f", 252
_PIXDIM, _PIXDIM_AT = "4f", 76
_UNITS_AT = 123
_MILLIMETRES = (0, 2)


@dataclass(frozen=True)
class NiftiForms:
    """What a NIfTI-1 header says of places.

    Args:
        handedness: pixdim[0], 1 or -1.
        values: of qform_code to srow_z.
        qform, sform: 4×4 from (i, j, k, 1) to RAS mm; None where its code is 0.
    """

    handedness: float
    values: tuple[float, ...]
    qform: np.ndarray | None
    sform: np.ndarray | None

    def apart(self, shape_kji: tuple[int, ...]) -> float:
        """How far apart both place a voxel at the most, mm; 0 where they are the same, or there is one."""
        if self.qform is None or self.sform is None:
            return 0.0
        corners = np.array([[*index, 1] for index in np.ndindex(2, 2, 2)]) * [
            *(n - 1 for n in shape_kji[::-1]),
            1,
        ]
        off = np.linalg.norm((corners @ (self.qform - self.sform).T)[:, :3], axis=1).max()
        smallest = np.linalg.norm(self.sform[:3, :3], axis=0).min()
        return float(off) if off > TOLERANCE * smallest else 0.0


def read_forms(path: Path) -> NiftiForms | None:
    """What the header of a file says; None for another kind of file, or one that counts in other units."""
    with _opened(path) as file:
        header = file.read(_SIZE)
    order = next((o for o in "<>" if header[:4] == struct.pack(f"{o}i", _SIZE)), "")
    if not order or len(header) < _SIZE or header[_UNITS_AT] & 7 not in _MILLIMETRES:
        return None
    handedness, *zooms = struct.unpack_from(f"{order}{_PIXDIM}", header, _PIXDIM_AT)
    values = struct.unpack_from(f"{order}{_FORMS}", header, _FORMS_AT)
    sform = np.eye(4)
    sform[:3] = np.reshape(values[8:], (3, 4))
    qform = _from_quaternion(values[2:5], values[5:8], handedness, zooms)
    return NiftiForms(handedness, values, qform if values[0] > 0 else None, sform if values[1] > 0 else None)


def write_forms(plain: Path, path: Path, forms: NiftiForms) -> None:
    """A NIfTI-1 file that ITK wrote, which knows one place, with both in its header.

    Args:
        plain: as ITK wrote it, not packed; it is gone afterwards.
        path: .nii, or .nii.gz: packed here, for the first time.

    Raises:
        OSError: the file is no whole header, or can't be written.
    """
    with plain.open("r+b") as file:
        header = bytearray(file.read(_SIZE))
        if len(header) < _SIZE:  # ITK says nothing of a full disk
            raise OSError(errno.EIO, "read back, it is not the same")
        struct.pack_into("<f", header, _PIXDIM_AT, forms.handedness)
        struct.pack_into(f"<{_FORMS}", header, _FORMS_AT, *forms.values)
        file.seek(0)
        file.write(header)
    if path.suffix != ".gz":
        os.replace(plain, path)
        return
    # No name and no time in it: the same segmentation gives the same bytes.
    with (
        plain.open("rb") as file,
        path.open("wb") as new,
        gzip.GzipFile("", "wb", _PACKING, new, mtime=0) as packed,
    ):
        shutil.copyfileobj(file, packed, 1 << 20)
    plain.unlink()


def difference(forms: NiftiForms, ijk_to_ras: np.ndarray, shape_kji: tuple[int, ...]) -> str:
    """The warning about a file whose places differ; empty where they don't.

    Args:
        ijk_to_ras: 4×4 that was read.
    """
    apart = forms.apart(shape_kji)
    if not apart:
        return ""
    used = min(("qform", "sform"), key=lambda name: np.abs(getattr(forms, name) - ijk_to_ras).max())
    return (
        f"The header gives two places, which lie up to {apart:.1f} mm apart. Its {used} is used; a program"
        " that uses the other one shows the image, and what is made of it, elsewhere."
    )


def _from_quaternion(bcd, offset, handedness: float, zooms) -> np.ndarray:
    """The 4×4 of a qform: method 2 of nifti1.h."""
    b, c, d = bcd
    a = np.sqrt(max(0.0, 1 - (b * b + c * c + d * d)))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * [zooms[0], zooms[1], zooms[2] * (-1 if handedness < 0 else 1)]
    matrix[:3, 3] = offset
    return matrix


def _opened(path: Path):
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")
