"""The balance of a run: what came in at each stage, what was kept, and a row for everything that was not.

Enters: the ledger, the decisions of identity and linking. Leaves: rows of `series` and `dropped`, stages in `Tables`.
Refuses: to count anything twice; each stage counts one kind of thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curation.assemble import Stage, Tables
from curation.executor import Failure
from curation.identity import Identity
from curation.ledger import Ledger
from curation.link import Link, LinkOutcome
from curation.pseudonyms import Pseudonyms
from curation.reasons import DropReason
from volumes.reasons import DropReason as FileReason


def account_files(tables: Tables, ledger: Ledger, pseudonyms: Pseudonyms) -> None:
    """Balance the index: files found, and those that are no use."""
    stage = Stage("file")
    for row in ledger.files():
        stage.n_in += 1
        if row.kind == "dropped":
            name = row.ref.name
            tables.drop("files", "file", pseudonyms.of("file", name), row.reason, row.detail, real=name)
        else:
            stage.kept += 1
    tables.stages["files"] = stage


def account_identity(tables: Tables, ledger: Ledger, pseudonyms: Pseudonyms, identity: Identity) -> list[str]:
    """Balance the identity stages; returns the studies that have images left, dropped ones included."""
    files, studies = Stage("file"), Stage("study")
    alive: dict[str, None] = {}
    for name, kind, uid in ledger.query(
        "SELECT name, kind, study_uid FROM file WHERE kind <> 'dropped' ORDER BY study_uid, name"
    ):
        files.n_in += 1
        text = name.decode("utf-8", "surrogateescape")
        if text in identity.files:
            tables.drop("identity", "file", pseudonyms.of("file", text), identity.files[text], real=text)
            continue
        files.kept += 1
        if kind == "image":
            alive[uid] = None
    for uid in alive:
        studies.n_in += 1
        if uid in identity.studies:
            tables.drop("studies", "study", pseudonyms.of("study", uid), identity.studies[uid], real=uid)
        else:
            studies.kept += 1
    tables.stages |= {"identity": files, "studies": studies}
    return list(alive)


def account_links(
    tables: Tables,
    pseudonyms: Pseudonyms,
    outcome: LinkOutcome,
    *,
    links: Sequence[Link],
    alive: set[str],
    void: set[str],
) -> None:
    """Balance the linking of studies and of reports; `void` reports say themselves that they are wrong."""
    drop = tables.drop
    linked = {link.study for link in links}
    reasons = {item.key: item.reason for item in outcome.dropped_studies}
    for uid in sorted(alive - linked):
        reason = reasons.get(uid, DropReason.LINK_CONFLICT)
        drop("link_studies", "study", pseudonyms.of("study", uid), reason, real=uid)
    for item in outcome.dropped_reports:
        drop("link_reports", "report", item.key, item.reason)
    for link in outcome.links:
        if link.report in void:
            drop("link_reports", "report", link.report, DropReason.LINK_CONFLICT, "the text says so itself")
        elif link.study not in alive:
            drop("link_reports", "report", link.report, DropReason.UNMATCHED_REPORT, "its study was dropped")
    n_reports = len(outcome.links) + len(outcome.dropped_reports)
    tables.stages |= {
        "link_studies": Stage("study", len(alive), len(linked)),
        "link_reports": Stage("report", n_reports, len(links)),
    }


def account_unprocessed(
    tables: Tables, ledger: Ledger, pseudonyms: Pseudonyms, *, processed: set[str], failures: Mapping[str, Failure]
) -> None:
    """A row, and a drop, for each series of a study that never came to the study stage."""
    dropped = {row["item_id"]: row["reason"] for row in tables.rows["dropped"] if row["kind"] == "study"}
    for uid, series_uid, modality, n in ledger.query(
        "SELECT study_uid, series_uid, min(json_extract(header, '$.modality')), count(*) FROM file "
        "WHERE kind = 'image' AND study_uid IS NOT NULL AND series_uid IS NOT NULL "
        "GROUP BY study_uid, series_uid ORDER BY study_uid, series_uid"
    ):
        study_id = pseudonyms.of("study", uid)
        if uid in processed and study_id not in failures:
            continue
        reason = dropped.get(study_id, str(FileReason.NO_PATIENT))
        series_id = pseudonyms.of("series", series_uid)
        tables.rows["series"].append(
            {
                "study_id": study_id,
                "series_id": series_id,
                "stack": 0,
                "modality": modality,
                "n_instances": n,
                "geometry": None,
                "verdict": "dropped",
                "reason": reason,
                "rank": None,
                "rank_reasons": [],
            }
        )
        tables.drop("stacks", "series", f"{series_id}-0", reason, "its study was dropped", real=series_uid)
