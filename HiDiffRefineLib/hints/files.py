"""Hints from any file that a user may have: markups of 3D Slicer, or scribbles painted on a labelmap."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint, Painted
from HiDiffRefineLib.hints.markups import not_of_segment, read_markups, several_segments
from HiDiffRefineLib.hints.naming import stroke_owner
from HiDiffRefineLib.hints.rasterize import check_inside
from HiDiffRefineLib.hints.signs import Signs
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.read import EXTENSIONS, read_segmentation

POSITIVE, NEGATIVE = 1, 2


def read_hints(path: Path, grid: Grid, signs: Signs, segment_id: str = "") -> list[Hint]:
    """The hints of one file, in order of time.

    - .mrk.json: points and curves in the file's order, the curves as thin as a voxel; see `read_markups`.
    - A labelmap or .seg.nrrd of any geometry: value 1 is positive, 2 negative, unless a segment's name in
      a .seg.nrrd says it, or the file's name where there is nothing but 1. Positive paint comes first.

    Args:
        grid: of the image; each hint must cover a voxel of it.
        signs: what names say, and what the user has told of them.
        segment_id: the segment that the hints are for, or `naming.NEW_SEGMENT`; see `read_markups`. The
            module's strokes too are kept for all segments together.

    Raises:
        HintError: another kind of file, no hints in it, one outside the volume, or nothing says whether they
            are positive.
        VolumeError: a labelmap that cannot be read.
    """
    if path.name.lower().endswith(".json"):
        hints = read_markups(path, signs, float(grid.spacing_kji.min()), segment_id)
    elif not path.name.lower().endswith(EXTENSIONS):
        raise HintError(
            f"{path.name}: This kind of file holds no hints.",
            f"Save points and curves from 3D Slicer as .mrk.json, paint as {', '.join(EXTENSIONS)}.",
        )
    else:
        hints = _painted(path, signs, segment_id)
    with _named(path):
        check_inside(hints, grid)
    return hints


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name in front of every refusal."""
    try:
        yield
    except HintError as error:
        raise HintError(f"{path.name}: {error.message}", error.remedy) from error


def _painted(path: Path, signs: Signs, segment_id: str) -> list[Hint]:
    volume, labels = read_segmentation(path)
    present = [label for label in labels if (volume.array == label.value).any()]
    owners = {owner for label in present if (owner := stroke_owner(label.id))}
    with _named(path):
        if not present:
            raise HintError("Nothing is painted on it.", "Paint at least one voxel.")
        if segment_id and owners:
            present = [label for label in present if stroke_owner(label.id) in ("", segment_id)]
        elif len(owners) > 1:
            raise several_segments(owners)
        if not present:
            raise not_of_segment()
        positive = _positive(path, present, signs)
    paint = [
        Painted(volume.array == label.value, volume.ijk_to_ras, sign)
        for label, sign in zip(present, positive, strict=True)
    ]
    return sorted(paint, key=lambda hint: not hint.positive)


def _positive(path: Path, labels: Sequence[Label], signs: Signs) -> list[bool]:
    """Whether each label is positive: by its name, else by its value; a 1 alone, as the file's name says."""
    found = []
    for label in labels:
        if label.value == NEGATIVE:
            found.append(signs.of(label.name, default=False))
        elif label.value == POSITIVE and len(labels) > 1:
            found.append(signs.of(label.name, default=True))
        elif label.value == POSITIVE:
            found.append(signs.of(label.name, path.name, default=True))
        else:
            found.append(signs.of(label.name))
    return found
