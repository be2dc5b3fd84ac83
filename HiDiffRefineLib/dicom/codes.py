"""A label as the description of a DICOM segment, and back."""

import uuid

import highdicom
import pydicom
from highdicom.color import CIELabColor
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from HiDiffRefineLib import __version__
from HiDiffRefineLib.volumes.labels import TISSUE, Code, Label, nameless_label
from HiDiffRefineLib.volumes.provenance import NAME, OUR_NAME, PARAMETERS, TYPE, tagged, tags_in

ALGORITHM_TYPES = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")
# DICOM: a name has 64 characters at most, and a backslash would end it.
LONGEST_NAME = 64


def description_of(label: Label, number: int, series_uid: str) -> highdicom.seg.SegmentDescription:
    """What the file says of a segment.

    Args:
        number: of the segment in the file.
        series_uid: of the source. With the name and the type it makes the tracking UID, so that whoever
            follows a segment knows it again in a later export.
    """
    kind = algorithm_type(label)
    thread = "|".join([series_uid, label.name, label.type.scheme, label.type.value])
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=_concept(label.category),
        segmented_property_type=_concept(label.type),
        algorithm_type=kind,
        algorithm_identification=None if kind == "MANUAL" else _algorithm(label),
        tracking_id=f"{OUR_NAME} {label.name}",
        tracking_uid=UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, thread).int}"),
        anatomic_regions=[_concept(label.region)] if label.region else None,
        display_color=CIELabColor.from_rgb(*label.color),
    )
    if label.modifier:
        of_type = description.SegmentedPropertyTypeCodeSequence[0]
        of_type.SegmentedPropertyTypeModifierCodeSequence = [_concept(label.modifier)]
    if label.region_modifier and label.region:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [
            _concept(label.region_modifier)
        ]
    return description


def algorithm_type(label: Label) -> str:
    """How the segment was made, by its tags; where it has none, it may be anyone's work."""
    kind = tags_in(label.tags).get(TYPE, "")
    return kind if kind in ALGORITHM_TYPES else "SEMIAUTOMATIC"


def label_of(item: pydicom.Dataset) -> Label:
    """What a file says of a segment; what it leaves out is filled in as for a labelmap without names."""
    number = int(item.SegmentNumber)
    default = nameless_label(number)
    of_type = _first(item, "SegmentedPropertyTypeCodeSequence")
    region = _first(item, "AnatomicRegionSequence")
    color = item.get("RecommendedDisplayCIELabValue")
    label = Label(
        number,
        str(item.get("SegmentLabel") or "").strip() or default.name,
        default.color if color is None else CIELabColor.from_dicom_value(list(color)).to_rgb(clip=True),
        _code(_first(item, "SegmentedPropertyCategoryCodeSequence")) or TISSUE,
        _code(of_type) or TISSUE,
        _code(_first(of_type, "SegmentedPropertyTypeModifierCodeSequence")),
        region=_code(region),
        region_modifier=_code(_first(region, "AnatomicRegionModifierSequence")),
    )
    # How it was made goes along, for a later export.
    made = {TYPE: item.get("SegmentAlgorithmType"), NAME: item.get("SegmentAlgorithmName")}
    return tagged(label, {key: str(value).replace("|", " ") for key, value in made.items() if value})


def _algorithm(label: Label) -> highdicom.AlgorithmIdentificationSequence:
    """Name, version and a note of what it took; other programs' names come with a version, if at all."""
    tags = tags_in(label.tags)
    name = tags.get(NAME, OUR_NAME)
    ours = name.startswith(OUR_NAME)
    note = dict(pair.split("=", 1) for pair in tags.get(PARAMETERS, "").split("; ") if "=" in pair)
    return highdicom.AlgorithmIdentificationSequence(
        name=(OUR_NAME if ours else name)[:LONGEST_NAME],
        family=codes.DCM.ArtificialIntelligence,
        version=__version__ if ours else "unknown",
        parameters=note or None,
    )


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning)


def _code(item: pydicom.Dataset | None) -> Code | None:
    if item is None:
        return None
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    scheme, meaning = item.get("CodingSchemeDesignator"), item.get("CodeMeaning")
    return Code(str(scheme or ""), str(value), str(meaning or value)) if value else None


def _first(item: pydicom.Dataset | None, sequence: str) -> pydicom.Dataset | None:
    items = item.get(sequence) if item is not None else None
    return items[0] if items else None
