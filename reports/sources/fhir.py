"""FHIR DiagnosticReport: one resource, a Bundle, or lines of either (NDJSON).

Enters: a resource as parsed JSON. Leaves: a report or a drop for every DiagnosticReport in it; patients,
orders and studies that the resource or its Bundle carries fill the fields. Refuses: a report whose text is only
there as a PDF or behind a URL (PDF_SCAN).

References: HL7 FHIR R4, DiagnosticReport, Attachment and Bundle.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.encoding import decode
from reports.sources.markup import plain_text, strip_html
from reports.sources.values import date_of, datetime_of, sex_of, status_of

_TEXT_TYPES = ("text/plain", "text/html", "application/xhtml+xml", "text/rtf", "application/rtf", "text/markdown")
Resource = Mapping[str, Any]


def is_resource(value: object) -> bool:
    """Whether a JSON value is a FHIR resource."""
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def read_resource(resource: Resource, source_key: str) -> Iterator[RawReport | ReportDrop]:
    """Every DiagnosticReport in a resource; a resource of another kind is a drop."""
    if resource["resourceType"] == "Bundle":
        entries = [item for item in _items(resource, "entry") if is_resource(item.get("resource"))]
        known = _by_reference(entries)
        found = [item["resource"] for item in entries if item["resource"]["resourceType"] == "DiagnosticReport"]
        for number, report in enumerate(found, start=1):
            yield _read_report(report, known, f"{source_key}#{number}")
        if not found:
            yield ReportDrop(source_key, DropReason.NOT_REPORT, "a Bundle without DiagnosticReport")
    elif resource["resourceType"] == "DiagnosticReport":
        yield _read_report(resource, {}, source_key)
    else:
        yield ReportDrop(source_key, DropReason.NOT_REPORT, "a FHIR resource that is no DiagnosticReport")


def _read_report(report: Resource, known: Mapping[str, Resource], source_key: str) -> RawReport | ReportDrop:
    try:
        return _report(report, known, source_key)
    except (AttributeError, TypeError, KeyError, IndexError):
        return ReportDrop(source_key, DropReason.ROW_PARSE, "a DiagnosticReport whose elements have wrong types")


def _report(report: Resource, known: Mapping[str, Resource], source_key: str) -> RawReport | ReportDrop:
    text, unreadable = _narrative(report)
    if not text:
        reason = DropReason.PDF_SCAN if unreadable else DropReason.EMPTY_TEXT
        return ReportDrop(
            source_key, reason, "only as PDF, picture or link" if unreadable else "no text in the resource"
        )
    known = {**known, **{f"#{item.get('id')}": item for item in _items(report, "contained")}}
    subject = _follow(report.get("subject"), known)
    accession, issuer = _accession(report, known)
    patient_id, patient_issuer = _patient_id(report, subject)
    effective = report.get("effectiveDateTime") or (report.get("effectivePeriod") or {}).get("start")
    numbers = [
        item["value"] for item in _items(report, "identifier") if item.get("value") and item["value"] != accession
    ]
    fields = {
        "patient_name": _person(subject) or (report.get("subject") or {}).get("display"),
        "patient_id": patient_id,
        "accession_number": accession,
        "report_number": numbers[0] if numbers else report.get("id"),
        "study_instance_uid": _study_uid(report, known),
    }
    identifiers = [(name, value) for name, value in fields.items() if value]
    dates = (
        ("patient_birth_date", subject.get("birthDate")),
        ("study_date", effective),
        ("report_datetime", report.get("issued")),
    )
    identifiers += [(name, value) for name, value in dates if value]
    identifiers += _further(report, subject, known)
    return RawReport(
        source_key=source_key,
        text=text,
        issuer_of_accession=issuer,
        issuer_of_patient_id=patient_issuer,
        patient_birth_date=date_of(subject.get("birthDate")),
        patient_sex=sex_of(subject.get("gender")),
        study_date=date_of(effective),
        report_datetime=datetime_of(report.get("issued")),
        status=status_of(report.get("status")),
        description=_concept(report.get("code")),
        language=report.get("language"),
        known_identifiers=tuple(dict.fromkeys(identifiers)),
        **fields,
    )


def _narrative(report: Resource) -> tuple[str, bool]:
    """The text, and whether there is an attachment that could not be read.

    presentedForm is the report as issued; `conclusion` is appended when it is not in there already; `text.div`,
    made for display, is the last resort.
    """
    forms = {
        item.get("contentType", "").split(";")[0].strip().lower(): item for item in _items(report, "presentedForm")
    }
    body, unreadable = "", bool(forms)
    for kind in (*_TEXT_TYPES, ""):
        payload = forms.get(kind, {}).get("data")
        if payload:
            try:
                body = plain_text(decode(base64.b64decode(payload, validate=False)))
            except binascii.Error:
                continue
            if body.strip() and not body.startswith("%PDF"):
                break
            body = ""
    conclusion = plain_text(report.get("conclusion") or "").strip()
    if not body and not unreadable and (report.get("text") or {}).get("div"):
        body = strip_html(report["text"]["div"])
    if conclusion and " ".join(conclusion.split()) not in " ".join(body.split()):
        body = f"{body.rstrip()}\n\nIMPRESSION:\n{conclusion}\n".lstrip()
    return body, unreadable


def _by_reference(entries: list[dict[str, Any]]) -> dict[str, Resource]:
    known: dict[str, Resource] = {}
    for item in entries:
        resource = item["resource"]
        if resource.get("id"):
            known[f"{resource['resourceType']}/{resource['id']}"] = resource
        if item.get("fullUrl"):
            known[item["fullUrl"]] = resource
    return known


def _follow(reference: Any, known: Mapping[str, Resource]) -> Resource:
    target = (reference or {}).get("reference") or ""
    return known.get(target) or known.get("/".join(target.split("/")[-2:])) or {}


def _accession(report: Resource, known: Mapping[str, Resource]) -> tuple[str | None, str | None]:
    """The identifier of type ACSN (HL7 table 0203) of the report, its order or its imaging study."""
    references = [*_items(report, "basedOn"), *_items(report, "imagingStudy")]
    carriers: list[Resource] = [
        report,
        *({"identifier": [item["identifier"]]} for item in references if item.get("identifier")),
    ]
    carriers += [_follow(item, known) for item in references]
    for carrier in carriers:
        for item in _items(carrier, "identifier"):
            codes = {coding.get("code") for coding in _items(item.get("type") or {}, "coding")}
            if "ACSN" in codes and item.get("value"):
                return item["value"], item.get("system")
    return None, None


def _patient_id(report: Resource, subject: Resource) -> tuple[str | None, str | None]:
    identifiers = _items(subject, "identifier")
    identifiers.sort(
        key=lambda item: "MR" not in {coding.get("code") for coding in _items(item.get("type") or {}, "coding")}
    )
    identifiers += [item for item in [(report.get("subject") or {}).get("identifier")] if item]
    for item in identifiers:
        if item.get("value"):
            return item["value"], item.get("system")
    reference = (report.get("subject") or {}).get("reference") or ""
    return (reference.split("/")[-1].lstrip("#").removeprefix("urn:uuid:") or None), None


def _study_uid(report: Resource, known: Mapping[str, Resource]) -> str | None:
    references = [*_items(report, "imagingStudy"), *_items(report, "study")]
    carriers = [*(item.get("identifier") or {} for item in references)]
    carriers += [identifier for item in references for identifier in _items(_follow(item, known), "identifier")]
    values = [str(item.get("value") or "") for item in carriers] + [
        str(item.get("reference") or "") for item in references
    ]
    return next((value.removeprefix("urn:oid:") for value in values if value.startswith("urn:oid:")), None)


def _further(report: Resource, subject: Resource, known: Mapping[str, Resource]) -> list[tuple[str, str]]:
    """Names, numbers and places around the report that its text may repeat."""
    found: list[tuple[str, str]] = []
    for reference in [*_items(report, "performer"), *_items(report, "resultsInterpreter")]:
        name = reference.get("display") or _person(_follow(reference, known))
        found += [("name", name)] if name else []
    found += [
        ("name", name) for item in _items(subject, "contact") if (name := _person({"name": [item.get("name") or {}]}))
    ]
    found += [("id", item["value"]) for item in _items(subject, "identifier") if item.get("value")]
    for item in _items(subject, "telecom"):
        if item.get("value"):
            found.append(("email" if item.get("system") == "email" else "phone", item["value"]))
    for item in _items(subject, "address"):
        found += [("address", line) for line in item.get("line") or []]
    return found


def _person(resource: Resource) -> str | None:
    for name in _items(resource, "name"):
        parts = [name.get("family") or "", " ".join(name.get("given") or [])]
        if any(parts):
            return "^".join(parts).rstrip("^")
        if name.get("text"):
            return str(name["text"])
    return None


def _concept(concept: Any) -> str | None:
    concept = concept or {}
    displays = [coding.get("display") for coding in _items(concept, "coding")]
    return concept.get("text") or next((display for display in displays if display), None)


def _items(resource: Resource, name: str) -> list[dict[str, Any]]:
    value = resource.get(name)
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, dict)]
