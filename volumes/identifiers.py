"""Every value of a header that names a person, a place, a number or a date.

Enters: raw elements. Leaves: (keyword, value) pairs, nested items and private names included, without UIDs and free
text. Refuses: to judge whether a value is sensitive; the list is what reports are searched for.

References
----------
DICOM PS3.15 table E.1-1 (attributes that the basic profile removes, replaces or cleans). Descriptions and comments are
left out on purpose: they hold clinical words, and scrubbing those would eat the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from volumes.charsets import decode_text
from volumes.dictionary import DICTIONARY, dictionary_vr, tag_of
from volumes.elements import Elements
from volumes.values import SPECIFIC_CHARACTER_SET

NAMED_KEYWORDS = (
    # patient
    "PatientID IssuerOfPatientID OtherPatientIDs PatientBirthName PatientMotherBirthName PatientAddress "
    "PatientTelephoneNumbers PatientTelecomInformation MedicalRecordLocator "
    "CountryOfResidence RegionOfResidence InsurancePlanIdentification "
    "PatientInstitutionResidence CurrentPatientLocation PersonAddress PersonTelephoneNumbers PersonTelecomInformation "
    # order, visit, procedure
    "AccessionNumber StudyID AdmissionID IssuerOfAdmissionID ServiceEpisodeID FillerOrderNumberImagingServiceRequest "
    "PlacerOrderNumberImagingServiceRequest RequestedProcedureID ScheduledProcedureStepID PerformedProcedureStepID "
    "RequestedProcedureLocation ScheduledProcedureStepLocation OrderCallbackPhoneNumber "
    "OrderCallbackTelecomInformation "
    "ConfidentialityConstraintOnPatientDataDescription ClinicalTrialSubjectID ClinicalTrialSubjectReadingID "
    "ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSponsorName ClinicalTrialProtocolID "
    # staff and place
    "ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers InstitutionName InstitutionAddress "
    "InstitutionalDepartmentName VerifyingOrganization ResponsibleOrganization "
    "OrderEntererLocation RequestingService ScheduledStudyLocation PerformedLocation "
    # equipment
    "StationName ScheduledStationName PerformedStationName ScheduledStationAETitle PerformedStationAETitle "
    "ScheduledStudyLocationAETitle RetrieveAETitle DeviceSerialNumber PlateID DetectorID GantryID GeneratorID "
    "CassetteID XRaySourceID UniqueDeviceIdentifier "
)
"""Attributes whose values are clinical words as well (EthnicGroup ``white``, MilitaryRank ``major``) are left out."""
NAMED_VRS = frozenset({"PN", "DA", "DT"})
"""Persons and dates are taken wherever they stand, private elements included."""
NAMED_TAGS = frozenset(map(tag_of, NAMED_KEYWORDS.split())) | frozenset(
    tag for tag, entry in DICTIONARY.items() if entry[0] in NAMED_VRS
)

_SHORTEST_NAME, _SHORTEST_OTHER = 2, 3
"""Shorter values (``M``, ``1``, a station called ``CT``) identify nobody and would match everywhere."""


def read_identifiers(elements: Elements, *, charset: bytes = b"") -> tuple[tuple[str, str], ...]:
    """(keyword, value) of each identifying value, in order of appearance, each once.

    A name in several scripts (``Kim=金=김``) yields each script apart; private elements are called ``Private`` and tag.
    """
    return tuple(dict.fromkeys(_walk(elements, charset)))


def _walk(elements: Elements, charset: bytes) -> Iterator[tuple[str, str]]:
    own = elements.get(SPECIFIC_CHARACTER_SET)
    charset = own.value if own and own.value else charset
    named = NAMED_TAGS
    for tag, (vr, value, items) in elements.items():
        if items is not None:
            for item in items:
                yield from _walk(item, charset)
        elif value and (tag in named or (tag & 0x10000 and vr in NAMED_VRS)):
            yield from _pairs(tag, vr, value, charset)


@lru_cache(maxsize=4096)
def _pairs(tag: int, vr: str, value: bytes, charset: bytes) -> tuple[tuple[str, str], ...]:
    """(keyword, value) of one element; the slices of a series repeat each other's."""
    vr = dictionary_vr(tag) if tag in NAMED_TAGS else vr
    keyword = _keyword(tag)
    return tuple((keyword, part) for text in decode_text(value, charset).split("\\") for part in _parts(text, vr))


def _parts(value: str, vr: str) -> Iterator[str]:
    for part in value.split("=") if vr == "PN" else (value,):
        part = part.strip("\0 ^")
        if len(part) >= (_SHORTEST_NAME if vr == "PN" else _SHORTEST_OTHER):
            yield part


def _keyword(tag: int) -> str:
    entry = DICTIONARY.get(tag)
    return entry[4] if entry and entry[4] else f"Private{tag:08X}"
