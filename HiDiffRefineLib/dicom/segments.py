"""Segments on their way in or out: what each is, and its voxels in a box of the image's grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects

from HiDiffRefineLib.geometry.boxes import Box
from HiDiffRefineLib.volumes.labels import Label

NOWHERE = (slice(0, 0),) * 3
# A probability of 1 as a FRACTIONAL object of ours holds it, whose voxels have 8 bits.
CERTAIN = 255
# Where a probability makes a mask.
HALF = 0.5


@dataclass(frozen=True)
class Segment:
    """One segment. Segments may overlap.

    Args:
        label: its value is the segment's number.
        box: slices (k, j, i) of the image's grid.
        values: (k, j, i) of the box: a mask (bool), or a probability: from 0 to 1 (float32), or in 255ths
            (uint8), as it is stored.
    """

    label: Label
    box: Box
    values: np.ndarray

    @property
    def empty(self) -> bool:
        """Whether no voxel is in it, or none with a probability."""
        return not self.values.any()


def box_at(first: Sequence[int], shape: Sequence[int]) -> Box:
    """The box (k, j, i) of so many voxels from a first one."""
    return tuple(slice(int(a), int(a) + n) for a, n in zip(first, shape, strict=True))


def in_255ths(values: np.ndarray) -> np.ndarray:
    """Probabilities (float32, or uint8 already) as they are stored; masks stay as they are."""
    if values.dtype.kind in "bu":
        return values
    scaled = values * np.float32(CERTAIN)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def segments_of(labelmap: np.ndarray, labels: Sequence[Label]) -> list[Segment]:
    """The segments of a labelmap (k, j, i), one for each label, the empty ones too."""
    boxes = find_objects(labelmap, max((label.value for label in labels), default=0))
    found = [(label, boxes[label.value - 1] or NOWHERE) for label in labels]
    return [Segment(label, box, labelmap[box] == label.value) for label, box in found]


def likeliest(segments: Sequence[Segment], shape_kji: tuple[int, int, int]) -> list[Segment]:
    """Masks of probabilities (float32): the likeliest segment of each voxel, if it reaches `HALF`.

    Of segments that are equally likely the first has the voxel.
    """
    highest, given = np.zeros(shape_kji, np.float32), np.zeros(shape_kji, bool)
    for segment in segments:
        np.maximum(highest[segment.box], segment.values, out=highest[segment.box])
    masks = []
    for segment in segments:
        best = (segment.values >= HALF) & (segment.values == highest[segment.box]) & ~given[segment.box]
        given[segment.box] |= best
        masks.append(Segment(segment.label, segment.box, best))
    return masks


def overlapping(segments: Sequence[Segment], shape_kji: tuple[int, int, int]) -> tuple[str, str] | None:
    """The names of two segments that share a voxel; None if all lie apart."""
    numbers = np.zeros(shape_kji, np.min_scalar_type(len(segments)))
    for number, segment in enumerate(segments, 1):
        mask = segment.values > 0
        taken = numbers[segment.box][mask]
        if taken.any():
            return segments[taken[taken > 0][0] - 1].label.name, segment.label.name
        numbers[segment.box][mask] = number
    return None


def labelmap_of(segments: Sequence[Segment], shape_kji: tuple[int, int, int]) -> np.ndarray:
    """Their labels' values (k, j, i); where they overlap, the later one's."""
    highest = max((segment.label.value for segment in segments), default=0)
    labelmap = np.zeros(shape_kji, np.min_scalar_type(highest))
    for segment in segments:
        labelmap[segment.box][segment.values > 0] = segment.label.value
    return labelmap
