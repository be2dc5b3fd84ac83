"""What a series says of its patient and study, as a segmentation can hold it: in Unicode, and valid."""

import unicodedata
import warnings
from copy import deepcopy
from dataclasses import dataclass

import pydicom
from pydicom import config
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag
from pydicom.valuerep import DA, DT, PN_DELIMS, TEXT_VR_DELIMS, TM

UNICODE = "ISO_IR 192"
# A segmentation may have them empty, and a source that was de-identified may lack them.
_ASKED_FOR = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
# No archive could file a segmentation without them, or would file it under another patient.
_NEEDED = ("StudyInstanceUID", "PatientID", "PatientName")
IDENTIFYING = (*_NEEDED, *_ASKED_FOR)
# What patient and study have in common with all their objects; nothing of the hospital or the station.
_FURTHER = (
    *("IssuerOfPatientID", "TypeOfPatientID", "OtherPatientIDsSequence", "OtherPatientNames"),
    *("PatientBirthTime", "PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
    *("PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence"),
    *("ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization"),
    *("EthnicGroupCodeSequence", "PatientComments", "PatientIdentityRemoved"),
    *("DeidentificationMethod", "DeidentificationMethodCodeSequence", "PatientAge", "PatientSize"),
    *("PatientWeight", "PatientSexNeutered", "PregnancyStatus", "AdmissionID", "ServiceEpisodeID"),
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
    *("ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID"),
    *("ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription"),
    *("StudyDescription", "ReferringPhysicianName", "IssuerOfAccessionNumberSequence"),
    *("ProcedureCodeSequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy"),
    *("ReferencedStudySequence", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber"),
    *("SoftwareVersions", "FrameOfReferenceUID", "PositionReferenceIndicator"),
)
_SEXES = ("M", "F", "O", "")
_MOMENTS = {"DA": DA, "TM": TM, "DT": DT}
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
# Sets that have letters beyond ASCII; for others pydicom reads Latin-1 out of any bytes.
_LATIN_9 = {"ISO_IR 203", "ISO 2022 IR 203"}  # of 2022, which pydicom 3.0 does not know
_SETS = python_encoding.keys() - {"", "ISO_IR 6", "ISO 2022 IR 6"} | _LATIN_9
_TO_GB2312 = "\x1b$)A"


@dataclass(frozen=True)
class Oddity:
    """A value of the source that can't go along word for word.

    Args:
        text: a sentence that names the tag.
        grave: whether no segmentation can be made without it.
    """

    text: str
    grave: bool = False


def identity_of(header: pydicom.Dataset) -> tuple[pydicom.Dataset, list[Oddity]]:
    """Patient, study and equipment in Unicode, and what could not be taken as it was.

    Letters that are not of the declared character set are read as UTF-8 or Latin-1; dates and other values
    that DICOM does not allow are left out.
    """
    found, odd = pydicom.Dataset(), []
    found.SpecificCharacterSet = UNICODE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd is told by our sentences
        for keyword in dict.fromkeys((*IDENTIFYING, *_FURTHER)):
            tag = Tag(tag_for_keyword(keyword))
            if tag in header:
                element, told = _taken(header, tag)
                if element is not None:
                    found.add(element)
                odd += told
    for keyword in _ASKED_FOR:
        if keyword not in found:
            setattr(found, keyword, "")
    if not found.get("StudyInstanceUID") and not any(one.grave for one in odd):
        odd.append(Oddity(f"The series has no {named('StudyInstanceUID')}.", grave=True))
    return found, odd


def named(keyword: str) -> str:
    """A tag as people look it up: PatientName (0010,0010)."""
    tag = Tag(tag_for_keyword(keyword))
    return f"{keyword} ({tag.group:04X},{tag.element:04X})"


def _taken(header: pydicom.Dataset, tag) -> tuple[DataElement | None, list[Oddity]]:
    """An element as Unicode; None if the segmentation must do without."""
    keyword = keyword_for_tag(tag)
    raw = header.get_item(tag)
    odd: list[Oddity] = []
    try:
        vr = pydicom.datadict.dictionary_VR(tag)
        if vr in _TEXT and isinstance(raw, RawDataElement):
            value, sure = _decoded(raw.value or b"", vr, header.get("SpecificCharacterSet"))
            if not sure:
                odd.append(_foreign(keyword, value, header))
            value = value.split("\\") if vr not in ("LT", "ST", "UT") and "\\" in value else value
        elif vr == "SQ":
            value = deepcopy(header[tag].value)
            for item in value:
                list(item.iterall())  # each element is decoded when it is looked at
        else:
            value = header[tag].value
        if vr in _TEXT and "\ufffd" in str(value) and not odd:
            odd.append(_foreign(keyword, value, header))
        # Names and identifiers go word for word, too long or not: the archive has them so.
        mode = config.IGNORE if vr in (*_TEXT, "UI") else config.RAISE
        element = DataElement(tag, vr, value, validation_mode=mode)
        if vr in _MOMENTS and value:
            _MOMENTS[vr](str(value))
        if keyword == "PatientSex" and value not in _SEXES:
            raise ValueError("none of DICOM's codes")
    # Values of any scanner: pydicom finds fault with them in many ways.
    except Exception:
        return None, [_forbidden(keyword, raw)]
    return element, odd


def _decoded(raw: bytes, vr: str, declared) -> tuple[str, bool]:
    """Text, and whether its bytes are of the declared character set."""
    sets = [declared] if isinstance(declared, str) else list(declared or [""])
    encodings = ["iso8859_15" if one in _LATIN_9 else convert_encodings(one)[0] for one in sets]
    text = decode_bytes(raw, encodings, PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS)
    text = text.replace(_TO_GB2312, "")  # which pydicom 3.0 obeys, but leaves there
    sure = not any(unicodedata.category(c) == "Cc" and c not in "\r\n\t\f" for c in text.rstrip("\0"))
    sure &= "\ufffd" not in text and (text.isascii() or any(one in _SETS for one in sets))
    if not sure and b"\x1b" not in raw:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    return text.rstrip(" \0") if vr != "PN" else text.strip(" \0"), sure


def _foreign(keyword: str, value, header: pydicom.Dataset) -> Oddity:
    declared = header.get("SpecificCharacterSet") or "none"
    declared = declared if isinstance(declared, str) else "\\".join(declared)
    return Oddity(
        f"{named(keyword)} has letters that are not of the declared character set"
        f" ({named('SpecificCharacterSet')}: {declared}); it is read as '{value}'."
    )


def _forbidden(keyword: str, raw) -> Oddity:
    value = raw.value.decode("latin-1").strip(" \0") if isinstance(raw.value, bytes) else raw.value
    what = f"{named(keyword)} is '{value}', which DICOM does not allow"
    if keyword in _NEEDED:
        return Oddity(f"{what}.", grave=True)
    return Oddity(f"{what}: it is left out of the segmentation.")
