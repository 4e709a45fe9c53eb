"""One linked report, de-identified and parsed.

Enters: a linked report of the study's specification. Leaves: a `Narrative`: the de-identified text with its
sections and sentences as rows. Refuses (drops) a text in which an identifier of its own patient is left, or that
holds no sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from curation.reasons import DropReason
from reports.deid.recogniser import NameModel
from reports.profiles import NO_PROFILE, Profile
from reports.records import ParsedReport
from reports.work import sentence_rows
from t3dkit.verdict import Dropped

Row = dict[str, Any]


@dataclass(frozen=True)
class Narrative:
    """A report ready for the data set; nothing in it identifies anyone."""

    report_id: str
    status: str
    rule: str
    confidence: float
    flags: tuple[str, ...]
    parsed: ParsedReport

    def report_row(self, pair_id: str) -> Row:
        """The row of `reports`."""
        return {
            "report_id": self.report_id,
            "pair_id": pair_id,
            "language": self.parsed.language,
            "status": self.status,
            "text": self.parsed.text,
            "sections": [
                {"name": section.name, "char_start": section.span.start, "char_end": section.span.end}
                for section in self.parsed.sections
            ],
        }

    def sentence_rows(self, pair_id: str) -> list[Row]:
        """The rows of `sentences`."""
        return [row | {"pair_id": pair_id} for row in self._sentences]

    @cached_property
    def _sentences(self) -> list[Row]:
        return sentence_rows(self.parsed, self.report_id)


def read_narrative(
    report: Row,
    *,
    known: Sequence[tuple[str, str]],
    shift_days: int,
    seed: bytes,
    language: str | None,
    profile: Profile = NO_PROFILE,
    name_model: NameModel | None = None,
) -> Narrative | Dropped:
    """De-identify and parse one linked report.

    Parameters
    ----------
    report : mapping
        ``report_id``, ``rule``, ``confidence``, ``flags``, ``status``, ``text``, ``language``, ``known`` (pairs of
        field and value).
    known : sequence of (kind, value)
        Identifiers of the study and its patient.
    profile : Profile
        The institution's own headings and boilerplate.
    name_model : NameModel or None
        A spaCy model whose people are hidden besides.
    shift_days, seed
        Of the patient: every text of one patient is treated alike.

    Raises
    ------
    ConfigError
        The model of names cannot be loaded.
    """
    from reports.deidentify import Deidentifier, leaks
    from reports.parse import parse_report

    identifiers = sorted({*known, *((kind, value) for kind, value in report["known"])})
    program = Deidentifier(identifiers, shift_days=shift_days, seed=seed, model=name_model)
    cleaned = program.apply(report["text"])
    left = leaks(cleaned.text, [value for _kind, value in identifiers])
    if left:
        return Dropped(DropReason.DEID_LEAK, ", ".join(sorted(set(left))))
    parsed = parse_report(cleaned.text, language=report["language"] or language, profile=profile)
    if not parsed.sentences:
        return Dropped(DropReason.NO_SENTENCES, f"{len(cleaned.text)} characters")
    flags = tuple(sorted({*report["flags"], *map(str, parsed.flags)}))
    return Narrative(report["report_id"], report["status"], report["rule"], report["confidence"], flags, parsed)
