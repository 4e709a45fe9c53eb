"""From a row with named columns to a report.

Enters: the column names of a table, its rows as strings. Leaves: a `RawReport`, or a `ReportDrop` with the
reason. Refuses: a table without a column that could be report text, and a `columns` table that names what is
not there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.markup import plain_text
from reports.sources.values import date_of, datetime_of, sex_of, status_of
from t3dkit.errors import ConfigError

SHORT_NAMES = {
    "accession": "accession_number",
    "patient": "patient_id",
    "date": "study_date",
    "report": "report_number",
    "study": "study_instance_uid",
    "name": "patient_name",
    "sex": "patient_sex",
    "birth_date": "patient_birth_date",
}
"""What may be typed in ``--columns`` for the longer field name."""

IDENTIFYING_FIELDS = (
    "patient_name",
    "patient_id",
    "accession_number",
    "report_number",
    "patient_birth_date",
    "study_date",
    "report_datetime",
    "study_instance_uid",
)
"""Fields of RawReport whose values are removed from, or shifted in, the text."""

_NUMBERS = ("accession_number", "patient_id", "report_number")
_EXPONENT = re.compile(r"[+-]?\d(?:[.,]\d{1,14})?[eE]\+\d{1,3}")
_EMPTY = frozenset(
    {"", "nan", "none", "null", "na", "n/a", "#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "<na>"}
)
CELL_LIMIT = 32767
"""Characters an Excel cell holds (Excel specifications and limits); longer text was cut when the file was saved."""


class NoTextColumnError(ConfigError):
    """The table has no usable text column; in a folder of tables it ends as a drop instead."""


@dataclass(frozen=True)
class ColumnMap:
    """Which column of a table holds which field.

    Parameters
    ----------
    fields : mapping
        Field of RawReport -> column.
    text : str or None
        The column with the whole narrative.
    sections : tuple of (str, str)
        (heading, column) of a narrative in several columns; used where `text` is None.
    addendum : str or None
        A column whose text is appended as an addendum.
    identifying : tuple of (str, str)
        (kind, column) of further columns that name somebody or something.
    """

    fields: Mapping[str, str]
    text: str | None
    sections: tuple[tuple[str, str], ...] = ()
    addendum: str | None = None
    identifying: tuple[tuple[str, str], ...] = field(default=())


@cache
def _aliases() -> dict[str, Any]:
    return tomllib.loads(files("reports").joinpath("lexicon/columns.toml").read_text(encoding="utf-8"))


def normal_name(column: str) -> str:
    """A column name as the alias table writes it."""
    return "".join(letter for letter in column.casefold() if letter.isalnum())


def map_columns(names: Sequence[str], columns: Mapping[str, str] | None = None) -> ColumnMap:
    """Find the fields among the column names, those in `columns` first.

    Raises
    ------
    NoTextColumnError
        No column is, by name or by `columns`, report text.
    ConfigError
        `columns` has an unknown field, or names a column that the table lacks.
    """
    aliases = _aliases()
    by_name: dict[str, str] = {}
    for name in names:
        by_name.setdefault(normal_name(name), name)
    given = _given(columns or {}, by_name, names)
    fields = {key: given[key] for key in aliases["fields"] if key in given}
    taken = set(given.values())
    text = given.get("text") or _first(aliases["text"]["aliases"], by_name, taken)
    sections = {
        key: column
        for key, candidates in aliases["sections"].items()
        if (column := given.get(key) or _first(candidates, by_name, taken - {given.get(key)}))
    }
    addendum = sections.pop("addendum", None)
    if text is None and not {"findings", "impression"} & set(sections):
        raise NoTextColumnError(_no_text(names))
    taken |= {text or ""}
    for key, candidates in aliases["fields"].items():
        column = None if key in fields else _first(candidates, by_name, taken)
        if column:
            fields[key] = column
            taken.add(column)
    identifying = tuple(
        (kind, by_name[alias])
        for kind, candidates in aliases["identifying"].items()
        for alias in candidates
        if alias in by_name and by_name[alias] not in taken
    )
    return ColumnMap(fields, text, () if text else tuple(sections.items()), addendum, identifying)


def row_report(row: Mapping[str, str], layout: ColumnMap, source_key: str) -> RawReport | ReportDrop:
    """One row as a report, or as a drop with its reason."""
    values = {key: _value(row.get(column)) for key, column in layout.fields.items()}
    mangled = [key for key in _NUMBERS if values.get(key) and _EXPONENT.fullmatch(values[key] or "")]
    if mangled:
        return ReportDrop(source_key, DropReason.EXCEL_MANGLED, f"{', '.join(mangled)}: a number in exponent notation")
    text = _narrative(row, layout)
    if text is None:
        return ReportDrop(source_key, DropReason.EMPTY_TEXT, "no text in the row")
    if len(text) == CELL_LIMIT:
        return ReportDrop(source_key, DropReason.EXCEL_MANGLED, "the text was cut at Excel's 32,767 characters")
    known = [(key, value) for key in IDENTIFYING_FIELDS if (value := values.get(key))]
    known += [(kind, value) for kind, column in layout.identifying if (value := _value(row.get(column)))]
    values["patient_birth_date"] = date_of(values.get("patient_birth_date"))
    values["study_date"] = date_of(values.get("study_date"))
    values["report_datetime"] = datetime_of(values.get("report_datetime"))
    values["patient_sex"] = sex_of(values.get("patient_sex"))
    status = status_of(values.pop("status", None))
    return RawReport(source_key=source_key, text=text, status=status, known_identifiers=tuple(known), **values)


def table_reports(
    rows: Iterator[tuple[str, Mapping[str, str]] | ReportDrop], names: Sequence[str], columns: Mapping[str, str] | None
) -> Iterator[RawReport | ReportDrop]:
    """Every row of a table; drops pass through."""
    layout = map_columns(names, columns)
    for item in rows:
        yield item if isinstance(item, ReportDrop) else row_report(item[1], layout, item[0])


def compose_sections(parts: Sequence[tuple[str, str]]) -> str:
    """(heading, text) pairs as one narrative with headings in capitals."""
    return "\n\n".join(f"{heading.upper()}:\n{text.strip()}" for heading, text in parts if text.strip())


def _narrative(row: Mapping[str, str], layout: ColumnMap) -> str | None:
    if layout.text:
        text = _value(row.get(layout.text), strip=False) or ""
    else:
        text = compose_sections([(heading, _value(row.get(column)) or "") for heading, column in layout.sections])
    text = plain_text(text)
    addendum = plain_text(_value(row.get(layout.addendum)) or "") if layout.addendum else ""
    if addendum.strip():
        text = f"{text.rstrip()}\n\nADDENDUM:\n{addendum.strip()}"
    return text if text.strip() else None


def _value(value: str | None, *, strip: bool = True) -> str | None:
    if value is None or value.strip().casefold() in _EMPTY:
        return None
    return value.strip() if strip else value


def _first(candidates: Sequence[str], by_name: Mapping[str, str], taken: set[str] | set[str | None]) -> str | None:
    return next((by_name[alias] for alias in candidates if alias in by_name and by_name[alias] not in taken), None)


def _given(columns: Mapping[str, str], by_name: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    aliases = _aliases()
    allowed = {"text", *aliases["fields"], *aliases["sections"]}
    given = {}
    for key, column in columns.items():
        target = SHORT_NAMES.get(key, key)
        if target not in allowed:
            raise ConfigError(f"columns: {key!r} is no field of a report; use one of {', '.join(sorted(allowed))}")
        found = column if column in names else by_name.get(normal_name(column))
        if found is None:
            raise ConfigError(f"columns: no column {column!r} for {key}; the table has: {', '.join(names)}")
        given[target] = found
    return given


def _no_text(names: Sequence[str]) -> str:
    aliases = _aliases()
    return (
        "no usable text column. Looked for one named like "
        f"{', '.join(aliases['text']['aliases'][:8])}, ... or findings and impression; found: {', '.join(names)}. "
        "Name it, for example --columns text=COLUMN"
    )
