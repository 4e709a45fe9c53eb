"""The gold set of the report parser, read: real notes by offsets alone, written reports with their text.

Enters: ``tests/reports/gold``. Leaves: `GoldReport`s. Refuses: a label that is no region code, a sentence outside its
section. ``docs/reports_gold.md`` has the annotation guidelines.

``written_*.txt``, one report after ``=== id style``: a line is a sentence and, behind ``¦``, its labels; ``@name``
opens a section; ``~`` begins raw text, or ends a line of it; ``\\n`` is a line break; ``!wrap 68`` wraps the report.
``real.txt``: ``=== id kind``, then ``@name start end`` for a section and ``start end ¦ labels`` for a sentence.

Labels: region codes or their short forms, L R or B, a (absent) or u (uncertain), n (normal), p (compares with a prior),
``mm=32,14``, ``@series/image``.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from reports.records import Assertion, ImagePointer, Laterality, SectionName, Sentence, Span
from reports.regions import region_tree

GOLD = Path(__file__).resolve().parents[1] / "tests" / "reports" / "gold"
SHORT = {
    "lul": "lung_upper_lobe_left", "lll": "lung_lower_lobe_left", "rul": "lung_upper_lobe_right",
    "rml": "lung_middle_lobe_right", "rll": "lung_lower_lobe_right", "lungL": "lung_left", "lungR": "lung_right",
    "plL": "pleura_left", "plR": "pleura_right", "kl": "kidney_left", "kr": "kidney_right",
    "adl": "adrenal_gland_left", "adr": "adrenal_gland_right", "ml": "lymph_nodes_mediastinal",
    "al": "lymph_nodes_abdominal", "pn": "lymph_nodes_pelvic", "cn": "lymph_nodes_cervical", "cbd": "bile_ducts",
    "gb": "gallbladder", "panc": "pancreas", "sb": "small_bowel", "bl": "urinary_bladder",
    "pv": "portal_vein_and_splenic_vein", "pa": "pulmonary_arteries", "cor": "coronary_arteries",
    "peric": "pericardium", "med": "mediastinum", "retro": "retroperitoneum", "perit": "peritoneum",
    "mes": "mesentery", "ao": "aorta", "aot": "aorta_thoracic", "aoa": "aorta_abdominal", "ivc": "inferior_vena_cava",
    "svc": "superior_vena_cava", "sma": "superior_mesenteric_artery", "thy": "thyroid_gland", "abw": "abdominal_wall",
    "ing": "inguinal_region", "verc": "vertebrae_cervical", "vert": "vertebrae_thoracic", "verl": "vertebrae_lumbar",
    "hila": "mediastinum",
}  # fmt: skip
KINDS = {"w": "written", "n": "independent", "x": "styles"}
"""First letter of a written report's id: by the author of the rules, by one who had not seen them, or written to tune
rules on and never scored (``tests/reports/styles``)."""
_NUMBERED = {"seg": "liver_segment_", "rl": "rib_left_", "rr": "rib_right_"}
_SIDES: dict[str, Laterality] = {"L": "left", "R": "right", "B": "bilateral"}
_EDGE = " ,\n"


@dataclass
class GoldReport:
    """A report with what a reader says is in it; sentences need no text, which their span slices."""

    name: str
    kind: str  # written, independent; or of a real note: ct, imaging (other pictures and endoscopy), note (clinical)
    text: str
    sections: list[tuple[SectionName, Span]] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)

    @property
    def is_tuning(self) -> bool:
        """Whether rules may be tuned on it: a hash of its id decides, nobody else."""
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 0


def read_written(folder: Path = GOLD) -> list[GoldReport]:
    """The written reports.

    Raises
    ------
    ValueError
        A label is unknown.
    """
    return [
        _written(chunk)
        for path in sorted(folder.glob("written_*.txt"))
        for chunk in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    ]


def read_real(notes: Path, folder: Path = GOLD) -> list[GoldReport]:
    """The real notes, their text from `notes` (``notes.csv`` of MTSamples).

    Raises
    ------
    ValueError
        A label is unknown.
    """
    with notes.open(encoding="utf-8", newline="") as stream:
        texts = {row["note_id"]: row["text"] for row in csv.DictReader(stream)}
    chunks = re.split(r"^=== ", (folder / "real.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [_real(chunk, texts) for chunk in chunks]


def _written(chunk: str) -> GoldReport:
    head, *lines = chunk.splitlines()
    report, wrap, pieces, at = GoldReport(head.split()[0], KINDS[head[0]], ""), 0, list[str](), 0
    pending: str | None = None
    open_section: tuple[SectionName, int] | None = None
    for number, line in enumerate(lines):
        body, mark, labels = line.partition("¦")
        if line.startswith("!wrap"):
            wrap = int(line.split()[1])
            continue
        is_title = labels.startswith("^")
        if pending is not None and not is_title:
            pieces.append(pending)
            at += len(pending)
        if line.startswith("@"):
            _close(report, open_section, "".join(pieces))
            name, _, pending = line[1:].partition(" ")
            pending = pending.replace("\\n", "\n")
            open_section = (cast(SectionName, name), at + len(pending))
            continue
        if is_title:
            assert open_section
            open_section = (open_section[0], at)
        pending = None
        text = _literal(body, is_sentence=bool(mark))
        if line.startswith("~") or not mark:
            if not _goes_on(lines[number + 1 :]):
                open_section = _end_before(report, open_section, "".join(pieces), line)
        elif open_section is None:
            raise ValueError(f"{report.name}: a sentence outside a section: {body[:30]!r}")
        else:
            end = at + len(text.rstrip(_EDGE))
            start = at + len(text) - len(text.lstrip(" "))
            report.sentences.append(_sentence(labels.lstrip("^"), open_section[0], start, end, report.sentences))
        pieces.append(text)
        at += len(text)
    _close(report, open_section, "".join(pieces))
    report.text = _wrapped("".join(pieces), wrap)
    return report


def _literal(body: str, *, is_sentence: bool) -> str:
    """The text a line stands for."""
    raw = body.removeprefix("~") if not is_sentence else body.rstrip(" ")
    text = raw.removesuffix("~").replace("\\n", "\n")
    is_closed = text.endswith("\n") or raw.endswith("~") or not is_sentence
    return text if is_closed else f"{text} "


def _goes_on(lines: list[str]) -> bool:
    """Whether a sentence follows in the same section: what stood before it was a title inside the section."""
    following = next((line for line in lines if line.startswith("@") or "¦" in line), "")
    return "¦" in following and not following.partition("¦")[2].startswith("^")


def _end_before(
    report: GoldReport, section: tuple[SectionName, int] | None, text: str, line: str
) -> tuple[SectionName, int] | None:
    """A signature or header in brackets ends the section; a list number or sub-heading does not."""
    if section and line.startswith("~") and re.search(r"[a-zA-Z]{3}", line.replace("\\n", "")):
        _close(report, section, text)
        return None
    return section


def _close(report: GoldReport, section: tuple[SectionName, int] | None, text: str) -> None:
    if section and text[section[1] :].strip(_EDGE):
        start, end = section[1], len(text.rstrip(_EDGE))
        start += len(text[start:]) - len(text[start:].lstrip(_EDGE))
        report.sections.append((section[0], Span(start, end)))


def _wrapped(text: str, width: int) -> str:
    """`text` with the spaces that a printer of that width turns into line breaks; offsets stay."""
    if not width:
        return text
    letters, start, blank = list(text), 0, -1
    for index, letter in enumerate(text):
        if letter == "\n":
            start, blank = index + 1, -1
        elif letter == " ":
            blank = index
        if index - start >= width and blank > start:
            letters[blank] = "\n"
            start, blank = blank + 1, -1
    return "".join(letters)


def _real(chunk: str, texts: dict[str, str]) -> GoldReport:
    head, *lines = chunk.splitlines()
    name, kind = head.split()
    report = GoldReport(name, kind, texts[name])
    for line in filter(None, lines):
        place, _, labels = line.partition("¦")
        if line.startswith("@"):
            section, start, end = line[1:].split()
            report.sections.append((cast(SectionName, section), Span(int(start), int(end))))
        else:
            start, end = place.split()
            report.sentences.append(_sentence(labels, report.sections[-1][0], int(start), int(end), report.sentences))
    return report


def _sentence(labels: str, section: SectionName, start: int, end: int, before: list[Sentence]) -> Sentence:
    regions: set[str] = set()
    side: Laterality | None = None
    flags: set[str] = set()
    lengths: tuple[float, ...] = ()
    pointer: ImagePointer | None = None
    for label in labels.split():
        if label in _SIDES:
            side = _SIDES[label]
        elif label in ("a", "u", "n", "p"):
            flags.add(label)
        elif label.startswith("mm="):
            lengths = tuple(map(float, label[3:].split(",")))
        elif label.startswith("@"):
            series, image = (int(part) if part != "-" else None for part in label[1:].split("/"))
            pointer = ImagePointer(series, image)
        else:
            regions |= set(_regions(label))
    assertion: Assertion = "absent" if "a" in flags else "uncertain" if "u" in flags else "present"
    return Sentence(
        section, len(before), Span(start, end), "", tuple(sorted(regions)), side, assertion,
        "n" in flags, "p" in flags, pointer, lengths,
    )  # fmt: skip


def _regions(label: str) -> Iterator[str]:
    tree = region_tree()
    for part in label.split(","):
        numbered = re.fullmatch(r"(seg|rl|rr)(\d+)", part)
        level = re.fullmatch(r"[CTLS]\d+", part)
        code = SHORT.get(part, part)
        if numbered:
            code = _NUMBERED[numbered[1]] + numbered[2]
        elif level:
            code = f"vertebrae_{part}"
        if code not in tree:
            raise ValueError(f"{part!r} is no region")
        yield code
