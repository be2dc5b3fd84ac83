"""What changed between two masks, as bits in the smallest box around it: the unit of undo and journal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from HiDiffRefineLib.geometry.boxes import Box, bounding_box, hull, whole_box


@dataclass(frozen=True, eq=False)
class Block:
    """Voxels whose value flips.

    Args:
        box: slices (k, j, i) of the mask's grid, with start and stop; no face of it is without a flip.
        packed: uint8 (k, j, ⌈i/8⌉), one bit a voxel, each row from a byte of its own (`numpy.packbits`).
    """

    box: Box
    packed: np.ndarray

    def flips(self) -> np.ndarray:
        """Bool of the box's shape."""
        width = self.box[2].stop - self.box[2].start
        return np.unpackbits(self.packed, axis=2, count=width).view(bool)

    def within(self, box: Box) -> np.ndarray:
        """The flips in another box of the same grid, bool of its shape. The cost follows that box."""
        result = np.zeros([s.stop - s.start for s in box], bool)
        pairs = list(zip(box, self.box, strict=True))
        common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs]
        if any(s.start >= s.stop for s in common):
            return result
        k, j, _ = _moved(common, self.box)
        rows = Block((common[0], common[1], self.box[2]), self.packed[k, j]).flips()
        result[_moved(common, box)] = rows[:, :, _moved(common, self.box)[2]]
        return result


def difference(before: np.ndarray, after: np.ndarray, box: Box | None = None) -> Block | None:
    """What changes where `after` takes the place of `before[box]`; None if nothing does.

    Args:
        before: bool (k, j, i), the whole mask.
        after: bool of the box's shape.
        box: slices (k, j, i) with start and stop; None for the whole grid.
    """
    box = box or whole_box(before.shape)
    return block_of(before[box] != after, box)


def block_of(flips: np.ndarray, box: Box) -> Block | None:
    """The block of the voxels set in a mask (bool) of a box; None if there are none."""
    tight = bounding_box(flips)
    if tight is None:
        return None
    whole = tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(tight, box, strict=True))
    return Block(whole, np.packbits(flips[tight], axis=2))


def together(blocks: Sequence[Block]) -> tuple[Box, np.ndarray]:
    """A box around blocks, one or more, and what they flip together, bool of its shape."""
    around = hull(block.box for block in blocks)
    total = np.zeros([side.stop - side.start for side in around], bool)
    for block in blocks:
        total[_moved(block.box, around)] ^= block.flips()
    return around, total


def same_flips(ones: Sequence[Block], others: Sequence[Block]) -> bool:
    """Whether two lists of blocks change the same voxels."""
    return not together([*ones, *others])[1].any()


def apply(mask: np.ndarray, block: Block) -> None:
    """Changes a bool mask (k, j, i) in place."""
    mask[block.box] ^= block.flips()


def revert(mask: np.ndarray, block: Block) -> None:
    """Takes `apply` back, to the last bit. The same flips do: none of them knows a direction."""
    apply(mask, block)


def _moved(box, origin: Box) -> Box:
    """The box as seen from the first voxel of another."""
    return tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, origin, strict=True))
