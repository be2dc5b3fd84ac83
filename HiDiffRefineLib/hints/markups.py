"""Hints from the markups files of 3D Slicer (.mrk.json, schema v1.0.x).

The format: https://slicer.readthedocs.io/en/latest/developer_guide/modules/markups.html and
vtkMRMLMarkupsJsonStorageNode.cxx, whose rules for missing fields are kept here.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.hints.hint import Click, Hint, Scribble
from HiDiffRefineLib.hints.naming import point_owner
from HiDiffRefineLib.hints.signs import Signs

# The numbers are from files of Slicer 4.
TO_RAS = {
    "LPS": np.array([-1.0, -1.0, 1.0]),
    "1": np.array([-1.0, -1.0, 1.0]),
    "RAS": np.ones(3),
    "0": np.ones(3),
}
# What Slicer draws between two control points of a curve.
POINTS_PER_SEGMENT = 10
_SAVE_AGAIN = "Save the markups again from 3D Slicer as .mrk.json."


def read_markups(path: str | os.PathLike, signs: Signs, width_mm: float, segment_id: str = "") -> list[Hint]:
    """Reads point lists, lines and curves of 3D Slicer as hints.

    The points of a list become clicks, in their order; each line and curve becomes a scribble. Control
    points without a position are left out. Curves run as Slicer draws them by default, smoothly (the file
    does not say which of its curve types was chosen). A transform that the scene applies is not in the file.

    Args:
        path: a .mrk.json file.
        signs: tells whether the hints belong to the segment, by the point's label, which Slicer makes of the
            list's name, else the markup's name, else the file's.
        width_mm: the scribbles' width.
        segment_id: the segment that the hints are for. The lists of the module in 3D Slicer hold the hints of
            all segments: of these only its points count, and new ones.

    Raises:
        HintError: the file is missing, is no markups file, holds other things than points, lines and
            curves, or no points at all; nothing says whether they are positive; which segment they are for
            can't be told; or `width_mm` is impossible.
    """
    path = Path(path).absolute()
    try:
        markups = _markups_in(path)
        wanted = _owner(markups, segment_id)
        hints = [hint for one in markups for hint in _hints_of(one, signs, width_mm, path, wanted)]
        if not hints and wanted:
            raise not_of_segment()
        if not hints:
            raise HintError("It holds no points.", "Place points in 3D Slicer and save the markups again.")
    except HintError as error:
        raise HintError(f"{path.name}: {error.message}", error.remedy) from error
    return hints


def _owner(markups: Sequence[dict], segment_id: str) -> str:
    """The segment whose points count in the module's lists; empty where there is no choice."""
    owners = {
        owner for markup in markups for point in _control_points(markup) if (owner := _for(markup, point))
    }
    if segment_id:
        return segment_id if owners else ""
    if len(owners) > 1:
        raise several_segments(owners)
    return ""


def several_segments(owners: Iterable[str]) -> HintError:
    """The refusal of the module's hints where nothing says whose to take."""
    return HintError(
        f"Its hints are for several segments ({', '.join(sorted(owners))}).",
        "Give the mask as the .seg.nrrd of the same scene: it says which segment is which.",
    )


def not_of_segment() -> HintError:
    """The refusal of the module's hints that are all for other segments."""
    return HintError("It holds no hints for the chosen segment.", "Choose the segment that they are for.")


def _for(markup: dict, point: dict) -> str:
    return point_owner(str(markup.get("name", "")), str(point.get("description", "")))


def _markups_in(path: Path) -> list:
    if path.suffix.lower() != ".json":
        raise HintError("This is no markups file.", "Save the markups from 3D Slicer as .mrk.json.")
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise HintError(
            f"The file cannot be read ({error.strerror}).", "Check the path and its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise HintError("The file is damaged: it is not valid JSON.", _SAVE_AGAIN) from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise HintError("This JSON file holds no markups.", "Choose a .mrk.json file saved by 3D Slicer.")
    return markups


def _hints_of(markup: dict, signs: Signs, width_mm: float, path: Path, wanted: str) -> list[Hint]:
    kind = markup.get("type")
    if kind not in ("Fiducial", "Line", "Curve", "ClosedCurve"):
        raise HintError(
            f"Markups of the type '{kind}' cannot serve as hints.", "Use a point list, a line or a curve."
        )
    labels, points_ras = _points(markup, wanted)
    if not labels:
        return []
    names = (str(markup.get("name", "")), path.name)
    positive = [signs.of(label, *names) for label in labels]
    if kind == "Fiducial":
        return [Click(point, sign) for point, sign in zip(points_ras, positive, strict=True)]
    if kind != "Line":
        points_ras = _as_slicer_draws(points_ras, closed=kind == "ClosedCurve")
    return [Scribble(points_ras, positive[0], width_mm)]


def _points(markup: dict, wanted: str) -> tuple[list[str], np.ndarray]:
    """Labels of the control points that have a position, and their positions, (n, 3) RAS mm.

    Args:
        wanted: the segment whose points count; empty for any.
    """
    system = str(markup.get("coordinateSystem", "LPS"))
    if system not in TO_RAS:
        raise HintError(f"The coordinate system '{system}' is not known.", _SAVE_AGAIN)
    units = markup.get("coordinateUnits", "mm")
    if units not in ("mm", ["mm", "UCUM", "millimeter"]):
        raise HintError(f"The coordinates are in '{units}'.", "Save the markups in millimetres.")
    try:
        placed = [
            point
            for point in _control_points(markup)
            if point.get("positionStatus", "defined") == "defined"
            and point.get("position")
            and (not wanted or _for(markup, point) in ("", wanted))
        ]
        points = np.array([point["position"] for point in placed] or np.empty((0, 3)), float)
    except (OverflowError, TypeError, ValueError) as error:
        raise _no_positions() from error
    if points.shape[1:] != (3,):
        raise _no_positions()
    return [str(point.get("label", "")) for point in placed], points * TO_RAS[system]


def _control_points(markup: dict) -> list[dict]:
    points = markup.get("controlPoints", [])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise _no_positions()
    return points


def _no_positions() -> HintError:
    return HintError("The position of a control point is not three numbers.", _SAVE_AGAIN)


def _as_slicer_draws(points: np.ndarray, closed: bool) -> np.ndarray:
    """The curve through control points (n, 3) as a polyline (m, 3).

    It is the cubic spline of vtkCardinalSpline: smooth, one unit of its parameter from point to point, and
    where it is open, at rest in both ends.
    """
    # The slopes s of a cubic spline obey s₋ + 4 s + s₊ = 3 (p₊ - p₋); each round halves the error at least.
    rise = 3 * (np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0))
    slopes = np.zeros_like(points)
    for _ in range(50):
        slopes = (rise - np.roll(slopes, -1, axis=0) - np.roll(slopes, 1, axis=0)) / 4
        if not closed:
            slopes[[0, -1]] = 0
    if closed:
        points, slopes = (np.append(values, values[:1], axis=0) for values in (points, slopes))
    t = np.linspace(0, 1, POINTS_PER_SEGMENT, endpoint=False)[:, None]
    p, q, u, v = points[:-1, None], points[1:, None], slopes[:-1, None], slopes[1:, None]
    between = (
        p * (1 + 2 * t) * (1 - t) ** 2 + q * t**2 * (3 - 2 * t) + u * t * (1 - t) ** 2 - v * t**2 * (1 - t)
    )
    return np.append(between.reshape(-1, 3), points[-1:], axis=0)
