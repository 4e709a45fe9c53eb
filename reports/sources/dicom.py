"""Reports that live in a DICOM export: structured reports and encapsulated documents.

Enters: a DICOM file. Leaves: a report or a drop when it is a report object, nothing when it is an image or
another object, which `volumes` accounts for. Refuses: encapsulated PDF (PDF_SCAN), dose reports and key object
selections, which hold no narrative.

References: DICOM PS3.3 C.17 (SR document modules), A.45 (encapsulated documents), PS3.16.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop, ReportStatus
from reports.sources.markup import plain_text
from reports.sources.values import date_of, datetime_of, sex_of

_SR = "1.2.840.10008.5.1.4.1.1.88."
_NO_NARRATIVE = {
    _SR + "59": "a key object selection",
    _SR + "67": "a radiation dose report",
    _SR + "68": "a radiopharmaceutical dose report",
    _SR + "40": "a procedure log",
}
_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_CDA = "1.2.840.10008.5.1.4.1.1.104.2"
_DEPTH = 32
_GENERIC = frozenset({"finding", "text", "description", "document title", "report text", "report"})
_SKIPPED_RELATIONS = frozenset({"HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS ACQ CONTEXT", "SELECTED FROM"})
_KNOWN = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "accession_number": "AccessionNumber",
    "patient_birth_date": "PatientBirthDate",
    "study_date": "StudyDate",
    "study_instance_uid": "StudyInstanceUID",
}
_IDENTIFYING = {
    "ReferringPhysicianName": "name",
    "PhysiciansOfRecord": "name",
    "PerformingPhysicianName": "name",
    "NameOfPhysiciansReadingStudy": "name",
    "OperatorsName": "name",
    "OtherPatientNames": "name",
    "OtherPatientIDs": "id",
    "StudyID": "id",
    "PatientAddress": "address",
    "PatientTelephoneNumbers": "phone",
    "InstitutionName": "place",
}


def read_dicom(path: Path, key: str) -> Iterator[RawReport | ReportDrop]:
    """The report in a DICOM file; nothing when it is an image or another object."""
    import pydicom
    from pydicom import config

    try:
        with config.disable_value_validation():
            dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], force=False)
            sop_class = str(dataset.get("SOPClassUID", ""))
            if not sop_class.startswith(_SR) and sop_class not in (_PDF, _CDA):
                return
            if sop_class in _NO_NARRATIVE:
                yield ReportDrop(key, DropReason.NOT_REPORT, _NO_NARRATIVE[sop_class])
                return
            if sop_class == _PDF:
                yield ReportDrop(key, DropReason.PDF_SCAN, "an encapsulated PDF")
                return
            yield _report(pydicom.dcmread(path), sop_class, key)
    except Exception:  # a damaged file is one file lost; volumes names the damage
        yield ReportDrop(key, DropReason.READ_ERROR, "a damaged DICOM file")


def _report(dataset: Any, sop_class: str, key: str) -> RawReport | ReportDrop:
    people: list[str] = []
    text = _document(dataset) if sop_class == _CDA else "\n".join(_lines(dataset, people, depth=0))
    if not text.strip():
        return ReportDrop(key, DropReason.EMPTY_TEXT, "a structured report without text")
    values = {name: _string(dataset, keyword) for name, keyword in _KNOWN.items()}
    known = [(name, value) for name, value in values.items() if value]
    known += [(kind, value) for keyword, kind in _IDENTIFYING.items() if (value := _string(dataset, keyword))]
    known += [("name", person) for person in people]
    values["patient_birth_date"] = date_of(values["patient_birth_date"])
    values["study_date"] = date_of(values["study_date"])
    moment = (_string(dataset, "ContentDate") or "") + (_string(dataset, "ContentTime") or "")
    return RawReport(
        source_key=key,
        text=text.strip() + "\n",
        report_number=_string(dataset, "SOPInstanceUID"),
        issuer_of_patient_id=_string(dataset, "IssuerOfPatientID"),
        patient_sex=sex_of(_string(dataset, "PatientSex")),
        report_datetime=datetime_of(moment),
        status=_status(dataset),
        modality=None,  # SR is the modality of the document, not of the images it reports on
        description=_string(dataset, "StudyDescription"),
        known_identifiers=tuple(dict.fromkeys(known)),
        **values,
    )


def _status(dataset: Any) -> ReportStatus:
    """PreliminaryFlag where present, else CompletionFlag and VerificationFlag (PS3.3 C.17.2)."""
    flag = _string(dataset, "PreliminaryFlag")
    if flag:
        return "preliminary" if flag == "PRELIMINARY" else "final"
    if _string(dataset, "CompletionFlag") == "COMPLETE" and _string(dataset, "VerificationFlag") == "VERIFIED":
        return "final"
    return "preliminary"


def _lines(item: Any, people: list[str], *, depth: int) -> Iterator[str]:
    """The content tree, depth first: a container is a heading, a leaf with text a line."""
    if depth > _DEPTH:
        return
    for child in item.get("ContentSequence", None) or ():
        kind = str(child.get("ValueType", ""))
        name = _meaning(child, "ConceptNameCodeSequence")
        if kind == "PNAME":
            people.append(str(child.get("PersonName", "")))
            continue
        if str(child.get("RelationshipType", "")) in _SKIPPED_RELATIONS:
            continue
        if kind == "CONTAINER":
            body = list(_lines(child, people, depth=depth + 1))
            if _flows(child):
                body = [" ".join(_values(child))]
            if any(body):
                yield from (["", f"{name}:"] if name else [])
                yield from body
            continue
        value = _leaf(child, kind)
        if value:
            yield from _labelled(name, value, under_heading=depth > 0)
        yield from _lines(child, people, depth=depth + 1)


def _flows(item: Any) -> bool:
    """Whether a container is one flowing text, to be read without the names of its concepts (PS3.3 C.17.3.2.1)."""
    kinds = {str(child.get("ValueType", "")) for child in item.get("ContentSequence", None) or ()}
    return str(item.get("ContinuityOfContent", "")) == "CONTINUOUS" and "TEXT" in kinds and "CONTAINER" not in kinds


def _values(item: Any) -> Iterator[str]:
    for child in item.get("ContentSequence", None) or ():
        value = _leaf(child, str(child.get("ValueType", "")))
        if value and str(child.get("RelationshipType", "")) == "CONTAINS":
            yield value


def _labelled(name: str, value: str, *, under_heading: bool) -> list[str]:
    if not name or (name.casefold() in _GENERIC and under_heading):
        return [value]
    return [f"{name}: {value}"] if under_heading else ["", f"{name}:", value]


def _leaf(item: Any, kind: str) -> str:
    if kind == "TEXT":
        return plain_text(str(item.get("TextValue", "") or "")).replace("\r\n", "\n").replace("\r", "\n").strip()
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind == "NUM":
        measured = item.get("MeasuredValueSequence", None) or ()
        parts = [f"{one.get('NumericValue', '')} {_unit(one)}".strip() for one in measured]
        return " ".join(parts)
    return ""  # dates, UIDs and references are no narrative


def _unit(measured: Any) -> str:
    codes = measured.get("MeasurementUnitsCodeSequence", None) or ()
    return str(codes[0].get("CodeValue", "")) if codes and str(codes[0].get("CodeValue", "")) != "1" else ""


def _meaning(item: Any, keyword: str) -> str:
    codes = item.get(keyword, None) or ()
    return str(codes[0].get("CodeMeaning", "") or "").strip() if codes else ""


def _document(dataset: Any) -> str:
    """The text of an encapsulated CDA document: its paragraphs, list items and table cells."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(bytes(dataset.EncapsulatedDocument).rstrip(b"\0"))
    lines: list[str] = []
    for section in root.iter():
        tag = section.tag.rsplit("}", 1)[-1]
        if tag == "title":
            lines += ["", f"{''.join(section.itertext()).strip().rstrip(':')}:"]
        elif tag == "text":
            lines.append(" ".join("".join(section.itertext()).split()))
    return "\n".join(lines)


def _string(dataset: Any, keyword: str) -> str | None:
    value = dataset.get(keyword, None)
    if value is None:
        return None
    text = (
        "\\".join(str(part) for part in value)
        if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
        else str(value)
    )
    return text.strip() or None
