"""What a label means: its name, colour and terminology codes."""

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
    """

    value: int
    name: str
    color: tuple[int, int, int]
    category: Code
    type: Code
    modifier: Code | None = None
