"""What undo takes back, one kind of step each."""

from typing import NamedTuple, TypeAlias

from HiDiffRefineLib.inference.extents import ANSWER, Extents
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session.blocks import Block
from HiDiffRefineLib.session.layer import GivenHints


class Extent(NamedTuple):
    """How much of what an edit could change it does.

    Args:
        extents: what it could.
        block: of its step, what it does; None if nothing.
        level: of the extents, which voxels aside that were protected when it was chosen.
    """

    extents: Extents
    block: Block | None
    level: int = ANSWER


class Step(NamedTuple):
    """What one undo takes back.

    Args:
        key: of the segment, see `Layer`.
        blocks: that changed its mask, in this order.
        before, after: its hints.
        hint_only: a hint that waits for its edit, which will take this step's place.
        extent: of an edit that was not broken off.
    """

    key: int
    blocks: tuple[Block, ...]
    before: GivenHints
    after: GivenHints
    hint_only: bool = False
    extent: Extent | None = None


class NewSegment(NamedTuple):
    """A segment to be added; see `Layer`."""

    name: str
    value: int
    label: int | None
    original: tuple[Block, ...]
    rois: tuple[RegionOfInterest, ...] = ()


class Deletion(NamedTuple):
    """A segment that undo brings back.

    Args:
        key: of the segment.
        segment: as it was added.
        blocks: its mask as it was last.
        given: its hints.
        place: in the order of segments.
    """

    key: int
    segment: NewSegment
    blocks: tuple[Block, ...]
    given: GivenHints
    place: int


class Renaming(NamedTuple):
    """A segment's names before and after."""

    key: int
    before: str
    after: str


AnyStep: TypeAlias = Step | Deletion | Renaming
