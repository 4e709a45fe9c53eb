"""Every file of the export, its header read once, in the ledger.

Enters: the folder (or archive) of an export. Leaves: one ledger row per file: what it is, whose it is, or why it was
dropped. Refuses: the `truth/` of a demo export, which belongs to the tests.

A file whose size and time are what the ledger has is not read again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from curation.executor import CHUNK_FILES, Executor, Failure
from curation.ledger import LIMIT, FileRow, Ledger
from curation.pseudonyms import Pseudonyms
from curation.terms import with_known_terms
from curation.uids import binding_of, lacks_of
from t3dkit.progress import Progress
from volumes.reasons import DropReason
from volumes.records import FileDrop, FileRef, Instance

_NOT_SEARCHED = ("Date", "Time", "DateTime")
"""Dates are shifted, and a shifted date may equal somebody's real one: they cannot be searched for batch-wide."""
_DATE = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])")


@dataclass(frozen=True)
class IndexedFiles:
    """What a worker answers for some files; travels back to the driver, which alone writes the ledger.

    Parameters
    ----------
    identifiers : list of (owner, kind, value)
        Of all the files, each once: the files of a series say the same.
    """

    rows: list[FileRow]
    identifiers: list[tuple[str, str, str]]


def dicom_root(export: Path) -> Path:
    """Where an export's images are: ``export/dicom`` of a demo export, else `export` itself.

    A demo export carries its own answers in ``truth/``; curating must not be able to see them.
    """
    inner = export / "dicom"
    return inner if inner.is_dir() and ((export / "truth").is_dir() or (export / "demo.json").is_file()) else export


def index_export(
    source: Path, ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms, *, progress: Progress
) -> int:
    """Bring the ledger's files up to date with `source`; returns how many files were found."""
    from volumes.sources import iter_files

    n_found = 0
    sent: dict[str, list[tuple[FileRef, str]]] = {}
    failed: list[tuple[FileRef, str]] = []
    with progress.task("index files") as task:

        def chunks() -> Iterator[tuple[str, Any]]:
            nonlocal n_found
            found = iter(iter_files(source))
            while batch := list(islice(found, CHUNK_FILES)):
                n_found += len(batch)
                changed = _changed(batch, ledger)
                task.advance(len(batch) - len(changed))
                if changed:
                    key = pseudonyms.of("file", changed[0][0].name)
                    sent[key] = changed
                    yield key, changed

        def keep(key: str, outcome: Any) -> None:
            files = sent.pop(key)
            if isinstance(outcome, Failure) and len(files) > 1:
                failed.extend(files)
                return
            if isinstance(outcome, Failure):
                ref, stamp = files[0]
                outcome = IndexedFiles([FileRow(ref, stamp, "dropped", LIMIT, outcome.kind)], [])
            with ledger.transaction():
                ledger.put_files(outcome.rows)
                for row in outcome.rows:
                    if row.reason == LIMIT:
                        ledger.strike("file", row.ref.name, row.stamp)
                ledger.put_identifiers(outcome.identifiers)
            task.advance(len(files), dropped=sum(row.kind == "dropped" for row in outcome.rows))

        for key, outcome in executor.run(index_chunk, chunks()):
            keep(key, outcome)
        # A file that takes its worker down is found by reading its neighbours one by one.
        singles = [(pseudonyms.of("file", item[0].name), [item]) for item in failed]
        sent.update(dict(singles))
        for key, outcome in executor.run(index_chunk, singles):
            keep(key, outcome)
    with ledger.transaction():
        ledger.forget_unseen()
    return n_found


def index_chunk(files: Sequence[tuple[FileRef, str]]) -> IndexedFiles:
    """Read the headers of some files, each with its stamp; runs in a worker."""
    identifiers: set[tuple[str, str, str]] = set()
    return IndexedFiles([_index_file(ref, stamp, identifiers) for ref, stamp in files], sorted(identifiers))


def stamp_of(ref: FileRef) -> str:
    """Size and time of the file on disk; for a member, those of the archive. "" when it is gone."""
    try:
        status = os.stat(ref.path)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def patient_owner(issuer: str, patient_id: str) -> str:
    """Key under which the ledger keeps a patient's identifiers."""
    return f"{issuer}\x1f{patient_id}"


def _changed(batch: Sequence[FileRef | FileDrop], ledger: Ledger) -> list[tuple[FileRef, str]]:
    refs = [item for item in batch if isinstance(item, FileRef)]
    drops = [item for item in batch if isinstance(item, FileDrop)]
    stamps = {ref.name: stamp_of(ref) for ref in refs}
    known = ledger.file_stamps([ref.name for ref in refs])
    unchanged = [ref for ref in refs if stamps[ref.name] and known.get(ref.name) == stamps[ref.name]]
    with ledger.transaction():
        ledger.mark_seen(unchanged)
        rows = [FileRow(drop.file, stamp_of(drop.file), "dropped", str(drop.reason), drop.detail) for drop in drops]
        held = {row.ref.name: row for row in ledger.files_named([row.ref.name for row in rows])}
        ledger.mark_seen([row.ref for row in rows if held.get(row.ref.name) == row])
        ledger.put_files([row for row in rows if held.get(row.ref.name) != row])
    seen = {ref.name for ref in unchanged}
    return [(ref, stamps[ref.name]) for ref in refs if ref.name not in seen]


def _index_file(ref: FileRef, stamp: str, identifiers: set[tuple[str, str, str]]) -> FileRow:
    """The row of one file; what it says of a patient is added to `identifiers`."""
    from volumes.index import read_instance
    from volumes.missing_uids import name_instance

    answer = read_instance(ref, may_lack_uids=True)
    if isinstance(answer, FileDrop):
        return _dropped(answer, stamp)
    answer = with_known_terms(answer)
    named = answer if answer.kind == "other" else name_instance(answer)
    if isinstance(named, FileDrop):
        return _dropped(named, stamp)
    row = _file_row(named, stamp)
    lacks = lacks_of(answer, named)
    if row.reason is None and lacks["missing"]:
        row = replace(row, binding=binding_of(answer), lacks=lacks)
    identifiers.update(_identifiers(answer))
    return row


def _dropped(drop: FileDrop, stamp: str) -> FileRow:
    series_uid = drop.series_instance_uid or None
    return FileRow(drop.file, stamp, "dropped", str(drop.reason), drop.detail, series_uid=series_uid)


def _file_row(instance: Instance, stamp: str) -> FileRow:
    other = instance.kind == "other"
    return FileRow(
        ref=instance.file,
        stamp=stamp,
        kind="dropped" if other else instance.kind,
        reason=str(DropReason.NOT_IMAGE) if other else None,
        study_uid=instance.study_instance_uid or None,
        series_uid=instance.series_instance_uid or None,
        sop_uid=instance.sop_instance_uid or None,
        header={
            "issuer": instance.issuer_of_patient_id or "",
            "patient_id": instance.patient_id or "",
            "name": _named(instance, "PatientName"),
            "birth_date": instance.patient_birth_date,
            "sex": instance.patient_sex,
            "accession": instance.accession_number or "",
            "issuer_of_accession": instance.issuer_of_accession or "",
            "study_date": instance.study_date,
            "modality": instance.modality,
        },
    )


def _named(instance: Instance, keyword: str) -> str | None:
    return next((value for name, value in instance.identifiers if name == keyword), None)


def _identifiers(instance: Instance) -> Iterator[tuple[str, str, str]]:
    owner = patient_owner(*instance.patient_key)
    named = [("IssuerOfPatientID", instance.issuer_of_patient_id), ("PatientID", instance.patient_id)]
    named += [("AccessionNumber", instance.accession_number), *instance.identifiers]
    for kind, value in sorted({(kind, value) for kind, value in named if value}):
        if not kind.endswith(_NOT_SEARCHED) and not (kind.startswith("Private") and _DATE.match(value)):
            yield owner, kind, value.encode("utf-8", "replace").decode()
