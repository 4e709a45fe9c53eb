"""A header that names no contrast agent, where the headers of this scanner's make always do.

Enters: pairs with their texts and volumes. Leaves: findings by pair. Refuses: to read a missing tag as "without" where
the make leaves it out now and then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from curation.reasons import PairFlag
from curation.suspicion.facts import TextFacts
from curation.suspicion.fit import Finding

Row = dict[str, Any]
MIN_PAIRS = 20
USUAL_SHARE = 0.9


def contrast_unsaid(
    pairs: Iterable[Row], texts: Mapping[str, TextFacts], volumes: Mapping[str, Row]
) -> Iterator[tuple[str, Finding]]:
    """Findings by pair_id: the text says "with contrast", the header is silent, and such headers seldom are.

    Parameters
    ----------
    texts : mapping
        report_id -> facts.
    volumes : mapping
        volume_id -> row.
    """
    by_vendor: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for row in pairs:
        volume = volumes[row["volume_id"]]
        if texts[row["report_id"]].contrast == "with":
            by_vendor[volume["vendor"] or ""].append((row["pair_id"], volume["contrast"] is None))
    everyone = [one for found in by_vendor.values() for one in found]
    for found in by_vendor.values():
        known = found if len(found) >= MIN_PAIRS else everyone
        n_silent = sum(is_silent for _, is_silent in known)
        if len(known) < MIN_PAIRS or n_silent > (1 - USUAL_SHARE) * len(known):
            continue
        detail = f"the text says with contrast; the header names no agent, as {n_silent} of {len(known)} such studies"
        yield from ((pair_id, Finding(str(PairFlag.CONTRAST_MISMATCH), detail)) for pair_id, silent in found if silent)
