"""The records that pass through `reports`: raw report, section, sentence, parsed report.

Enters: nothing. Leaves: frozen records; spans are half-open character ranges on the text they were made from.
Refuses: mutation.

A `RawReport` is identifying. A `ParsedReport` is as identifying as the text it was parsed from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from t3dkit.verdict import Code

SectionName = Literal[
    "findings",
    "impression",
    "indication",
    "comparison",
    "technique",
    "history",
    "recommendation",
    "procedure",
    "addendum",
    "other",
]
Assertion = Literal["present", "absent", "uncertain"]
Laterality = Literal["left", "right", "bilateral"]
ReportStatus = Literal["preliminary", "final", "corrected", "addendum", "cancelled", "unknown"]


@dataclass(frozen=True)
class RawReport:
    """One report message or row as its source holds it, before versions are merged; identifying.

    Parameters
    ----------
    source_key : str
        Unique within the source and stable: file name and row or message number. Identifying; private.
    text : str
        The narrative, decoded, otherwise untouched.
    accession_number, issuer_of_accession, patient_id, issuer_of_patient_id, study_instance_uid : str or None
        What links it.
    study_date, report_datetime : str or None
        YYYYMMDD and ISO 8601.
    known_identifiers : tuple of (str, str)
        (column or field, value) of every field that names a person, number, place or date.
    """

    source_key: str
    text: str
    report_number: str | None = None
    accession_number: str | None = None
    issuer_of_accession: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    study_instance_uid: str | None = None
    study_date: str | None = None
    report_datetime: str | None = None
    status: ReportStatus = "unknown"
    modality: str | None = None
    description: str | None = None
    language: str | None = None
    known_identifiers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ReportDrop:
    """A row, message or file of the source that gives no report of its own.

    Parameters
    ----------
    source_key : str
        As in `RawReport`; identifying.
    reason : Code
        Of `reports.reasons.DropReason`.
    detail : str
        Line numbers, counts and field names; never anything identifying.
    """

    source_key: str
    reason: Code
    detail: str = ""


@dataclass(frozen=True)
class MergedReport:
    """One report after its versions were merged: the newest final-class text, addenda appended in order.

    Parameters
    ----------
    raw : RawReport
        The version that won; its ``text`` is the merged text.
    versions : tuple of str
        source_key of every version that went into it, oldest first.
    flags : tuple of str
        Codes of `reports.reasons.ReportFlag`.
    """

    raw: RawReport
    versions: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """Half-open range of characters in a text."""

    start: int
    end: int


@dataclass(frozen=True)
class Section:
    """A section's body, heading excluded."""

    name: SectionName
    span: Span
    heading: str = ""


@dataclass(frozen=True)
class ImagePointer:
    """ "series 3, image 45": either number may be absent."""

    series: int | None
    image: int | None


@dataclass(frozen=True)
class Sentence:
    """One sentence with what it says about which anatomy.

    Parameters
    ----------
    regions : tuple of str
        Codes of `reports.regions`, sided ones where the side is known, sorted.
    measurements_mm : tuple of float
        Every length in the sentence, in reading order, millimetres.
    """

    section: SectionName
    index: int
    span: Span
    text: str
    regions: tuple[str, ...] = ()
    laterality: Laterality | None = None
    assertion: Assertion = "present"
    is_normal: bool = False
    is_prior_comparison: bool = False
    image_pointer: ImagePointer | None = None
    measurements_mm: tuple[float, ...] = ()


@dataclass(frozen=True)
class Entity:
    """What a model that the user brings recognised.

    Parameters
    ----------
    span : Span
    label : str
        As the model names its kind.
    concepts : tuple of (str, float)
        Identifiers (UMLS, where scispaCy's linker runs) with their score, best first.
    """

    span: Span
    label: str
    concepts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ParsedReport:
    """Sections, sentences and, with a model, entities of one text; every span slices `text`."""

    text: str
    sections: tuple[Section, ...]
    sentences: tuple[Sentence, ...]
    language: str = "en"
    unknown_headings: tuple[str, ...] = ()
    flags: tuple[str, ...] = field(default_factory=tuple)
    entities: tuple[Entity, ...] = ()
