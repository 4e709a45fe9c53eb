"""What the layers find, and how findings become one edited text.

Enters: findings of several layers, which may overlap. Leaves: the text with every finding replaced, and counts.
Refuses: nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_JOINED = re.compile(r"[ \t,^_.]{0,3}(?:\n[ \t]{0,3})?")
_INITIAL = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]")


@dataclass(frozen=True)
class Finding:
    """A range of the folded text that identifies.

    Parameters
    ----------
    kind : str
        NAME, ID, DATE, TIME, PHONE, EMAIL, URL, ADDRESS, PLACE or AGE.
    replacement : str or None
        A shifted date; None for the placeholder of the kind.
    """

    start: int
    end: int
    kind: str
    replacement: str | None = None


def resolve(findings: Iterable[Finding], text: str) -> list[Finding]:
    """Findings in order, none overlapping: overlapping ones become their union under the longest one's kind.

    Names that stand side by side become one. A date that is part of something longer is no date to shift.
    """
    merged: list[Finding] = []
    for found in sorted(findings, key=lambda one: (one.start, -one.end)):
        last = merged[-1] if merged else None
        if last and found.start < last.end:
            longest = max((last, found), key=lambda one: (one.end - one.start, one.kind == "PHONE"))
            union = (last.start, max(last.end, found.end))
            whole = union == (longest.start, longest.end)
            merged[-1] = Finding(*union, longest.kind, longest.replacement if whole else None)
        elif last and last.kind == found.kind == "NAME" and _joins(text, last.end, found.start):
            merged[-1] = Finding(last.start, found.end, "NAME")
        else:
            merged.append(found)
    return merged


def _joins(text: str, start: int, end: int) -> bool:
    """Whether two names are parts of one; a full stop joins only after an initial, elsewhere it ends a sentence."""
    if not _JOINED.fullmatch(text, start, end):
        return False
    return ". " not in text[start:end] or bool(_INITIAL.fullmatch(text, max(0, start - 1), start))


def replace(original: str, spans: Iterable[tuple[int, int, Finding]]) -> tuple[str, Counter[str]]:
    """`original` with each span replaced, and how many of each kind."""
    pieces: list[str] = []
    counts: Counter[str] = Counter()
    position = 0
    for start, end, finding in spans:
        if start < position:
            continue  # two folded characters of one original character
        pieces += [original[position:start], finding.replacement or f"[{finding.kind}]"]
        counts[finding.kind] += 1
        position = end
    return "".join([*pieces, original[position:]]), counts
