"""Millilitres of segments."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from HiDiffRefineLib.errors import FileError
from HiDiffRefineLib.volumes.labels import nameless_label
from HiDiffRefineLib.volumes.volume_table import cut_values, volume_table, volume_text, write_volume_table

LABELS = [replace(nameless_label(2), name="liver, left"), nameless_label(7)]


def test_rows_hold_voxels_and_millilitres_of_oblique_voxels():
    labelmap = np.zeros((10, 10, 10), np.uint8)
    labelmap[:5], labelmap[9] = 2, 1  # a value that no label names has no row
    turn = np.array([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    ijk_to_ras = turn @ np.diag([1.0, 2, 5, 1])
    table = volume_table(labelmap, ijk_to_ras, LABELS, {"low": labelmap[:1], "high": labelmap[8:]})
    first, second = table
    assert first == pytest.approx(
        {
            "value": 2,
            "segment": "liver, left",
            "voxels": 500,
            "ml": 5.0,
            "ml low": 1.0,
            "ml high": 0.0,
            "cut": True,
        }
    )
    assert (second["voxels"], second["ml"]) == (0, 0.0)


def test_csv_is_read_back(tmp_path):
    labelmap = np.full((3, 3, 3), 2, np.uint8)
    path = tmp_path / "volumes.csv"
    write_volume_table(path, volume_table(labelmap, np.eye(4), LABELS))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"value": "2", "segment": "liver, left", "voxels": "27", "ml": "0.027", "cut": "yes"}
    assert [row["ml"] for row in rows] == ["0.027", "0.0000"]
    write_volume_table(path, [])
    assert path.read_text(encoding="utf-8").splitlines() == ["value,segment,voxels,ml,cut"]


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(FileError, match="could not be written"):
        write_volume_table(tmp_path / "none" / "volumes.csv", [])


def test_small_volumes_are_told_in_cubic_millimetres():
    told = [volume_text(ml) for ml in (0, 8.25e-9, 0.00825, 0.0499, 0.05, 12.345)]
    assert told == ["0.0 ml", "8.25e-06 mm³", "8.25 mm³", "49.9 mm³", "0.1 ml", "12.3 ml"]


@pytest.mark.parametrize("face", range(6))
def test_what_touches_the_border_is_cut(face):
    labelmap = np.zeros((5, 6, 7), np.uint8)
    labelmap[2, 2, 2] = 3
    assert cut_values(labelmap) == set()
    np.moveaxis(labelmap, face // 2, 0)[-(face % 2)][1, 1] = 4
    assert cut_values(labelmap) == {4}
