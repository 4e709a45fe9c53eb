"""The audit's lists as HTML: worklist, contact sheet, distributions, drops, sample, agreement.

Enters: a casebook, verdicts. Leaves: HTML, everything escaped. Templates hold the words and the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import numpy as np

from curation.audit import sampling
from curation.audit.agreement import agreements
from curation.audit.casebook import Casebook, drop_key
from curation.audit.pages import environment
from curation.audit.verdicts import VerdictStore
from curation.audit.worklist import FACETS, Filter
from curation.contract import EXCLUDING_VERDICTS, in_order_of_work
from curation.suspicion import severity_of
from curation.suspicion.rules import SEVERITIES

PAGE_SIZE = 50
SHEET_SIZE = 60
ITEMS_SIZE = 200
MAX_BARS = 20
ASKED = ("flag", "severity", "split", "region", "section", "part")
"""Facets with a field of their own above the worklist; the others are reached from the distributions."""


def verdicts_of(book: Casebook, store: VerdictStore) -> dict[str, str]:
    """pair_id -> the verdict that holds, "" where one was taken back; those that curation folded in included."""
    return book.folded | {pair_id: entry.verdict or "" for pair_id, entry in store.latest().items()}


def worklist_page(book: Casebook, store: VerdictStore, *, narrowed: Filter, page: int, is_sheet: bool = False) -> str:
    """The pairs that match, the most suspicious first: a table, or a contact sheet of thumbnails."""
    work, verdicts = book.worklist, verdicts_of(book, store)
    size = SHEET_SIZE if is_sheet else PAGE_SIZE
    places = np.flatnonzero(work.mask(narrowed, verdicts, store.disputed()))
    n_pages = max(1, -(-len(places) // size))
    page = min(page, n_pages)
    rows = work.rows(places[(page - 1) * size : page * size])
    volumes = book.volumes_of([row["volume_id"] for row in rows])
    reasons = book.suspicions_of([row["pair_id"] for row in rows])
    for row in rows:
        row |= {"volume": volumes[row["volume_id"]], "reasons": reasons[row["pair_id"]]}
    counts = work.counts()
    return _render(
        "sheet.html" if is_sheet else "worklist.html",
        name=_name(book),
        rows=rows,
        verdicts=verdicts,
        n_found=len(places),
        n_pairs=len(work),
        n_audited=sum(bool(verdict) for verdict in verdicts.values()),
        n_disputed=len(store.disputed()),
        fields=[(name, FACETS[name], counts[name]) for name in ASKED],
        other_facets=[(name, value) for name, value in narrowed.facets.items() if value and name not in ASKED],
        rules=rules(book),
        shifts=shifts(book),
        narrowed=narrowed,
        page=page,
        n_pages=n_pages,
        query=urlencode(narrowed.query()),
    )


def shifts(book: Casebook) -> list[tuple[str, int]]:
    """Blocks of shifted rows, in words, with the number of pairs in each."""
    n_shifted = dict(book.worklist.counts()["flag"]).get("ROW_SHIFT", 0)
    if not n_shifted:
        return []
    found = Counter(row["detail"] for row in book.rows_of_code("ROW_SHIFT"))
    return sorted(found.items())


def distributions_page(book: Casebook, store: VerdictStore, *, narrowed: Filter) -> str:
    """Bars of every facet; each bar leads to its cases."""
    within = book.worklist.mask(narrowed, verdicts_of(book, store), store.disputed())
    charts = [
        (name, FACETS[name], [bar for bar in bars if bar[1]][:MAX_BARS], sum(bool(count) for _, count in bars))
        for name, bars in book.worklist.counts(within).items()
    ]
    links = {
        (name, value): urlencode({**narrowed.query(), name: value}) for name, _, bars, _ in charts for value, _ in bars
    }
    return _render(
        "distributions.html",
        name=_name(book),
        charts=charts,
        links=links,
        n_found=int(within.sum()),
        narrowed=narrowed,
    )


def drops_page(book: Casebook, *, reason: str = "", stage: str = "", page: int = 1) -> str:
    """Everything that was dropped: counts per stage and reason, and the things themselves where a reason is asked."""
    counts = Counter((row["stage"], row["kind"], row["reason"]) for row in book.dropped)
    rows = [(*key, count) for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    items = [row for row in book.dropped if row["reason"] == reason and (not stage or row["stage"] == stage)]
    n_pages = max(1, -(-len(items) // ITEMS_SIZE))
    page = min(page, n_pages)
    return _render(
        "drops.html",
        name=_name(book),
        counts=rows,
        flow=in_order_of_work(book.dataset.manifest.get("counts", {})),
        n_dropped=len(book.dropped),
        reason=reason,
        stage=stage,
        items=items[(page - 1) * ITEMS_SIZE : page * ITEMS_SIZE],
        n_items=len(items),
        page=page,
        n_pages=n_pages,
        link=True,
    )


def sample_page(book: Casebook, store: VerdictStore, *, size: int, seed: int, width: float) -> str:
    """The sampling plan: which cases to read, what they say so far, how many more are needed."""
    verdicts = verdicts_of(book, store)
    pair_strata = book.worklist.strata()
    drops = {drop_key(row): row for row in book.dropped if _is_whole(row)}
    drop_strata: dict[str, list[str]] = {}
    for key, row in drops.items():
        drop_strata.setdefault(row["reason"], []).append(key)
    sample = sampling.draw(pair_strata, size=size, seed=seed)
    drop_sample = sampling.draw(drop_strata, size=max(len(drop_strata), size // 5), seed=seed)
    found = sampling.rate(pair_strata, _read(sample, verdicts))
    wrongly = sampling.rate(drop_strata, _read(drop_sample, verdicts))
    return _render(
        "sample.html",
        name=_name(book),
        strata=[(name, pair_strata[name], sample[name]) for name in (*SEVERITIES, "none")],
        drop_rows=[(key, drops[key]) for keys in drop_sample.values() for key in keys],
        verdicts=verdicts,
        found=found,
        wrongly=wrongly,
        more=sampling.more_needed(found, width=width),
        n_sample=sum(map(len, sample.values())),
        size=size,
        seed=seed,
        width=width,
    )


def agreement_page(book: Casebook, store: VerdictStore) -> str:
    """Readers two by two with Cohen's kappa, and the pairs on which they disagree."""
    by_reader = store.by_reader()
    return _render(
        "agreement.html",
        name=_name(book),
        agreements=agreements(by_reader),
        disputed=[(pair_id, sorted(by_reader[pair_id].items())) for pair_id in store.disputed()[:ITEMS_SIZE]],
    )


def _read(sample: Mapping[str, Iterable[str]], verdicts: Mapping[str, str]) -> dict[str, dict[str, bool]]:
    return {
        name: {one: verdicts[one] in EXCLUDING_VERDICTS for one in ids if verdicts.get(one)}
        for name, ids in sample.items()
    }


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Whether a drop could have become a pair; files and series are dropped by the thousand for good reason."""
    return row["kind"] in ("study", "report", "pair")


def rules(book: Casebook) -> list[tuple[str, int, str]]:
    """(flag, number of pairs, severity), the gravest first."""
    counts = [(code, count, severity_of(code)) for code, count in book.worklist.counts()["flag"]]
    return sorted(counts, key=lambda item: (SEVERITIES.index(item[2]), -item[1], item[0]))


def _name(book: Casebook) -> str:
    return str(book.dataset.manifest.get("name", "data set"))


def _render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)
