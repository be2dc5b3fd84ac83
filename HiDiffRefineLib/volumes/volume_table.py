"""How large segments are: voxels and millilitres, as a table and as CSV."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np

from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.new_files import write_whole


def millilitres_per_voxel(ijk_to_ras: np.ndarray) -> float:
    """The size of a voxel, from the 4×4."""
    return abs(float(np.linalg.det(ijk_to_ras[:3, :3]))) / 1000


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
        {"value", "segment", "voxels", "ml", one "ml NAME" for each part} for each label.
    """
    size = millilitres_per_voxel(ijk_to_ras)
    highest = max((label.value for label in labels), default=0)
    counts = {name: _counts(values, highest) for name, values in (parts or {}).items()}
    whole = _counts(labelmap, highest)
    return [
        {"value": label.value, "segment": label.name, "voxels": int(whole[label.value])}
        | {"ml": float(whole[label.value] * size)}
        | {f"ml {name}": float(count[label.value] * size) for name, count in counts.items()}
        for label in labels
    ]


def write_volume_table(path: Path, table: Sequence[dict]) -> None:
    """Writes a `volume_table` as CSV: comma, decimal point, a line of column names, ml to a tenth of a mm³.

    Raises:
        FileError: the file can't be written.
    """
    text = StringIO(newline="")
    writer = csv.DictWriter(text, table[0] if table else ["value", "segment", "voxels", "ml"])
    writer.writeheader()
    for row in table:
        writer.writerow({k: f"{v:.4f}" if k.startswith("ml") else v for k, v in row.items()})
    write_whole(path, text.getvalue().encode())


def _counts(values: np.ndarray, highest: int) -> np.ndarray:
    return np.bincount(values.ravel(), minlength=highest + 1)
