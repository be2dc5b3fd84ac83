"""Masks and probabilities from files, laid on the grid of a series."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from HiDiffRefineLib.dicom.checks import NO_PROBABILITIES, Check
from HiDiffRefineLib.dicom.segments import CERTAIN, NOWHERE, Segment, in_255ths, segments_of
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.errors import DicomError
from HiDiffRefineLib.geometry.boxes import bounding_box
from HiDiffRefineLib.volumes.labels import Label, nameless_label
from HiDiffRefineLib.volumes.read import read_probabilities, read_segmentation
from HiDiffRefineLib.volumes.volume import Volume, laid_on

# A probability below is stored as 0; networks leave such ones everywhere.
LEAST = 0.4 / CERTAIN
GEOMETRY = Check("The segmentation has the geometry of the series.", True)


def read_masks(
    paths: Sequence[Path], series: Series, named: Sequence[Label] = ()
) -> tuple[list[Segment], Check]:
    """The segments of labelmap files, and what there is to say of their geometry.

    Args:
        paths: each file's segments follow those of the one before, and may overlap them.
        named: labels for the values of files that name none, as those of the model that made them.
    """
    segments: list[Segment] = []
    for path in paths:
        mask, labels = read_segmentation(path)
        labelmap = laid_on(_grid(series), mask)
        if labelmap is None:
            return [], _elsewhere(path)
        by_value = {label.value: label for label in named}
        labels = [label if label.tags else by_value.get(label.value, label) for label in labels]
        segments += segments_of(labelmap, labels)
    return _renumbered(segments), GEOMETRY


def read_maps(path: Path, series: Series, named: Sequence[Label] = ()) -> tuple[list[Segment], Check]:
    """Probabilities of a 4-D (or one 3-D) NIfTI file as segments, and what there is to say of their geometry.

    In 255ths and cut to what is in them, as they will be stored: as floats, 13 of a CT would take 2 GB.

    Args:
        named: a label for each map, in their order.

    Raises:
        DicomError: another number of maps than labels.
    """
    count, maps = read_probabilities(path)
    labels = named or [nameless_label(n) for n in range(1, count + 1)]
    if len(labels) != count:
        raise DicomError(
            f"{path.name} holds {count} maps, but the model has {len(labels)} labels.",
            "Name the model that made the maps (--bundle).",
        )
    segments = []
    for label, one in zip(labels, maps, strict=True):
        if one.array.min() < 0 or one.array.max() > 1:
            return [], NO_PROBABILITIES
        stored = np.zeros(one.array.shape, np.uint8)
        if box := bounding_box(one.array > LEAST):
            stored[box] = in_255ths(one.array[box])
        laid = laid_on(_grid(series), one.like(stored))
        if laid is None:
            return [], _elsewhere(path)
        box = bounding_box(laid > 0) or NOWHERE
        segments.append(Segment(label, box, laid[box].copy()))
    return segments, GEOMETRY


def _grid(series: Series) -> Volume:
    return Volume(np.broadcast_to(np.uint8(0), series.shape_kji), series.ijk_to_ras)


def _elsewhere(path: Path) -> Check:
    return Check(
        f"{path.name} has another geometry than the series.",
        False,
        "Resample it onto the series; in 3D Slicer, export the segmentation as a labelmap with the series as"
        " its reference volume.",
    )


def _renumbered(segments: Sequence[Segment]) -> list[Segment]:
    """Values that two files share are given away once."""
    used: set[int] = set()
    result = []
    for segment in segments:
        value = segment.label.value if segment.label.value not in used else max(used) + 1
        used.add(value)
        result.append(replace(segment, label=replace(segment.label, value=value)))
    return result
