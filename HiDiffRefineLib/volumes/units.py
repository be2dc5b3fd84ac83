"""The unit of a file's lengths, which ITK reads of NIfTI files only."""

import re
from pathlib import Path

import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.packed import nrrd_header

_MM = {
    "m": 1e3, "meter": 1e3, "metre": 1e3, "dm": 100.0, "cm": 10.0, "centimeter": 10.0, "centimetre": 10.0,
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "mum": 1e-3,
    "micrometer": 1e-3, "micrometre": 1e-3, "nm": 1e-6, "nanometer": 1e-6, "nanometre": 1e-6,
}  # fmt: skip
# What says nothing stands for millimetres, as it does for every reader.
_UNKNOWN = {"", "?", "???", "none", "unknown", "pixel", "pixels", "voxel", "voxels", "1"}
_FIELD = re.compile(rb"^(?:space )?units: *(.*?) *\r?$", re.IGNORECASE | re.MULTILINE)


def unit_mm(path: Path, reader: sitk.ImageFileReader) -> float:
    """Millimetres of one unit of a file's spacing and origin.

    Args:
        path: of the file.
        reader: which has read its header.

    Raises:
        VolumeError: a unit that is no length, or units that differ from axis to axis.
    """
    units = _nrrd_units(path) if path.suffix.lower() in (".nrrd", ".nhdr") else []
    if reader.HasMetaDataKey("ITK_VoxelUnits"):  # of MetaImage
        units.append(reader.GetMetaData("ITK_VoxelUnits"))
    found = {_millimetres(unit) for unit in units} or {1.0}
    if len(found) > 1:
        raise VolumeError(
            f"The lengths in the file are in several units ({', '.join(units)}).",
            "Write all spacings and the origin in millimetres.",
        )
    return found.pop()


def _nrrd_units(path: Path) -> list[str]:
    """Of the first three axes in space; further ones may count seconds."""
    field = _FIELD.search(nrrd_header(path)[0])
    if field is None:
        return []
    return [unit.decode("utf-8", "replace") for unit in re.findall(rb'"([^"]*)"', field[1])[:3]]


def _millimetres(unit: str) -> float:
    name = unit.strip().casefold().replace("μ", "µ")  # the Greek letter and the sign
    if len(name) > 1 and name not in _MM:  # one s alone counts seconds
        name = name.removesuffix("s")
    if name in _UNKNOWN or name + "s" in _UNKNOWN:
        return 1.0
    if name not in _MM:
        raise VolumeError(
            f"The file's spacing is in '{unit}', which is no unit of length known here.",
            "Write spacing and origin in millimetres.",
        )
    return _MM[name]
