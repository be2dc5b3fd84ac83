"""Images as their formats allow them, if seldom: each is read as what it says, or refused in a sentence.

Formats: nifti1.h and nifti2.h, https://teem.sourceforge.net/nrrd/format.html,
https://docs.itk.org (MetaIO/Documentation).
"""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from HiDiffRefineLib.volumes.read import read_probabilities, read_segmentation
from Testing.tally import Tally
from Testing.volumes.samples import affine

LPS = np.diag([-1.0, -1, 1, 1])
NIFTI_TYPES = {
    "u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280,
}  # fmt: skip
NRRD_TYPES = {
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i1": ("signed char", "int8"),
    "i2": ("short", "signed short int", "int16_t"),
    "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"),
    "u4": ("unsigned int", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
META_TYPES = {
    "u1": "MET_UCHAR", "i1": "MET_CHAR", "i2": "MET_SHORT", "u2": "MET_USHORT", "i4": "MET_INT",
    "u4": "MET_UINT", "f4": "MET_FLOAT", "f8": "MET_DOUBLE",
}  # fmt: skip
# To RAS, by the names that NRRD has.
SPACES = {
    "RAS": np.eye(4), "right-anterior-superior": np.eye(4),
    "LAS": np.diag([-1.0, 1, 1, 1]), "Left-Anterior-Superior": np.diag([-1.0, 1, 1, 1]),
    "LPS": LPS, "left-posterior-superior": LPS,
}  # fmt: skip


def odd_images(count: int, seed: int, folder: Path) -> Tally:
    """So many odd labelmaps; what was read otherwise than it says stays in the folder."""
    tally = Tally()
    for n in range(count):
        place = folder / f"odd {n}"
        place.mkdir()
        random = np.random.default_rng([seed, n])
        labels, ijk_to_ras = _labels(random), _place(random)
        write = (_nifti, _nifti, _nrrd, _metaimage)[random.integers(4)]
        path = write(place, random, labels, ijk_to_ras)
        uses = [lambda path=path, labels=labels, to=ijk_to_ras: _same(path, labels, to)]
        if tally.take(f"{place.name}: {path.name}", *uses):
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
    return tally


def _same(path: Path, labels: np.ndarray, ijk_to_ras: np.ndarray) -> None:
    """Fails where a file is read otherwise than meant."""
    found, _ = read_segmentation(path)
    np.testing.assert_array_equal(found.array, labels)
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*labels.shape[::-1], 1]
    apart = np.abs(corners @ (found.ijk_to_ras - ijk_to_ras).T).max()
    assert apart < 0.01 * np.linalg.norm(ijk_to_ras[:3, :3], axis=0).min(), f"{apart} mm off"
    if ".nii" in path.name.lower():
        count, maps = read_probabilities(path)
        assert count == 1
        np.testing.assert_allclose(next(maps).array, labels, rtol=1e-5, atol=1e-4)


def _labels(random: np.random.Generator) -> np.ndarray:
    """(k, j, i) of the type that is stored."""
    kind = random.choice(["u1", "u1", "i2", "u2", "i4", "f4", "f8", "i1", "u4"])
    most = min(random.choice([1, 3, 100, 255, 32767]), {"i1": 127, "u1": 255}.get(kind, 32767))
    values = np.unique([0, *random.integers(1, most + 1, 3)])
    return random.choice(values, random.integers(1, 9, 3)).astype(kind)


def _place(random: np.random.Generator) -> np.ndarray:
    degrees = random.uniform(-180, 180, 3) * random.integers(2)
    flips, spacing = random.choice([-1, 1], 3), random.uniform(0.1, 6, 3)
    return affine(spacing, degrees, flips, random.uniform(-300, 300, 3) * random.integers(2))


def _nifti(folder: Path, random: np.random.Generator, labels: np.ndarray, ijk_to_ras: np.ndarray) -> Path:
    second, order = bool(random.integers(2)), random.choice(["<", ">"])
    kind, stored, slope, intercept = labels.dtype.str[1:], labels, random.choice([0, 1, np.nan]), 0
    if random.random() < 0.3:
        slope, intercept = [(0.5, 0), (1, -1024), (0.1, 0), (-1, 0)][random.integers(4)]
        kind, stored = random.choice(["f4", "f8", "i4"]), np.rint((labels.astype(float) - intercept) / slope)
    elif random.random() < 0.1:
        kind = random.choice(["i8", "u8"])
    unit, mm = [(0, 1), (1, 1000), (2, 1), (3, 0.001)][random.integers(4)]
    forms = [(0, 1), (1, 0), (1, 1), (2, 4), (0, 3), (3, 0)][random.integers(6)]
    further = [(), (1,), (1, 1), (1, 1, 1)][random.integers(4)]
    sizes = [3 + len(further), *labels.shape[::-1], *further, *[random.integers(2)] * (4 - len(further))]
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    turn = ijk_to_ras[:3, :3] / spacing
    handed = 1 if np.linalg.det(turn) > 0 else -1
    quaternion = Rotation.from_matrix(turn * [1, 1, handed]).as_quat(canonical=True)[:3]
    pixdim = [handed, *spacing / mm, *[1] * 4]
    places = [*quaternion, *ijk_to_ras[:3, 3] / mm, *(ijk_to_ras[:3] / mm).ravel()]
    if not forms[0]:
        places[:6] = [0] * 6
    if not forms[1]:
        places[6:] = [0] * 12
    extension = bytes(4)
    if random.random() < 0.3:
        extension = struct.pack(f"{order}4B2i24s", 1, 0, 0, 0, 32, 6, b"words")
    offset = (540 if second else 348) + len(extension) + 16 * random.integers(3)
    bits = np.dtype(kind).itemsize * 8
    if second:
        header = struct.pack(
            f"{order}i8s2h8q3d8d q2d2d2d2q80s24s2i18d3i16s16x",
            540, b"n+2\0\r\n\x1a\n", NIFTI_TYPES[kind], bits, *sizes, 0, 0, 0, *pixdim,
            offset, slope, intercept, 100, 0, 0, 0, 0, 0, b"", b"", *forms, *places, 0, unit, 0, b"odd",
        )  # fmt: skip
    else:
        header = struct.pack(
            f"{order}i10s18sihcB8h3f4h8ff2fhcB2f2f2i80s24s2h18f16s4s",
            348, b"", b"", 0, 0, b"r", 0, *sizes, 0, 0, 0, 0, NIFTI_TYPES[kind], bits, 0, *pixdim,
            offset, slope, intercept, 0, b"\0", unit, 100, 0, 0, 0, 0, 0, b"\xe9" * 3, b"",
            *forms, *places, b"odd", b"n+1\0",
        )  # fmt: skip
    voxels = stored.astype(order + kind).tobytes()
    content = (header + extension).ljust(offset, b"\0") + voxels + bytes(random.integers(2) * 40)
    if random.random() < 0.5:
        return _written(folder / random.choice(["a.nii", "A.NII", "é x.Nii"]), content)
    half = len(content) // 2
    parts = [content[:half], content[half:]] if random.random() < 0.3 else [content]
    packed = b"".join(gzip.compress(part, int(random.integers(10))) for part in parts)
    return _written(folder / random.choice(["a.nii.gz", "A.NII.GZ", "a.b.Nii.gz"]), packed)


def _nrrd(folder: Path, random: np.random.Generator, labels: np.ndarray, ijk_to_ras: np.ndarray) -> Path:
    kind, order = labels.dtype.str[1:], random.choice(["little", "big"])
    encoding = random.choice(["raw", "gzip", "gz", "ascii", "text", "hex"])
    space = random.choice(list(SPACES))
    unit, mm = [("mm", 1), ("um", 1e-3), ("microns", 1e-3), ("cm", 10)][random.integers(4)]
    axes = (SPACES[space] @ ijk_to_ras / mm)[:3]
    axis = random.choice(["", "first", "last"], p=[0.6, 0.2, 0.2])

    def with_axis(words: list[str], one: str) -> list[str]:
        return [one] * (axis == "first") + words + [one] * (axis == "last")

    fields = [
        f"type: {random.choice(NRRD_TYPES[kind])}",
        f"space: {space}",
        f"sizes: {' '.join(with_axis([str(n) for n in labels.shape[::-1]], '1'))}",
        f"space directions: {' '.join(with_axis([_vector(axes[:, n]) for n in range(3)], 'none'))}",
        f"space origin: {_vector(axes[:, 3])}",
        f"encoding: {encoding}",
        f"endian: {order}",
    ]
    if mm != 1 or random.random() < 0.3:
        fields.append(f'space units: "{unit}" "{unit}" "{unit}"')
    if axis or random.random() < 0.2:
        fields.append(f"kinds: {' '.join(with_axis(['domain', 'space', 'domain'], 'list'))}")
    odd = [
        f"centerings: {' '.join(with_axis(['cell', 'cell', '???'], 'none'))}",
        f"thicknesses: {' '.join(with_axis(['nan', 'NaN', '3'], 'nan'))}",
        "content: of an odd kind",
        "# says nothing",
        "key:=value: of=all",
        "old min: 0",
    ]
    fields += [line for line in odd if random.random() < 0.2]
    random.shuffle(fields)
    # What has a word for each axis comes after how many there are.
    fields = [f"dimension: {3 + bool(axis)}", *sorted(fields, key=lambda line: line.startswith("space "))]
    values = labels.astype(("<" if order == "little" else ">") + kind)
    body = {
        "raw": values.tobytes,
        "gzip": lambda: gzip.compress(values.tobytes()),
        "ascii": lambda: " ".join(f"{value:g}" for value in labels.ravel().tolist()).encode() + b"\n",
        "hex": lambda: values.tobytes().hex("\n", -20).upper().encode(),
    }[{"gz": "gzip", "text": "ascii"}.get(encoding, encoding)]()
    end = random.choice(["\n", "\r\n"])
    apart = random.random() < 0.2
    if apart:
        _written(folder / "voxels.bin", body)
        fields.append("data file: voxels.bin")
    text = end.join([f"NRRD000{random.integers(4, 6)}", *fields, "" if apart else end])
    if apart:
        return _written(folder / "a.nhdr", text.encode())
    return _written(folder / random.choice(["a.nrrd", "A.NRRD"]), text.encode() + body)


def _metaimage(folder: Path, random: np.random.Generator, labels: np.ndarray, ijk_to_ras: np.ndarray) -> Path:
    kind, packed = labels.dtype.str[1:], random.random() < 0.4
    words = not packed and random.random() < 0.2
    big = not words and bool(random.integers(2))
    axes, one = (LPS @ ijk_to_ras)[:3], bool(random.integers(2))
    spacing = np.linalg.norm(axes[:, :3], axis=0)
    turn = np.eye(3 + one)
    turn[:3, :3] = (axes[:, :3] / spacing).T
    numbers = {
        random.choice(["TransformMatrix", "Orientation", "Rotation"]): turn.ravel(),
        random.choice(["Offset", "Position", "Origin"]): [*axes[:, 3], *[0] * one],
        "ElementSpacing": [*spacing, *[1] * one],
    }
    fields = [
        "ObjectType = Image",
        f"NDims = {3 + one}",
        f"DimSize = {' '.join(map(str, [*labels.shape[::-1], *[1] * one]))}",
        f"BinaryData = {not words}",
        f"{random.choice(['BinaryDataByteOrderMSB', 'ElementByteOrderMSB'])} = {big}",
        *(f"{key} = {' '.join(f'{x:.12g}' for x in values)}" for key, values in numbers.items()),
        f"ElementType = {META_TYPES[kind]}",
    ]
    odd = ["AnatomicalOrientation = RAI", "Comment = odd", "Modality = MET_MOD_CT", "Color = 1 0 0 1"]
    fields[2:2] = [line for line in odd if random.random() < 0.2]
    values = labels.astype((">" if big else "<") + kind)
    text = " ".join(f"{value:g}" for value in labels.ravel().tolist()) + " \n"[random.integers(2)]
    body = text.encode() if words else values.tobytes()
    if packed:
        body = zlib.compress(body)
        fields[2:2] = ["CompressedData = True", f"CompressedDataSize = {len(body)}"][: random.integers(1, 3)]
    apart = not words and random.random() < 0.3
    if apart:
        _written(folder / "voxels.raw", body)
    end = random.choice(["\n", "\r\n"]) if not packed else "\n"
    text = end.join([*fields, f"ElementDataFile = {'voxels.raw' if apart else 'LOCAL'}", ""])
    if apart:
        return _written(folder / "a.mhd", text.encode())
    return _written(folder / random.choice(["a.mha", "A.MHA"]), text.encode() + body)


def _vector(numbers: Sequence[float]) -> str:
    return f"({','.join(f'{x:.15g}' for x in numbers)})"


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
