"""What must be so before a segmentation goes out, in plain words: the check list."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from HiDiffRefineLib.dicom.codes import LONGEST_NAME
from HiDiffRefineLib.dicom.identity import identity_of, named
from HiDiffRefineLib.dicom.segments import Segment, overlapping
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.volumes.labels import TISSUE, Code, Label

# Remedies that the program can apply, if the user says so; a check list names them.
LEAVE_OUT_EMPTY, NAME, CODE = "leave-out-empty", "name", "code"
FIXES = (LEAVE_OUT_EMPTY, NAME, CODE)
ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
NO_MORE = {"modifier": None, "region": None, "region_modifier": None}
# DICOM's longest code value and scheme.
LONGEST_CODE = 16


@dataclass(frozen=True)
class Check:
    """A line of the list.

    Args:
        text: what was looked at, or what is wrong.
        good: whether it is as it must be.
        remedy: what to do about it, where it is not.
        fix: one of `FIXES` that does it; empty where none can.
    """

    text: str
    good: bool
    remedy: str = ""
    fix: str = ""


NO_PROBABILITIES = Check(
    "The values are no probabilities from 0 to 1.", False, "Give the file that --probabilities wrote."
)


def fixed(segments: Sequence[Segment], fixes: Collection[str]) -> list[Segment]:
    """The segments after remedies that the user chose."""
    if LEAVE_OUT_EMPTY in fixes:
        segments = [segment for segment in segments if not segment.empty]
    result = []
    for segment in segments:
        label = segment.label
        if NAME in fixes and not _well_named(label):
            name = " ".join(label.name.replace("\\", " ").split()) or f"segment {label.value}"
            label = replace(label, name=name[:LONGEST_NAME].strip())
        if CODE in fixes and not _well_coded(label):
            label = replace(label, category=ANATOMY, type=TISSUE, **NO_MORE)
        result.append(replace(segment, label=label))
    return result


def check_list(
    series: Series, segments: Sequence[Segment], encoding: str, placed: Check | None = None
) -> list[Check]:
    """Everything that must be so, in the order in which a user would mend it.

    Args:
        placed: what whoever brought the segments onto the grid of the series found of their geometry. Where
            that is not good, nothing can be said of the segments, and the list ends there.
    """
    checks = [_series_present(series), _frame_of_reference(series), *_identified(series)]
    checks.append(placed or Check("The segmentation has the geometry of the series.", True))
    if not checks[-1].good:
        return checks
    checks += [_segments_present(segments), _named(segments), _coded(segments), _filled(segments)]
    if encoding == "LABELMAP":
        checks.append(_apart(segments, series.shape_kji))
    if encoding == "FRACTIONAL":
        checks.append(_probabilities(segments))
    return checks


def _series_present(series: Series) -> Check:
    count = len(series.slices)
    series_text = f"The reference series is there: {count} slice{'s' if count > 1 else ''}"
    return Check(f"{series_text}, modality {series.modality or 'not told'}.", True)


def _frame_of_reference(series: Series) -> Check:
    found = {str(one.header.get("FrameOfReferenceUID") or "") for one in series.slices}
    if "" in found:
        return Check(
            f"The series does not name its frame of reference: {named('FrameOfReferenceUID')}.",
            False,
            "Send it again from the scanner or the archive: viewers would not know where the mask belongs.",
        )
    if len(found) > 1:
        text = f"The series has {len(found)} frames of reference: {named('FrameOfReferenceUID')}."
        return Check(text, False, "Put the slices of one acquisition into a folder of their own.")
    return Check("All slices have the same frame of reference.", True)


def _identified(series: Series) -> list[Check]:
    """A line for each value of patient and study that can't go along word for word."""
    _, odd = identity_of(series.header)
    correct = "Correct it in the archive or at the scanner, and send the series again."
    compare = "Compare it with the archive's."
    return [Check(one.text, not one.grave, correct if one.grave else compare) for one in odd]


def _segments_present(segments: Sequence[Segment]) -> Check:
    if not segments:
        return Check("There is no segment.", False, "Segment something first.")
    return Check(f"There {'is 1 segment' if len(segments) == 1 else f'are {len(segments)} segments'}.", True)


def _well_named(label: Label) -> bool:
    name = label.name
    printable = bool(name) and name == name.strip() and name.isprintable()
    return printable and "\\" not in name and len(name) <= LONGEST_NAME


def _named(segments: Sequence[Segment]) -> Check:
    bad = [segment.label for segment in segments if not _well_named(segment.label)]
    if bad:
        what = f"name (segment {bad[0].value}): none, over {LONGEST_NAME} characters, or with a backslash"
        return Check(f"A segment has no usable {what}.", False, "Rename it, or have it shortened.", NAME)
    return Check("Every segment has a name.", True)


def _well_coded(label: Label) -> bool:
    """Whether the codes say what it is; Tissue alone is what Slicer gives before anyone chose."""
    codes = [label.category, label.type, label.modifier, label.region, label.region_modifier]
    fits = all(
        0 < len(code.value) <= LONGEST_CODE
        and 0 < len(code.scheme) <= LONGEST_CODE
        and 0 < len(code.meaning) <= LONGEST_NAME
        and not any("\\" in part or part != part.strip() for part in (code.value, code.scheme, code.meaning))
        for code in codes
        if code is not None
    )
    whole = label.region is not None or label.region_modifier is None
    return fits and whole and (label.category, label.type) != (TISSUE, TISSUE)


def _coded(segments: Sequence[Segment]) -> Check:
    bad = [segment.label.name for segment in segments if not _well_coded(segment.label)]
    if bad:
        return Check(
            f"No code says what this is: {_listed(bad)}.",
            False,
            "Choose its terminology (3D Slicer: double-click the colour), name the model that made it"
            " (--bundle), or have it coded as tissue.",
            CODE,
        )
    return Check("Every segment has codes that say what it is.", True)


def _filled(segments: Sequence[Segment]) -> Check:
    bad = [segment.label.name for segment in segments if segment.empty]
    if bad:
        some_left = len(bad) < len(segments)
        return Check(
            f"Empty: {_listed(bad)}.",
            False,
            "Fill it, or leave it out.",
            LEAVE_OUT_EMPTY if some_left else "",
        )
    return Check("No segment is empty.", True)


def _apart(segments: Sequence[Segment], shape_kji: tuple[int, int, int]) -> Check:
    names = overlapping(segments, shape_kji)
    if names:
        text = f"Segments overlap: {names[0]} and {names[1]}."
        return Check(text, False, "A LABELMAP can't hold that: choose the encoding BINARY.")
    return Check("No segments overlap.", True)


def _probabilities(segments: Sequence[Segment]) -> Check:
    floats = [segment.values for segment in segments if segment.values.dtype != np.uint8]
    # NaN fails the comparison, so it is found as well.
    if all(
        np.issubdtype(values.dtype, np.floating) and values.min(initial=0) >= 0 and values.max(initial=0) <= 1
        for values in floats
    ):
        return Check("All values are probabilities.", True)
    return NO_PROBABILITIES


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
