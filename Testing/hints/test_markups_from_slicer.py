"""Markups that 3D Slicer itself wrote (slicer-core) become the lines that Slicer draws."""

from pathlib import Path

import numpy as np
import pytest

from HiDiffRefineLib.hints.markups import read_markups
from HiDiffRefineLib.hints.signs import Signs


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("markups")


@pytest.fixture(scope="module")
def drawn_by_slicer(in_slicer, folder) -> dict[str, list]:
    return in_slicer(Path(__file__).with_name("write_in_slicer.py"), str(folder))


@pytest.mark.parametrize("kind", ["Fiducial", "Line", "Curve", "ClosedCurve"])
def test_hints_lie_where_slicer_shows_them(folder, drawn_by_slicer, kind):
    hints = read_markups(folder / f"{kind}.mrk.json", Signs([kind]), 2)
    if kind == "Fiducial":
        found = np.array([click.point_ras for click in hints])
    else:
        (scribble,) = hints
        found = scribble.points_ras
    # Slicer keeps the curve's points in single precision.
    np.testing.assert_allclose(found, drawn_by_slicer[kind], atol=1e-5)
