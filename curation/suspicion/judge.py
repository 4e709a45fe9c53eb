"""The rules applied: to one pair as its study is curated, to the whole data set as it is assembled.

Enters: rows of the tables, the rows of the reports' source in their order. Leaves: rows of ``suspicions.parquet``, and
flags and suspicion of each pair. Refuses: nothing; the same rows give the same answer, in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from curation.reasons import PairFlag
from curation.suspicion.clues import SourceRow, agreement, contradictions, date_contradiction, usual_days_to_sign
from curation.suspicion.contrast import contrast_unsaid
from curation.suspicion.copies import copies, text_digest
from curation.suspicion.facts import TextFacts, VolumeFacts, text_facts, volume_facts
from curation.suspicion.fit import Finding, fit, pair_findings
from curation.suspicion.rules import severity_of, suspicion_of
from curation.suspicion.shift import Shift, find_shifts
from curation.suspicion.template import unusual

Row = dict[str, Any]
STRONG_LINK = 0.95
MIN_SENTENCES = 3
_VOLUMES_HELD = 64
"""Facts of so many volumes are held at a time: rows are visited in order, and offsets are small."""


def judge_pair(*, confidence: float, n_sentences: int, n_located: int, flags: Iterable[str]) -> tuple[list[str], float]:
    """Flags of a pair, sorted, and its suspicion, as far as its own study can tell."""
    found = {str(flag) for flag in flags}
    if confidence < STRONG_LINK:
        found.add(str(PairFlag.LINK_WEAK))
    if n_sentences < MIN_SENTENCES:
        found.add(str(PairFlag.FEW_SENTENCES))
    if n_located == 0:
        found.add(str(PairFlag.NOTHING_LOCATED))
    return sorted(found), suspicion_of(found, confidence)


def judge_dataset(rows: Mapping[str, Sequence[Row]], source: Sequence[SourceRow] = ()) -> list[Row]:
    """Apply every rule to every pair; sets `flags` and `suspicion` of the pairs.

    Parameters
    ----------
    rows : mapping
        Table -> rows: pairs, volumes, reports, sentences, regions; suspicions, where a study says more of a flag.
    source : sequence of SourceRow
        In the order of the source; empty where it is not known.

    Returns
    -------
    list of rows of ``suspicions.parquet``
    """
    return _Judge(rows, source).suspicions()


class _Judge:
    def __init__(self, rows: Mapping[str, Sequence[Row]], source: Sequence[SourceRow]) -> None:
        self.pairs = sorted(rows["pairs"], key=lambda row: row["pair_id"])
        self.volumes = {row["volume_id"]: row for row in rows["volumes"]}
        self.source = sorted(source, key=lambda row: row.number)
        self.builds = {
            row["report_id"]: [section["name"] for section in row["sections"] or ()] for row in rows["reports"]
        }
        sentences, self.regions = _grouped(rows["sentences"], "report_id"), _grouped(rows["regions"], "volume_id")
        self.texts: dict[str, TextFacts] = {}
        for row in rows["reports"]:
            ordered = sorted(sentences.get(row["report_id"], ()), key=lambda one: one["char_start"])
            self.texts[row["report_id"]] = text_facts(row["text"], ordered)
        self.details = {(row["pair_id"], row["code"]): row["detail"] for row in rows.get("suspicions", ())}
        self.volume = lru_cache(maxsize=_VOLUMES_HELD)(self._volume)

    def suspicions(self) -> list[Row]:
        found: dict[str, dict[str, str]] = {
            row["pair_id"]: {code: self.details.get((row["pair_id"], code), "") for code in row["flags"]}
            for row in self.pairs
        }
        for pair_id, finding in self._findings():
            found[pair_id][finding.code] = finding.detail
        for row in self.pairs:
            codes = found[row["pair_id"]]
            if self.texts[row["report_id"]].is_mirrored:
                codes.pop("LATERALITY_SUSPECT", None)  # the text explains it
            row["flags"] = sorted(codes)
            row["suspicion"] = suspicion_of(codes, row["link_confidence"])
        return [
            {"pair_id": pair_id, "code": code, "severity": severity_of(code), "detail": detail}
            for pair_id, codes in found.items()
            for code, detail in sorted(codes.items())
        ]

    def _findings(self) -> Iterator[tuple[str, Finding]]:
        of_report = _grouped(self.pairs, "report_id")
        for row in self.pairs:
            for finding in pair_findings(self.texts[row["report_id"]], self.volume(row["volume_id"])):
                yield row["pair_id"], finding
        digests: dict[str, list[str]] = defaultdict(list)
        for report_id, text in self.texts.items():
            digests[report_id] += [digest for digest in (text_digest(text.own_words),) if digest]
        for source_row in self.source:
            digests[source_row.report_id or ""] += [digest for digest in (source_row.digest,) if digest]
        yield from copies(self.pairs, digests, self.volumes)
        for report_id, finding in unusual(self.builds):
            yield from ((row["pair_id"], finding) for row in of_report.get(report_id, ()))
        yield from contrast_unsaid(self.pairs, self.texts, self.volumes)
        max_days = usual_days_to_sign(self.source)
        for source_row in self.source:
            if source_row.report_id is None or source_row.who is None:
                continue
            found = contradictions(source_row.clues, source_row.who, max_days=max_days)
            if detail := date_contradiction(source_row):
                found["REPORT_DATE"] = detail
            for code, detail in found.items():
                yield from ((row["pair_id"], Finding(code, detail)) for row in of_report.get(source_row.report_id, ()))
        yield from self._shifted(of_report)

    def _shifted(self, of_report: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, Finding]]:
        volume_of = {row["study_id"]: row["volume_id"] for row in reversed(self.pairs)}
        source = self.source

        def fits(text_row: int, study_row: int) -> float:
            text, study = source[text_row], source[study_row]
            if study.who is None or text.report_id is None:
                return 0.0
            score = agreement(text.clues, study.who)
            if text.report_id in self.texts and study.study_id in volume_of:
                score += fit(self.texts[text.report_id], self.volume(volume_of[study.study_id]))
            return score

        for shift in find_shifts(len(source), fits):
            detail = shift_detail(shift, source)
            for row in source[shift.first : shift.last + 1]:
                for pair in of_report.get(row.report_id or "", ()):
                    yield pair["pair_id"], Finding(str(PairFlag.ROW_SHIFT), detail)

    def _volume(self, volume_id: str) -> VolumeFacts:
        return volume_facts(self.volumes[volume_id], self.regions.get(volume_id, ()))


def shift_detail(shift: Shift, source: Sequence[SourceRow]) -> str:
    """A shift in words, with the numbers of its first and last row in the source, and of the rows that fit both."""
    earliest, first, last, latest = (
        source[row].number for row in (shift.earliest, shift.first, shift.last, shift.latest)
    )
    way = "before" if shift.offset < 0 else "after"
    detail = f"reports {first} to {last} of the source fit the study {abs(shift.offset)} row(s) {way} their own"
    beside = [f"from {earliest}"] * (earliest < first) + [f"to {latest}"] * (latest > last)
    return f"{detail}, perhaps {' '.join(beside)}" if beside else detail


def _grouped(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups
