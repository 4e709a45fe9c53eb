"""The parser against readers' labels: sections, sentences, regions, sides, assertion, measurements, pointers.

``python -m benchmarks reports_gold`` scores the gold set of `benchmarks.reports_gold_files`, real and written reports
and their tuning and untouched halves apart, beside pysbd's sentences where pysbd is installed. ``--errors`` lists what
differs, for the tuning half only: the other half stays unread.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.reports_gold_files import GOLD, GoldReport, read_real, read_written
from reports.mentions import find_mentions
from reports.parse import parse_report
from reports.records import ParsedReport, Section, Sentence, Span
from reports.regions import region_tree
from reports.vocabulary import split_words
from t3dkit.atomic import write_text

NOTES = Path("shared/data/mtsamples/notes.csv")
EDGE = " \t\n,.;:-*•\u00b7()\"'"
"""Characters at a sentence's ends on which readers need not agree."""
SECTION_SLACK = 6
"""Characters by which a section's ends may differ: a list number, a colon."""


@dataclass
class Counts:
    """True positives, false positives and false negatives."""

    hit: int = 0
    extra: int = 0
    missed: int = 0

    def add(self, gold: Iterable[object], found: Iterable[object]) -> bool:
        """Count two multisets; whether they are the same."""
        one, other = Counter(gold), Counter(found)
        self.hit += (one & other).total()
        self.extra += (other - one).total()
        self.missed += (one - other).total()
        return one == other

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan where there was nothing to find."""
        total = 2 * self.hit + self.extra + self.missed
        return 2 * self.hit / total if total else float("nan")


@dataclass
class Scores:
    """Counts of one set of reports."""

    n_reports: int = 0
    n_sentences: int = 0
    section: Counts = field(default_factory=Counts)
    sentence: Counts = field(default_factory=Counts)
    pysbd: Counts = field(default_factory=Counts)
    region: Counts = field(default_factory=Counts)
    side: Counts = field(default_factory=Counts)
    assertion: dict[str, Counts] = field(
        default_factory=lambda: {name: Counts() for name in ("present", "absent", "uncertain")}
    )
    normal: Counts = field(default_factory=Counts)
    prior: Counts = field(default_factory=Counts)
    measurement: Counts = field(default_factory=Counts)
    pointer: Counts = field(default_factory=Counts)

    @property
    def macro(self) -> float:
        """Macro-F1 of the assertion."""
        return sum(one.f1 for one in self.assertion.values()) / len(self.assertion)

    def row(self) -> list[str]:
        """Figures as the table shows them."""
        figures = (self.section.f1, self.sentence.f1, self.pysbd.f1, self.region.f1, self.side.f1, self.macro)
        figures += (self.normal.f1, self.prior.f1, self.measurement.f1, self.pointer.f1)
        return [str(self.n_reports), str(self.n_sentences), *(f"{figure:.3f}" for figure in figures)]


COLUMNS = ["set", "reports", "sentences", "section F1", "sentence F1", "pysbd sentence F1", "region micro-F1"]
COLUMNS += ["laterality F1", "assertion macro-F1", "is_normal F1", "prior F1", "measurement F1", "pointer F1"]

SETS = {
    ("written",): "written reports",
    ("independent",): "independent written reports",
    ("ct",): "real CT reports",
    ("imaging",): "real other imaging",
    ("ct", "imaging"): "real CT and imaging",
    ("note",): "real clinical notes",
    ("ct", "imaging", "note"): "all real notes",
}
"""Kinds of reports and the name of their set."""

Errors = list[str]


def score(
    reports: Iterable[GoldReport],
    parse: Callable[[str], ParsedReport],
    errors: Errors | None = None,
    *,
    peer: bool = True,
) -> Scores:
    """Score a parser on annotated reports."""
    scores = Scores()
    for gold in reports:
        scores.n_reports += 1
        scores.n_sentences += len(gold.sentences)
        found = parse(gold.text)
        mine = [] if errors is None else errors
        _score_sections(scores, gold, found, mine)
        _score_sentences(scores, gold, found, mine)
        if peer:
            scores.pysbd.add(_bounds(gold, gold.sentences), _bounds(gold, _pysbd(gold)))
        _score_tags(scores, gold, found, mine)
    return scores


def _score_sections(scores: Scores, gold: GoldReport, found: ParsedReport, errors: Errors) -> None:
    wanted = _merged([(name, span.start, span.end) for name, span in gold.sections], gold.text)
    # administrative stretches are in section other and hold no sentence; readers do not mark them
    spoken = [
        (one.name, one.span.start, one.span.end)
        for one in found.sections
        if any(one.span.start <= s.span.start < one.span.end for s in found.sentences)
    ]
    left = _merged(spoken, gold.text)
    for name, start, end in wanted:
        near = [
            o for o in left if o[0] == name and abs(o[1] - start) <= SECTION_SLACK and abs(o[2] - end) <= SECTION_SLACK
        ]
        if near:
            scores.section.hit += 1
            left.remove(near[0])
        else:
            scores.section.missed += 1
            errors.append(
                f"{gold.name} section missed {name} {gold.text[start : start + 50]!r}..{gold.text[end - 20 : end]!r}"
            )
    scores.section.extra += len(left)
    errors += [
        f"{gold.name} section extra  {name} {gold.text[start : start + 50]!r}..{gold.text[end - 20 : end]!r}"
        for name, start, end in left
    ]


def _merged(sections: Sequence[tuple[str, int, int]], text: str) -> list[tuple[str, int, int]]:
    """Neighbours of the same name as one: where a sub-heading stands between them is a matter of taste."""
    merged: list[tuple[str, int, int]] = []
    for name, body, end in sections:
        sub = _SUB_HEADING.match(text, body, end)
        start = sub.end() if sub else body
        if merged and merged[-1][0] == name:
            merged[-1] = (name, merged[-1][1], end)
        else:
            merged.append((name, start, end))
    return merged


_SUB_HEADING = re.compile(r"[A-Z][\w /&,()'-]{0,40}:\s+(?=\S)")


def _bounds(gold: GoldReport, sentences: Iterable[Sentence | Span]) -> list[tuple[int, int]]:
    """Ends of sentences without the characters that do not matter, nor a sub-heading in front ("LIVER: ")."""
    spans = [one.span if isinstance(one, Sentence) else one for one in sentences]
    bounds = []
    for span in spans:
        words = gold.text[span.start : span.end]
        start = span.start + len(words) - len(words.lstrip(EDGE))
        sub = _SUB_HEADING.match(gold.text, start, span.end)
        start = sub.end() if sub else start
        bounds.append((start, max(start, span.start + len(words.rstrip(EDGE)))))
    return bounds


def _score_sentences(scores: Scores, gold: GoldReport, found: ParsedReport, errors: Errors) -> None:
    wanted, got = _bounds(gold, gold.sentences), _bounds(gold, found.sentences)
    scores.sentence.add(wanted, got)
    errors += [f"{gold.name} sentence missed {gold.text[a:b]!r}" for a, b in wanted if (a, b) not in got]
    errors += [f"{gold.name} sentence extra  {gold.text[a:b]!r}" for a, b in got if (a, b) not in wanted]


def with_breaks(text: str) -> str:
    """`text` with the line breaks that an export wrote as commas, offsets unchanged, since peers expect none."""
    return re.sub(r"(?<=[.:?!]),(?=\S| )", "\n", text)


def _pysbd(gold: GoldReport) -> list[Span]:
    """pysbd's sentences in the reader's own sections, which is more than it would have."""
    try:
        segmenter = importlib.import_module("pysbd").Segmenter(language="en", clean=False, char_span=True)
    except ImportError:
        return []
    spans: list[Span] = []
    for _, section in gold.sections:
        for one in segmenter.segment(with_breaks(gold.text)[section.start : section.end]):
            spans.append(Span(section.start + one.start, section.start + one.end))
    return spans


def _score_tags(scores: Scores, gold: GoldReport, found: ParsedReport, errors: Errors) -> None:
    owners: dict[int, list[Sentence]] = {}
    for sentence in found.sentences:
        overlap = [
            min(one.span.end, sentence.span.end) - max(one.span.start, sentence.span.start) for one in gold.sentences
        ]
        best = max(range(len(overlap)), key=overlap.__getitem__, default=-1)
        if best >= 0 and overlap[best] > 0:
            owners.setdefault(best, []).append(sentence)
        else:
            scores.region.extra += len(sentence.regions)
    for index, wanted in enumerate(gold.sentences):
        got = owners.get(index, [])
        words = gold.text[wanted.span.start : wanted.span.end].replace("\n", " ")
        regions = _narrowest(code for one in got for code in one.regions)
        is_right = {
            "regions": scores.region.add(_narrowest(wanted.regions), regions),
            "laterality": scores.side.add(filter(None, [wanted.laterality]), filter(None, [_side(got)])),
            "assertion": _add_assertion(scores, wanted, got),
            "normal": scores.normal.add([1] * wanted.is_normal, [1] * any(one.is_normal for one in got)),
            "prior": scores.prior.add(
                [1] * wanted.is_prior_comparison, [1] * any(one.is_prior_comparison for one in got)
            ),
            "mm": scores.measurement.add(wanted.measurements_mm, [mm for one in got for mm in one.measurements_mm]),
            "pointer": scores.pointer.add(
                filter(None, [wanted.image_pointer]), [one.image_pointer for one in got if one.image_pointer]
            ),
        }
        for what in (name for name, right in is_right.items() if not right):
            seen = [_show(one, what) for one in got]
            errors.append(f"{gold.name} {what:10} {words[:150]!r}\n      wanted {_show(wanted, what)}, got {seen}")


def _narrowest(codes: Iterable[str]) -> set[str]:
    """Region codes without those that contain another: a place inside a place says all."""
    found = set(codes)
    return found - {ancestor for code in found for ancestor in region_tree().ancestors(code)}


def _side(sentences: Sequence[Sentence]) -> str | None:
    sides = {one.laterality for one in sentences if one.laterality}
    return (sides.pop() if len(sides) == 1 else "bilateral") if sides else None


def _add_assertion(scores: Scores, wanted: Sentence, got: Sequence[Sentence]) -> bool:
    ranks = ("present", "uncertain", "absent")
    found = min((one.assertion for one in got), key=ranks.index, default=None)
    for name, counts in scores.assertion.items():
        counts.add([1] * (wanted.assertion == name), [1] * (found == name))
    return found == wanted.assertion


def _show(sentence: Sentence, what: str) -> object:
    names = {"normal": "is_normal", "prior": "is_prior_comparison", "mm": "measurements_mm", "pointer": "image_pointer"}
    return getattr(sentence, names.get(what, what))


def _for_peers(reports: Sequence[GoldReport]) -> dict[str, Any]:
    """The texts, and the reader's sentences with our parser's findings in them, for a peer that negates entities."""
    sentences = {}
    for gold in reports:
        sentences[gold.name] = []
        for one in gold.sentences:
            text = gold.text[one.span.start : one.span.end]
            words = split_words(text)
            found = find_mentions(text, words).findings
            places = [(one.span.start + words[a].start, one.span.start + words[b - 1].end) for a, b in found]
            sentences[gold.name].append((one.span.start, one.span.end, places))
    return {"texts": {one.name: with_breaks(one.text) for one in reports}, "sentences": sentences}


def _print_negations(reports: Sequence[GoldReport], absent: Mapping[str, Sequence[bool]]) -> int:
    """How well a peer that only negates tells absent sentences from others, beside our parser on the same sentences."""
    print("set | absent F1 | ours")
    for kinds, title in SETS.items():
        peer, ours = Counts(), Counts()
        for gold in (one for one in reports if one.kind in kinds):
            found = parse_report(gold.text, language="en").sentences
            for wanted, is_absent in zip(gold.sentences, absent[gold.name], strict=True):
                label = [1] * (wanted.assertion == "absent")
                peer.add(label, [1] * is_absent)
                near = [one for one in found if one.span.start < wanted.span.end and wanted.span.start < one.span.end]
                ours.add(label, [1] * (bool(near) and all(one.assertion == "absent" for one in near)))
        print(f"{title} | {peer.f1:.3f} | {ours.f1:.3f}")
    return 0


def _print_peer(reports: Sequence[GoldReport], found: Mapping[str, Any]) -> int:
    """A peer's sentences and sections; it reads both halves alike, since nobody tuned it here."""
    print(f"reports per CPU second: {found['reports_per_second']:.1f}")
    if "absent" in found:
        return _print_negations(reports, found["absent"])
    print("set | section F1 | sentence F1 | sentence F1 without headings")
    for kinds, title in SETS.items():
        scores, inside = Scores(), Counts()
        for gold in (one for one in reports if one.kind in kinds):
            mine = found["reports"][gold.name]
            spans = [Span(start, end) for start, end in mine["sentences"]]
            sections = tuple(Section(name, Span(start, end)) for name, start, end in mine["sections"])
            wanted = _bounds(gold, gold.sentences)
            scores.sentence.add(wanted, _bounds(gold, spans))
            covered = [
                one for one in _bounds(gold, spans) if any(one[0] < end and start < one[1] for start, end in wanted)
            ]
            inside.add(wanted, covered)
            as_sentences = tuple(Sentence(one.name, 0, one.span, "") for one in sections)
            _score_sections(scores, gold, ParsedReport(gold.text, sections, as_sentences), [])
        print(f"{title} | {scores.section.f1:.3f} | {scores.sentence.f1:.3f} | {inside.f1:.3f}")
    return 0


def as_parsed(gold: GoldReport) -> ParsedReport:
    """A reader's labels as if a parser had found them."""
    sections = tuple(Section(name, span) for name, span in gold.sections)
    return ParsedReport(gold.text, sections, tuple(gold.sentences))


def _print_reader(reports: Sequence[GoldReport], second: Sequence[GoldReport], errors_out: Path | None) -> int:
    """The second reader's labels scored against the first's, by set; what a perfect parser could reach is near this."""
    by_text = {one.text: as_parsed(one) for one in second}
    errors: Errors = []
    print(" | ".join(COLUMNS))
    for kinds, title in SETS.items():
        half = [one for one in reports if one.kind in kinds and one.text in by_text]
        if half:
            scores = score(half, by_text.__getitem__, errors if len(kinds) == 1 else None, peer=False)
            print(" | ".join([f"{title}, second reader", *scores.row()]))
    if errors_out:
        write_text(errors_out, "\n".join(errors) + "\n")
    return 0


def find_notes() -> Path | None:
    """The real notes beside the checkout or beside the folder of several work trees."""
    places = list(Path(__file__).resolve().parents[2:4])
    return next((place / NOTES for place in places if (place / NOTES).is_file()), None)


def main(words: Sequence[str] | None = None) -> int:
    """Print the table, and errors of the tuning half if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks reports_gold")
    parser.add_argument("--errors", action="store_true", help="list the errors of the tuning half")
    parser.add_argument("--dump", type=Path, metavar="FILE", help="write the texts for benchmarks/reports_peers.py")
    parser.add_argument("--peer", type=Path, metavar="FILE", help="score what benchmarks/reports_peers.py found")
    parser.add_argument("--reader", type=Path, metavar="FOLDER", help="score another reader's real.txt against ours")
    parser.add_argument("--differences", type=Path, metavar="FILE", help="with --reader: write where the two differ")
    parser.add_argument("--tuning-only", action="store_true", help="do not touch the other half at all")
    arguments = parser.parse_args([] if words is None else words)
    notes = find_notes()
    reports = [*read_written(), *(read_real(notes) if notes else ())]
    if arguments.dump:
        arguments.dump.write_text(json.dumps(_for_peers(reports)), encoding="utf-8")
        return 0
    if arguments.peer:
        return _print_peer(reports, json.loads(arguments.peer.read_text(encoding="utf-8")))
    if arguments.reader:
        second = read_real(notes, arguments.reader) if notes else []
        first = read_real(notes, GOLD / "first") if notes else []
        return _print_reader(first, second, arguments.differences)
    print(" | ".join(COLUMNS))
    for kinds in SETS:
        for is_tuning in (True,) if arguments.tuning_only else (True, False):
            errors: Errors = []
            half = [one for one in reports if one.kind in kinds and one.is_tuning == is_tuning]
            if not half:
                continue
            scores = score(half, lambda text: parse_report(text, language="en"), errors)
            print(" | ".join([f"{SETS[kinds]}, {'tuning' if is_tuning else 'untouched'}", *scores.row()]))
            if is_tuning and arguments.errors and len(kinds) == 1:
                print("\n".join(errors))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
