"""Who and when, by the report's own text, before its identifiers are removed: the strongest evidence of a wrong pair.

Enters: texts as their source holds them, the patients of the export. Leaves: `SourceRow` per row of the source, in its
order, holding nothing but codes of agreement. Refuses: to hand on a name, number or date.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from curation.index import patient_owner
from curation.intake import Intake
from curation.link import Link
from curation.pseudonyms import Pseudonyms
from curation.suspicion.copies import whole_digest
from reports.records import RawReport

MAX_DAYS_TO_SIGN = 45
"""A report signed later than this after the study is hardly its report; addenda and second opinions come later."""
MIN_DAYS_TO_SIGN, MIN_SIGNED = 7, 20
"""What is usual is learnt from the signatures themselves where there are so many, and never shorter than a week."""
MAX_DAYS_TO_REPORT = 90

_DATE = r"(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-]\d{4})"
_SIGNED = re.compile(rf"\b(?:signed|verified|approved|dictated|finali[sz]ed)\b[^\n\d]{{0,80}}?{_DATE}", re.IGNORECASE)
_BORN = re.compile(rf"\b(?:DOB|date of birth|birth ?date|geb\.?|born)\b[^\n\d]{{0,20}}{_DATE}", re.IGNORECASE)
_EXAM = re.compile(rf"\b(?:exam|examination|study|scan) date\b[^\n\d]{{0,20}}{_DATE}", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{0,4}-?\d[A-Za-z0-9-]{3,30}(?![A-Za-z0-9])")
_WORD = re.compile(r"[^\W\d_]{2,40}")


@dataclass(frozen=True)
class Clues:
    """What one text says about who and when; identifying, never stored.

    Parameters
    ----------
    patients : frozenset of str
        Owners (`patient_owner`) of the patient numbers and full names in the text.
    born, signed, exam : tuple of frozenset of date
        For each date of that kind in the text, every way to read it.
    """

    patients: frozenset[str] = frozenset()
    born: tuple[frozenset[date], ...] = ()
    signed: tuple[frozenset[date], ...] = ()
    exam: tuple[frozenset[date], ...] = ()


@dataclass(frozen=True)
class Who:
    """The patient and day of a study, by its headers."""

    owner: str
    born: date | None = None
    day: date | None = None


@dataclass(frozen=True)
class SourceRow:
    """One row of the reports' source, in the source's order.

    Parameters
    ----------
    number : int
        Place in the source, from 1.
    clues : Clues
    report_id, study_id : str or None
        The report that the row became part of, and the study linked to it.
    who : Who or None
        Of that study.
    reported : date or None
        When the report was made, by its source.
    digest : str or None
        Of the whole text (`curation.suspicion.copies.whole_digest`).
    """

    number: int
    clues: Clues = field(default_factory=Clues)
    report_id: str | None = None
    study_id: str | None = None
    who: Who | None = None
    reported: date | None = None
    digest: str | None = None


class Directory:
    """The patients of an export, found by number or full name.

    Parameters
    ----------
    people : iterable of (issuer, patient id, name)
        The name as DICOM spells it, FAMILY^GIVEN.
    """

    def __init__(self, people: Iterable[tuple[str | None, str | None, str | None]]) -> None:
        self._numbers: dict[str, set[str]] = defaultdict(set)
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)
        for issuer, patient_id, name in {(i or "", p or "", n or "") for i, p, n in people}:
            owner = patient_owner(issuer, patient_id)
            if len(patient_id) >= 5 and any(letter.isdigit() for letter in patient_id):
                self._numbers[patient_id.casefold()].add(owner)
            family, _, given = name.partition("^")
            parts = _WORD.findall(family.casefold())[-1:] + _WORD.findall(given.casefold())[:1]
            if len(parts) == 2:
                self._names[parts[0], parts[1]].add(owner)

    def clues(self, text: str) -> Clues:
        """What a text says about who and when."""
        patients: set[str] = set()
        for match in _NUMBER.finditer(text):
            patients |= self._numbers.get(match[0].casefold(), set())
        words = [word.casefold() for word in _WORD.findall(text)]
        for first, second in pairwise(words):
            patients |= self._names.get((first, second), set()) | self._names.get((second, first), set())
        return Clues(frozenset(patients), _dates(_BORN, text), _dates(_SIGNED, text), _dates(_EXAM, text))


def who_of(facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Who]:
    """StudyInstanceUID -> patient and day, from the indexed headers."""
    people = {}
    for uid, headers in facts.items():
        names = ("issuer", "patient_id", "birth_date", "study_date")
        first = {name: next((h[name] for h in headers if h[name]), None) for name in names}
        owner = patient_owner(first.get("issuer") or "", first.get("patient_id") or "")
        people[uid] = Who(owner, _day(first.get("birth_date")), _day(first.get("study_date")))
    return people


def source_rows(
    texts: Sequence[RawReport],
    taken: Intake,
    links: Iterable[Link],
    facts: Mapping[str, Sequence[Mapping[str, Any]]],
    pseudonyms: Pseudonyms,
) -> list[SourceRow]:
    """One record per row of the source, in its order.

    Parameters
    ----------
    facts : mapping
        StudyInstanceUID -> headers (`study_facts`).
    """
    directory = Directory((h["issuer"], h["patient_id"], h["name"]) for headers in facts.values() for h in headers)
    people = who_of(facts)
    study_of = {link.report: link.study for link in links}
    report_of = {key: report_id for report_id, merged in taken.reports.items() for key in merged.versions}
    rows = []
    for number, raw in enumerate(texts, start=1):
        report_id = report_of.get(raw.source_key)
        uid = study_of.get(report_id or "")
        study_id = pseudonyms.of("study", uid) if uid else None
        who, reported = people.get(uid or ""), _day(raw.report_datetime)
        digest = whole_digest(raw.text)
        rows.append(SourceRow(number, directory.clues(raw.text), report_id, study_id, who, reported, digest))
    return rows


def days_to_sign(clues: Clues, who: Who) -> list[int]:
    """Days from the study to each signature in the text, negative before it; of two readings of a date the likelier."""
    if who.day is None:
        return []
    day = who.day
    return [min(((way - day).days for way in ways), key=lambda n: (n < 0, abs(n))) for ways in clues.signed]


def usual_days_to_sign(rows: Iterable[SourceRow]) -> int:
    """The longest wait that is still usual here: reports are signed within days at one place, weeks at another."""
    waits = sorted(days for row in rows if row.who for days in days_to_sign(row.clues, row.who) if days >= 0)
    if len(waits) < MIN_SIGNED:
        return MAX_DAYS_TO_SIGN
    return min(MAX_DAYS_TO_SIGN, max(MIN_DAYS_TO_SIGN, 4 * waits[3 * len(waits) // 4] + 3))


def contradictions(clues: Clues, who: Who, *, max_days: int = MAX_DAYS_TO_SIGN) -> dict[str, str]:
    """Code -> what contradicts, in words that identify nobody; `max_days` from study to signature are usual."""
    found = {}
    if clues.patients and who.owner not in clues.patients:
        found["TEXT_OTHER_PATIENT"] = "a patient number or name in the text belongs to another patient of the export"
    elif clues.born and who.born and not any(who.born in ways for ways in clues.born):
        found["TEXT_OTHER_PATIENT"] = "the birth date in the text is not the patient's"
    if who.day is None:
        return found
    day = who.day
    if clues.exam and not any(day in ways for ways in clues.exam):
        found["TEXT_OTHER_DAY"] = "the text names another study day"
    waits = days_to_sign(clues, who)
    if waits and not any(0 <= days <= max_days for days in waits):
        nearest = min(waits, key=abs)
        found["TEXT_OTHER_DAY"] = f"signed {abs(nearest)} days {'before' if nearest < 0 else 'after'} the study"
    return found


def date_contradiction(row: SourceRow) -> str | None:
    """How the report's date in its source contradicts the study's day, in words; None where it does not."""
    if row.reported is None or row.who is None or row.who.day is None:
        return None
    days = (row.reported - row.who.day).days
    if -1 <= days <= MAX_DAYS_TO_REPORT:  # a night shift's report may carry the day before
        return None
    return f"reported {abs(days)} days {'before' if days < 0 else 'after'} the study"


def agreement(clues: Clues, who: Who) -> float:
    """Above zero where the text names this patient and day, below where it names others, 0 where it is silent."""
    score = 0.0
    if clues.patients:
        score += 5.0 if who.owner in clues.patients else -5.0
    if clues.born and who.born:
        score += 3.0 if any(who.born in ways for ways in clues.born) else -4.0
    if who.day and clues.signed:
        is_near = any(0 <= (way - who.day).days <= MAX_DAYS_TO_SIGN for ways in clues.signed for way in ways)
        is_same = any((way - who.day).days in (0, 1) for ways in clues.signed for way in ways)
        score += 4.0 if is_same else 1.0 if is_near else -4.0
    if who.day and clues.exam:
        score += 4.0 if any(who.day in ways for ways in clues.exam) else -4.0
    return score


def _dates(pattern: re.Pattern[str], text: str) -> tuple[frozenset[date], ...]:
    readings = (_readings(match[1]) for match in pattern.finditer(text))
    return tuple(ways for ways in readings if ways)


def _readings(text: str) -> frozenset[date]:
    """Every valid way to read a date: month and day may stand in either order."""
    first, second, third = (int(number) for number in re.split(r"[/.-]", text))
    orders = [(first, second, third)] if first > 31 else [(third, first, second), (third, second, first)]
    return frozenset(day for order in orders if (day := _valid(*order)))


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _day(text: str | None) -> date | None:
    digits = re.sub(r"\D", "", text or "")[:8]
    return _valid(int(digits[:4]), int(digits[4:6]), int(digits[6:])) if len(digits) == 8 else None
