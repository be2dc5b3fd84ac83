"""Hints from any file that a user may have: markups of 3D Slicer, or scribbles painted on a labelmap."""

from collections.abc import Sequence
from pathlib import Path

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint, Painted
from HiDiffRefineLib.hints.markups import read_markups, sign_of
from HiDiffRefineLib.hints.rasterize import check_inside
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.read import EXTENSIONS, read_segmentation

POSITIVE, NEGATIVE = 1, 2


def read_hints(path: Path, grid: Grid) -> list[Hint]:
    """The hints of one file, in order of time.

    - .mrk.json: points and curves in the file's order, the curves as thin as a voxel; see `read_markups`.
    - A labelmap or .seg.nrrd of any geometry: value 1 is positive, 2 negative, unless a segment's name in
      a .seg.nrrd says it, or the file's name where there is nothing but 1. Positive paint comes first.

    Args:
        grid: of the image; each hint must cover a voxel of it.

    Raises:
        HintError: another kind of file, no hints in it, or one outside the volume.
        VolumeError: a labelmap that cannot be read.
    """
    if path.name.lower().endswith(".json"):
        hints = read_markups(path, None, float(grid.spacing_kji.min()))
    elif not path.name.lower().endswith(EXTENSIONS):
        raise HintError(
            f"{path.name}: This kind of file holds no hints.",
            f"Save points and curves from 3D Slicer as .mrk.json, paint as {', '.join(EXTENSIONS)}.",
        )
    else:
        hints = _painted(path)
    try:
        check_inside(hints, grid)
    except HintError as error:
        raise HintError(f"{path.name}: {error.message}", error.remedy) from error
    return hints


def _painted(path: Path) -> list[Hint]:
    volume, labels = read_segmentation(path)
    present = [label for label in labels if (volume.array == label.value).any()]
    if not present:
        raise HintError(f"{path.name}: Nothing is painted on it.", "Paint at least one voxel.")
    signs = _signs(path, present)
    paint = [
        Painted(volume.array == label.value, volume.ijk_to_ras, sign)
        for label, sign in zip(present, signs, strict=True)
    ]
    return sorted(paint, key=lambda hint: not hint.positive)


def _signs(path: Path, labels: Sequence[Label]) -> list[bool]:
    """Whether each label is positive: by its name, else by its value; a 1 alone, as the file's name says."""
    by_value = {POSITIVE: len(labels) > 1 or sign_of(path.name) is not False, NEGATIVE: False}
    named = [(sign_of(label.name), by_value.get(label.value)) for label in labels]
    signs = [value if name is None else name for name, value in named]
    if None in signs:
        unknown = labels[signs.index(None)].value
        raise HintError(
            f"{path.name}: The value {unknown} says neither positive nor negative.",
            "Paint with 1 for positive and 2 for negative, or name the segments positive and negative.",
        )
    return signs
