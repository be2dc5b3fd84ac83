"""What a label means: its name, colour and terminology codes."""

import colorsys
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A coded concept, for instance Code("SCT", "78961009", "Spleen")."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One segment of a labelmap.

    Args:
        value: voxel value in the labelmap, 1 or more.
        name: what the user reads.
        color: red, green, blue in 0…255.
        category: terminology category, for instance Anatomical Structure.
        type: terminology type, for instance Kidney.
        modifier: laterality or other modifier of the type, if any.
        tags: of a segment read from a .seg.nrrd: 3D Slicer's own, which say more than the codes (status, how
            it was made) and are written again word for word.
        region: the part of the body that it lies in, if any.
        region_modifier: laterality of the region, if any.
        id: by which 3D Slicer knows the segment; empty where it does not come from there.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    category: Code
    type: Code
    modifier: Code | None = None
    tags: str = ""
    region: Code | None = None
    region_modifier: Code | None = None
    id: str = ""


# What 3D Slicer gives a segment that nobody has said more of.
TISSUE = Code("SCT", "85756007", "Tissue")


def nameless_label(value: int) -> Label:
    """A label of which only the value is known, in a colour that its neighbours don't have."""
    hue = value * 0.618034 % 1  # the golden ratio keeps apart however many there are
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.6, 0.9))
    return Label(value, f"label {value}", (red, green, blue), TISSUE, TISSUE)
