"""What a session asks of an engine, and what comes back: arrays in boxes of the volume, and no torch.

An engine knows the volume and the models. Whatever else an answer depends on is in the request, so that a
request may be run again, elsewhere, with the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from HiDiffRefineLib.geometry.boxes import Box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.inference.roi import RegionOfInterest

# Called with the share done and what is being done.
Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class View:
    """One segment in one region. All masks are bool of the box's shape.

    Args:
        region: the refiner's grid.
        box: slices (k, j, i) of the volume around the region.
        mask: the segment now.
        protected: voxels that no edit of it may change.
        original: the mask before any edit, where it did not come from the segmentor; else None.
        others: the other segments, likewise.
        fresh: whether nothing of the segment is there yet, though elsewhere, see `changes.answering`.
    """

    region: Grid
    box: Box
    mask: np.ndarray
    protected: np.ndarray
    original: np.ndarray | None
    others: np.ndarray | None
    fresh: bool = False


@dataclass(frozen=True, eq=False)
class EditRequest:
    """An edit of one segment; the answers are `Preview`s, one a reverse step, then the `Extents` of the last.

    Args:
        views: region after region, each edited on top of the one before.
        hints: all of the segment, the newest last.
        label: of the segmentor's prior; None for a mask that came from elsewhere.
        rois: where the segmentor looked; none for the whole volume.
        steps: reverse steps in each region.
        seed: fixes the result on a device.
        asked: how many of the newest hints are to be answered.
        tentative: whether the mask alone is wanted, without `Extents`.
    """

    views: tuple[View, ...]
    hints: tuple[Hint, ...]
    label: int | None
    rois: tuple[RegionOfInterest, ...]
    steps: int
    seed: int
    asked: int = 1
    tentative: bool = False


@dataclass(frozen=True, eq=False)
class UncertaintyRequest:
    """Where the refiner is uncertain about a segment; the answer is one `Uncertainty`.

    Args:
        view: of the whole segment.
        samples: chains run side by side. Others as for `EditRequest`.
    """

    view: View
    hints: tuple[Hint, ...]
    label: int | None
    rois: tuple[RegionOfInterest, ...]
    steps: int
    seed: int
    samples: int


@dataclass(frozen=True, eq=False)
class SegmentationRequest:
    """The segmentor on the volume or on regions of interest; the answer is one list of `LabelMask`."""

    rois: tuple[RegionOfInterest, ...] = ()


@dataclass(frozen=True, eq=False)
class WarmUpRequest:
    """Whatever the first edit would have to wait for; there is no answer."""


Request = EditRequest | UncertaintyRequest | SegmentationRequest | WarmUpRequest


@dataclass(frozen=True, eq=False)
class Preview:
    """The segment after a reverse step.

    Args:
        box: slices (k, j, i) of the native grid; outside, nothing changes.
        mask: bool of the box's shape, every hint met.
        unclamped: the same before hinted voxels were set by force.
    """

    box: Box
    mask: np.ndarray
    unclamped: np.ndarray


@dataclass(frozen=True, eq=False)
class Place:
    """Where the mask may well be another.

    Args:
        point_ras: (3,) RAS mm, a voxel centre in the midst of it.
        volume_ml: by how much the mask is expected to change there.
    """

    point_ras: np.ndarray
    volume_ml: float


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """An uncertainty map.

    Args:
        grid: of the map, a part of the volume's.
        box: slices (k, j, i) of the volume that the map covers.
        values: float32 (k, j, i), 1 - |2p - 1| of the chains' mean probability p: 0 sure, 1 undecided. It is
            0 where the user has spoken and where no edit may change anything.
        numbers: uint8 (k, j, i): the number of the place that a voxel belongs to, 0 where it is of none.
        places: what is undecided deeper than a border is, number 1 first: there the mask may change most.
    """

    grid: Grid
    box: Box
    values: np.ndarray
    numbers: np.ndarray
    places: tuple[Place, ...]

    @property
    def volume_ml(self) -> float:
        """By how much the mask is expected to change in all places."""
        return sum(place.volume_ml for place in self.places)

    def share_of(self, mask: np.ndarray) -> float:
        """That, as a part of the volume of the mask (bool of the box's shape): 1 for all of it, or more."""
        whole_ml = np.count_nonzero(mask) * np.prod(self.grid.spacing_kji) / 1000
        return min(self.volume_ml / whole_ml, 1.0) if whole_ml else 1.0

    @property
    def worth_a_look(self) -> np.ndarray:
        """The values in the places, 0 elsewhere."""
        return np.where(self.numbers > 0, self.values, np.float32(0))


@dataclass(frozen=True, eq=False)
class LabelMask:
    """The segmentor's mask of one label.

    Args:
        label: its value.
        box: slices (k, j, i) of the volume around it; None where there is none of it.
        mask: bool of the box's shape; None likewise.
    """

    label: int
    box: Box | None
    mask: np.ndarray | None
