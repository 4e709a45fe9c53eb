"""A patient takes consent back: what is theirs leaves the data set now, and never comes back.

Enters: a data set, patient ids or pseudonyms. Leaves: the data set without their pairs, volumes, texts and labels; a
note in the ledger that drops their studies in every later run. Refuses: a name that is no patient's of this data set.

The note is committed first: a run that is killed half-way finds it, and the same command finishes the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation import assemble
from curation.assemble import Stage, Tables
from curation.card import data_card
from curation.changes import changes_between, counted, keep_changes
from curation.contract import TABLES, Dataset, private_folder
from curation.errors import LedgerError
from curation.labels import sweep_labels
from curation.ledger import Ledger, open_ledger
from curation.reasons import DropReason
from curation.spec import STAGE
from curation.verify import require_sound
from t3dkit.errors import ConfigError

Row = dict[str, Any]


def withdraw_patients(root: Path, names: Sequence[str]) -> dict[str, Any]:
    """Remove patients from a data set and from all its later runs.

    Parameters
    ----------
    names : sequence of str
        PatientID, or ``patient_id`` of ``pairs.parquet``.

    Raises
    ------
    ConfigError
        A name is nobody's, or stands for several patients of different issuers.
    LedgerError
        There is no private folder, so that nobody knows who is who.
    """
    dataset = Dataset.open(root)
    private = private_folder(root)
    if not (private / "ledger.sqlite").is_file():
        raise LedgerError(f"{private} holds no ledger: consent can be withdrawn where the data set was curated only")
    with open_ledger(private) as ledger:
        patients = _resolve(ledger, names)
        ledger.put_withdrawn(patients.values())
        gone = set(patients)
        before = {name: dataset.rows(name) for name in TABLES}
        studies = {row["study_id"] for row in before["pairs"] if row["patient_id"] in gone}
        tables = _without(before, dataset.manifest["counts"], gone)
        changes = changes_between(before, tables.rows)
        manifest = dataset.manifest | {
            "counts": tables.counts(),
            "splits": assemble.split_counts(tables.rows["pairs"]),
        }
        assemble.write_dataset(root, private / "staging", tables, manifest, data_card(manifest, tables.rows))
        n_files = assemble.sweep_volumes(root, tables.rows["volumes"])
        n_files += sweep_labels(root, {row["volume_id"] for row in tables.rows["volumes"]})
        kept = [item for (item,) in ledger.query("SELECT item FROM result WHERE stage = ?", (STAGE,))]
        ledger.forget_results(STAGE, set(kept) - studies)
        keep_changes(private, "withdraw", changes)
    require_sound(root)
    return {"patients": len(patients), "files_removed": n_files, "changes": counted(changes)}


def _resolve(ledger: Ledger, names: Sequence[str]) -> dict[str, str]:
    """Pseudonym -> owner key in the ledger of every patient named."""
    owners = ledger.crosswalk("patient")
    by_id: dict[str, list[str]] = {}
    for pseudonym, owner in owners.items():
        by_id.setdefault(owner.split("\x1f")[-1], []).append(pseudonym)
    found: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        matches = [name] if name in owners else by_id.get(name, [])
        if not matches:
            raise ConfigError(f"name {number} is no patient of this data set: give PatientID as the export spells it")
        if len(matches) > 1:
            pseudonyms = ", ".join(sorted(matches))
            raise ConfigError(f"name {number} is a patient of several issuers: give one of {pseudonyms}")
        found[matches[0]] = owners[matches[0]]
    return found


def _without(rows: dict[str, list[Row]], counts: dict[str, Any], gone: set[str]) -> Tables:
    """The tables less the patients `gone`, with every row that leaves accounted for."""
    tables = Tables(
        rows={name: list(table) for name, table in rows.items()},
        stages={name: Stage(stage["kind"], stage["in"], stage["kept"]) for name, stage in counts.items()},
    )
    left = [row for row in rows["pairs"] if row["patient_id"] in gone]
    studies = {row["study_id"] for row in left}
    stays: dict[str, Any] = {
        "pairs": lambda row: row["patient_id"] not in gone,
        "volumes": lambda row: row["study_id"] not in studies,
    }
    for name, is_kept in stays.items():
        tables.rows[name] = [row for row in rows[name] if is_kept(row)]
    volumes = {row["volume_id"] for row in tables.rows["volumes"]}
    reports = {row["report_id"] for row in tables.rows["pairs"]}
    tables.rows["regions"] = [row for row in rows["regions"] if row["volume_id"] in volumes]
    for name in ("reports", "sentences"):
        tables.rows[name] = [row for row in rows[name] if row["report_id"] in reports]
    released = {row["pair_id"] for row in tables.rows["pairs"]}
    tables.rows["suspicions"] = [row for row in rows["suspicions"] if row["pair_id"] in released]
    for row in left:
        tables.drop("release", "pair", row["pair_id"], DropReason.CONSENT_WITHDRAWN)
    tables.rows["series"] = [_closed(row, studies, tables) for row in rows["series"]]
    tables.stages["release"].kept -= len(left)
    tables.stages["convert"].kept -= len(rows["volumes"]) - len(volumes)
    return tables


def _closed(row: Row, studies: set[str], tables: Tables) -> Row:
    if row["study_id"] not in studies or row["verdict"] != "kept":
        return row
    item_id = f"{row['series_id']}-{row['stack']}"
    tables.drop("convert", "series", item_id, DropReason.CONSENT_WITHDRAWN)
    return row | {"verdict": "dropped", "reason": str(DropReason.CONSENT_WITHDRAWN)}
