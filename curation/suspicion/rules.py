"""The rules by code: how grave each is, and how much it adds to a pair's suspicion.

Enters: nothing. Leaves: `RULES`. Refuses: to explain; a code's own line does (`curation.codes.meaning`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["alarm", "look", "note"]
SEVERITIES: tuple[Severity, ...] = ("alarm", "look", "note")
"""alarm: probably another patient's, another study's or a broken volume; look: worth a look; note: good to know."""


@dataclass(frozen=True)
class Rule:
    """A rule's severity, and the chance, guessed and to be calibrated on verdicts, that its pair is wrong."""

    severity: Severity
    weight: float


RULES: dict[str, Rule] = {
    "ROW_SHIFT": Rule("alarm", 0.95),
    "TEXT_OTHER_PATIENT": Rule("alarm", 0.95),
    "TEXT_OTHER_DAY": Rule("alarm", 0.8),
    "SAME_TEXT": Rule("alarm", 0.6),
    "SAME_VOLUME": Rule("alarm", 0.6),
    "COVERAGE_MISMATCH": Rule("alarm", 0.6),
    "COVERAGE_GAP": Rule("alarm", 0.5),
    "LATERALITY_SUSPECT": Rule("alarm", 0.5),
    "LATERALITY_CONFLICT": Rule("alarm", 0.5),
    "SEX_MISMATCH": Rule("alarm", 0.6),
    "CONTRAST_MISMATCH": Rule("alarm", 0.5),
    "EXAM_MISMATCH": Rule("alarm", 0.5),
    "POINTER_MISSING": Rule("alarm", 0.5),
    "MEASUREMENT_TOO_LARGE": Rule("alarm", 0.4),
    "HU_OUTLIER": Rule("alarm", 0.5),
    "SIDE_ELSEWHERE": Rule("look", 0.35),
    "HU_SHIFT": Rule("look", 0.3),
    "POINTER_ELSEWHERE": Rule("look", 0.25),
    "BODYPART_MISMATCH": Rule("look", 0.3),
    "LINK_WEAK": Rule("look", 0.2),
    "NOTHING_LOCATED": Rule("look", 0.2),
    "ORGAN_CUT": Rule("look", 0.25),
    "PART_UNREAD": Rule("look", 0.25),
    "REPORT_DATE": Rule("look", 0.3),
    "TEMPLATE_FAR": Rule("look", 0.15),
    "POSSIBLY_CROPPED": Rule("look", 0.15),
    "RESCALE_ASSUMED": Rule("look", 0.15),
    "WRONG_PATIENT": Rule("alarm", 0.95),
    "FEW_SENTENCES": Rule("note", 0.1),
    "SECTION_MISSING": Rule("note", 0.05),
    "UNUSED_STACK": Rule("note", 0.1),
    "DATE_SUSPECT": Rule("note", 0.1),
    "LOSSY": Rule("note", 0.05),
}
OTHER = Rule("note", 0.02)

WEIGHTS = {code: rule.weight for code, rule in RULES.items()}


def severity_of(code: str) -> Severity:
    """The severity of a flag; "note" for one that no rule here weighs."""
    return RULES.get(str(code), OTHER).severity


def suspicion_of(flags: Iterable[str], confidence: float) -> float:
    """0 clean to 1: noisy-or of the flags' weights and the link's doubt."""
    clean = confidence
    for flag in sorted(set(map(str, flags))):
        clean *= 1 - RULES.get(flag, OTHER).weight
    return round(1 - clean, 4)
