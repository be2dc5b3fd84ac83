"""How the module in 3D Slicer names what it keeps hints in, and which segment they are for."""

LIST = "HiDiffRefine"
SIGNS = {True: "+", False: "−"}
# Stands for the ID of a segment that is only begun: hints that others have are none of its.
NEW_SEGMENT = "\n"


def list_name(positive: bool) -> str:
    """Of the list of positive or negative points."""
    return f"{LIST} {SIGNS[positive]}"


def point_description(number: int, segment_id: str) -> str:
    """Of a point that is the segment's hint of this number, in order of time."""
    return f"{number} {segment_id}"


def point_told(description: str) -> tuple[int, str] | None:
    """What `point_description` was given; None for a new point, whatever else its description says."""
    number, _, owner = description.partition(" ")
    return (int(number), owner) if number.isdecimal() and owner else None


def point_owner(name: str, description: str) -> str:
    """ID of the segment that a point of a list speaks of; empty for any other list, and for a new point."""
    told = point_told(description)
    return told[1] if told and name.startswith(f"{LIST} ") else ""


def stroke_id(segment_id: str, positive: bool) -> str:
    """ID of the segment that takes strokes for a segment."""
    return f"{SIGNS[positive]} {segment_id}"


def stroke_owner(stroke: str) -> str:
    """ID of the segment that a segment with strokes speaks of; empty for any other."""
    sign, _, owner = stroke.partition(" ")
    return owner if sign in SIGNS.values() else ""
