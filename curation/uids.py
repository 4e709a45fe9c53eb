"""UIDs for images that have none, decided by the driver, applied where the study is curated.

Enters: the indexed files, of which some images lack a UID. Leaves: each of them with UIDs in the ledger, or dropped
(NO_UID). Refuses: to decide anything itself; `volumes.missing_uids` does, over what the ledger knows.

What binds an image to its series (study time, frame of reference, series number and description) is read when it is
needed: only of the folders in which an image names no series. Each run decides anew, from what is there then, so that
a late neighbour counts as one that came at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from curation.executor import CHUNK_FILES, Executor, Failure
from curation.ledger import FileRow, Ledger
from curation.pseudonyms import Pseudonyms
from t3dkit.verdict import Repair
from volumes.reasons import RepairCode
from volumes.records import FileDrop, FileRef, Instance

BINDING = ("study_time", "frame_of_reference_uid", "series_number", "series_description")
UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")


def binding_of(instance: Instance) -> dict[str, Any]:
    """What binds an image to its series beyond what the ledger keeps of every file."""
    return {"kind": instance.kind, **{name: getattr(instance, name) for name in BINDING}}


def lacks_of(before: Instance, after: Instance) -> dict[str, Any]:
    """Which UIDs `before` lacks, and what `after` has in their place: the ledger's column of that name."""
    missing = [name for name in UIDS if not getattr(before, name)]
    details = [repair.detail for repair in after.repairs[len(before.repairs) :]]
    return {
        "missing": missing,
        "uids": {name: getattr(after, name) for name in missing if getattr(after, name)},
        "details": details,
    }


def with_uids(instance: Instance, lacks: Mapping[str, Any] | None) -> Instance:
    """The instance of a file with the UIDs that the ledger has for it, and the repairs that say so."""
    if not lacks:
        return instance
    repairs = [Repair(RepairCode.UID_SYNTHESISED, detail) for detail in lacks["details"]]
    return replace(instance, **lacks["uids"], repairs=(*instance.repairs, *repairs))


def fill_missing_uids(ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms) -> None:
    """Decide the UIDs of every image that lacks some; writes only what changed."""
    from volumes.missing_uids import fill_uids

    lacking = list(ledger.files("lacks IS NOT NULL"))
    if not lacking:
        return
    rows = {row.ref.name: row for row in lacking}
    folders = {_folder(row) for row in lacking if "series_instance_uid" in (row.lacks or {})["missing"]}
    beside = [name for folder in sorted(folders) for name in ledger.names_beside(folder)]
    rows |= {row.ref.name: row for row in ledger.files_named(name for name in beside if name not in rows)}
    rows = _bound(rows, folders, ledger, executor, pseudonyms)
    known = {row.series_uid for row in lacking if row.series_uid}
    rows |= {
        row.ref.name: row
        for uid in sorted(known)
        for row in ledger.files("series_uid = ? AND kind = 'image'", (uid,))
        if row.ref.name not in rows
    }
    kept, dropped = fill_uids([as_instance(rows[name]) for name in sorted(rows)])
    answers: dict[str, Instance | FileDrop] = {item.file.name: item for item in kept}
    answers |= {item.file.name: item for item in dropped}
    changed = [(row, _settled(row, answers[row.ref.name])) for row in lacking]
    ledger.update_files(new for old, new in changed if new != old)


def as_instance(row: FileRow) -> Instance:
    """As much of an instance as the ledger holds, with the UIDs of its file; SOPInstanceUID may be of its content."""
    lacks, header, binding = row.lacks or {}, row.header or {}, row.binding or {}
    gone = set(lacks.get("missing", ())) - {"sop_instance_uid"}
    return Instance(
        file=row.ref,
        kind=binding.get("kind", row.kind),
        sop_class_uid="",
        sop_instance_uid=row.sop_uid or "",
        study_instance_uid="" if "study_instance_uid" in gone else row.study_uid or "",
        series_instance_uid="" if "series_instance_uid" in gone else row.series_uid or "",
        transfer_syntax_uid="",
        modality=header.get("modality"),
        patient_id=header.get("patient_id") or None,
        issuer_of_patient_id=header.get("issuer") or None,
        patient_birth_date=header.get("birth_date"),
        patient_sex=header.get("sex"),
        accession_number=header.get("accession") or None,
        study_date=header.get("study_date"),
        **{name: binding.get(name) for name in BINDING},  # type: ignore[arg-type]
    )


def read_bindings(refs: Sequence[FileRef]) -> dict[str, dict[str, Any]]:
    """File name -> what binds it; a file that can no longer be read is left out; runs in a worker."""
    from volumes.index import read_instance

    found = ((ref.name, read_instance(ref, may_lack_uids=True)) for ref in refs)
    return {name: binding_of(answer) for name, answer in found if isinstance(answer, Instance)}


def _bound(
    rows: Mapping[str, FileRow], folders: set[str], ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms
) -> dict[str, FileRow]:
    """The rows with their bindings; neighbours whose binding cannot be had are left out."""
    unbound = [row.ref for row in rows.values() if row.binding is None]
    chunks = (unbound[start : start + CHUNK_FILES] for start in range(0, len(unbound), CHUNK_FILES))
    tasks = ((pseudonyms.of("file", chunk[0].name), chunk) for chunk in chunks)
    found: dict[str, dict[str, Any]] = {}
    for _key, outcome in executor.run(read_bindings, tasks):
        found |= {} if isinstance(outcome, Failure) else outcome
    bound = {name: replace(row, binding=found.get(name, row.binding)) for name, row in rows.items()}
    ledger.update_files(bound[name] for name in sorted(found))
    return {name: row for name, row in bound.items() if row.binding is not None}


def _settled(row: FileRow, answer: Instance | FileDrop) -> FileRow:
    """The row of a file that lacks UIDs, as `volumes.missing_uids` decided."""
    before, lacks = as_instance(row), dict(row.lacks or {})
    if isinstance(answer, FileDrop):
        return replace(row, kind="dropped", reason=str(answer.reason), detail=answer.detail,
                       study_uid=before.study_instance_uid or None,
                       series_uid=before.series_instance_uid or None)  # fmt: skip
    by_content = "sop_instance_uid" in lacks["missing"]
    uids = {name: getattr(answer, name) for name in lacks["missing"]}
    details = lacks["details"][: int(by_content)] + [repair.detail for repair in answer.repairs]
    return replace(
        row,
        kind=answer.kind,
        reason=None,
        detail="",
        study_uid=answer.study_instance_uid,
        series_uid=answer.series_instance_uid,
        lacks={"missing": lacks["missing"], "uids": uids, "details": details},
    )


def _folder(row: FileRow) -> str:
    return str(PurePosixPath(row.ref.name).parent)
