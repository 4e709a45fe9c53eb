"""How reports of this data set are usually built, and which are not.

Enters: the section names of each report. Leaves: findings by report. Refuses: to speak of a data set too small to have
a custom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from curation.reasons import PairFlag
from curation.suspicion.fit import Finding

MIN_REPORTS = 40
RARE_SHARE = 0.005
CUSTOM_SHARE = 0.8


def unusual(builds: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Finding]]:
    """Findings by report_id.

    Parameters
    ----------
    builds : mapping
        report_id -> section names in order.
    """
    n = len(builds)
    if n < MIN_REPORTS:
        return
    shapes = {report_id: tuple(dict.fromkeys(names)) for report_id, names in builds.items()}
    seen = Counter(shapes.values())
    has = {name: sum(name in shape for shape in shapes.values()) / n for name in ("findings", "impression")}
    for report_id, shape in sorted(shapes.items()):
        lacking = [name for name, share in has.items() if share >= CUSTOM_SHARE and name not in shape]
        if lacking:
            yield report_id, Finding(str(PairFlag.SECTION_MISSING), f"no {' and no '.join(lacking)}")
        if seen[shape] <= max(1, int(RARE_SHARE * n)) and not _has_alike(shape, seen):
            yield report_id, Finding(str(PairFlag.TEMPLATE_FAR), f"built as {', '.join(shape) or 'nothing'}")


def _has_alike(shape: tuple[str, ...], seen: Counter[tuple[str, ...]]) -> bool:
    """Whether a common build differs from this one in a single section."""
    names = set(shape)
    return any(count > 1 and len(names ^ set(other)) <= 1 for other, count in seen.most_common(50) if other != shape)
