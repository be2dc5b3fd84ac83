"""How large segments are: voxels and millilitres, as a table and as CSV."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np

from HiDiffRefineLib.geometry.boxes import Box, whole_box
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.new_files import write_whole

# Below this volumes are told in mm³.
SMALL_ML = 0.05


def millilitres_per_voxel(ijk_to_ras: np.ndarray) -> float:
    """The size of a voxel, from the 4×4."""
    return abs(float(np.linalg.det(ijk_to_ras[:3, :3]))) / 1000


def volume_text(millilitres: float, cut: bool = False) -> str:
    """A volume as a user reads it: "12.3 ml"; below 50 mm³, where that would be 0.0, "8.25 mm³".

    Of a segment that is cut by the image's border "at least 12.3 ml".
    """
    small = 0 < millilitres < SMALL_ML
    text = f"{1000 * millilitres:.3g} mm³" if small else f"{millilitres:.1f} ml"
    return f"at least {text}" if cut else text


def cut_values(labelmap: np.ndarray, box: Box | None = None, shape: Sequence[int] | None = None) -> set[int]:
    """The labels of a labelmap (k, j, i) that touch its border: what was imaged of them is not all.

    Args:
        box, shape: where in an image of that shape (k, j, i) the labelmap lies, if it is a part of one.
    """
    found = set()
    sides = zip(box or whole_box(labelmap.shape), shape or labelmap.shape, strict=True)
    for axis, (part, size) in enumerate(sides):
        ends = [0] * (part.start == 0) + [-1] * (part.stop == size)
        found |= {value for end in ends for value in np.unique(labelmap.take(end, axis)).tolist()}
    return found - {0}


def volume_table(
    labelmap: np.ndarray,
    ijk_to_ras: np.ndarray,
    labels: Sequence[Label],
    parts: Mapping[str, np.ndarray] | None = None,
) -> list[dict]:
    """A row for each label, empty ones too.

    Args:
        labelmap: (k, j, i).
        ijk_to_ras: 4×4.
        parts: name → values of some of the labelmap's voxels, which get a column of their own.

    Returns:
        {"value", "segment", "voxels", "ml", one "ml NAME" for each part, "cut"} for each label; cut says
        whether the segment touches the border of the image, so that it may be larger.
    """
    size = millilitres_per_voxel(ijk_to_ras)
    highest = max((label.value for label in labels), default=0)
    counts = {name: _counts(values, highest) for name, values in (parts or {}).items()}
    whole, cut = _counts(labelmap, highest), cut_values(labelmap)
    return [
        {"value": label.value, "segment": label.name, "voxels": int(whole[label.value])}
        | {"ml": float(whole[label.value] * size)}
        | {f"ml {name}": float(count[label.value] * size) for name, count in counts.items()}
        | {"cut": label.value in cut}
        for label in labels
    ]


def write_volume_table(path: Path, table: Sequence[dict]) -> None:
    """Writes a `volume_table` as CSV: comma, decimal point, a line of column names, ml to a tenth of a mm³.

    Volumes below 50 mm³ keep six digits. The column cut says "yes" or nothing.

    Raises:
        FileError: the file can't be written.
    """
    text = StringIO(newline="")
    writer = csv.DictWriter(text, table[0] if table else ["value", "segment", "voxels", "ml", "cut"])
    writer.writeheader()
    for row in table:
        volumes = {key: _digits(ml) for key, ml in row.items() if key.startswith("ml")}
        writer.writerow(row | volumes | {"cut": "yes" if row["cut"] else ""})
    write_whole(path, text.getvalue().encode())


def _digits(millilitres: float) -> str:
    return f"{millilitres:.6g}" if 0 < millilitres < SMALL_ML else f"{millilitres:.4f}"


def _counts(values: np.ndarray, highest: int) -> np.ndarray:
    return np.bincount(values.ravel(), minlength=highest + 1)
