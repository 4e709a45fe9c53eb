"""Every code that a table of the data set can hold, with the line that explains it.

Enters: the enumerations of the rooms. Leaves: one look-up for the audit, the data card and docs/reasons.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import curation.align.reasons
import curation.reasons
import reports.reasons
import volumes.reasons
from t3dkit.verdict import Code

ROOMS: Mapping[str, tuple[type[Code], ...]] = {
    "volumes: why a file, series or stack is dropped": (volumes.reasons.DropReason,),
    "volumes: what was repaired": (volumes.reasons.RepairCode,),
    "volumes: what deserves a look": (volumes.reasons.Flag,),
    "reports: why a row or report is dropped": (reports.reasons.DropReason,),
    "reports: what deserves a look": (reports.reasons.ReportFlag,),
    "curation: why a study, report or pair is dropped": (curation.reasons.DropReason,),
    "curation: what makes a pair suspicious": (curation.reasons.PairFlag,),
    "alignment: what was noticed while locating regions": (curation.align.reasons.AlignFlag,),
}


@cache
def _meanings() -> dict[str, str]:
    return {str(code): code.meaning for kinds in ROOMS.values() for kind in kinds for code in kind}


def meaning(code: str) -> str:
    """The line that explains a code; a code outside every enumeration is named as such."""
    return _meanings().get(str(code), "a code that no enumeration of this version explains")
