"""The same text on different patients, the same volume twice.

Enters: texts' own words, rows of volumes, who belongs to which pair. Leaves: findings by pair. Refuses: to call a
normal template a copy: only sentences with a number or a finding count.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from curation.reasons import PairFlag
from curation.suspicion.fit import Finding

Row = dict[str, Any]
MIN_OWN_SENTENCES = 2
_DATED = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\b\d{1,2} [A-Z][a-z]{2,8} \d{4}|\[[A-Z]{2,12}\]"
)
_NUMBERED = re.compile(r"\d{5}|\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")


def text_digest(own_words: Sequence[str]) -> str | None:
    """Equal for reports with the same findings; dates, which are shifted per patient, aside. None for a template."""
    if len(own_words) < MIN_OWN_SENTENCES or not any(re.search(r"\d", words) for words in own_words):
        return None
    plain = "\n".join(" ".join(re.findall(r"[^\W_]+", _DATED.sub(" ", words).casefold())) for words in own_words)
    return hashlib.sha256(plain.encode()).hexdigest()


def whole_digest(text: str) -> str | None:
    """Equal for equal texts with a long number or a date in them, as a signature has; None for others."""
    if not _NUMBERED.search(text):
        return None
    return hashlib.sha256(" ".join(re.findall(r"[^\W_]+", text.casefold())).encode()).hexdigest()


def volume_digest(volume: Row) -> str:
    """Equal for equal files, and for volumes of one grid, histogram and padding, wherever they lie in space."""
    if not volume["padding_fraction"]:  # then the rest is not telling enough
        return str(volume["sha256"])
    parts = [volume["shape_ijk"], volume["hu_percentiles"], volume["n_slices_source"], volume["padding_fraction"]]
    return hashlib.sha256(repr([list(p) if isinstance(p, (list, tuple)) else p for p in parts]).encode()).hexdigest()


def copies(
    pairs: Iterable[Row], digests: Mapping[str, Iterable[str]], volumes: Mapping[str, Row]
) -> Iterator[tuple[str, Finding]]:
    """Findings by pair_id; a copy within one patient is none.

    Parameters
    ----------
    digests : mapping
        report_id -> `text_digest` and `whole_digest`, where there are.
    volumes : mapping
        volume_id -> row.
    """
    rows = sorted(pairs, key=lambda row: row["pair_id"])
    by_text, by_volume = defaultdict(list), defaultdict(list)
    for row in rows:
        for digest in digests.get(row["report_id"], ()):
            by_text[digest].append(row)
        by_volume[volume_digest(volumes[row["volume_id"]])].append(row)
    for code, what, groups in (
        (PairFlag.SAME_TEXT, "the same findings in", by_text),
        (PairFlag.SAME_VOLUME, "the same volume in", by_volume),
    ):
        for group in groups.values():
            patients = {row["patient_id"] for row in group}
            if len(patients) > 1:
                for row in group:
                    others = [r["pair_id"] for r in group if r["patient_id"] != row["patient_id"]]
                    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                    yield row["pair_id"], Finding(str(code), f"{what} pair {others[0]}{more}")
