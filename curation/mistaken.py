"""Texts that say themselves that they are another patient's.

Enters: the rows of the reports' source with what their texts say. Leaves: the reports whose text holds a number or full
name of another patient of the export, and none of their own. Refuses: to judge by a name or number that the texts of
several patients hold, since a radiologist may be a patient of the house too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from curation.suspicion.clues import SourceRow

MAX_OTHERS = 2
"""Other patients whose texts may name somebody who then still counts as the text's patient, not as staff."""


def naming_others(source: Iterable[SourceRow]) -> set[str]:
    """Ids of the reports whose text is another patient's."""
    rows = [(row.report_id, row.who.owner, row.clues.patients) for row in source if row.report_id and row.who]
    named_by: dict[str, set[str]] = defaultdict(set)
    for _report_id, owner, patients in rows:
        for patient in patients - {owner}:
            named_by[patient].add(owner)
    return {
        report_id
        for report_id, owner, patients in rows
        if owner not in patients and any(len(named_by[patient]) <= MAX_OTHERS for patient in patients)
    }
