"""What one study's stage is told, and the digest that says whether it has been done.

Enters: the ledger, the links, the reports. Leaves: a `StudySpec` per study and its key. Refuses: nothing; a
specification is identifying, and goes to the private folder alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curation import intake
from curation.absent import Absences
from curation.config import Config
from curation.index import patient_owner
from curation.ledger import FileRow, Ledger
from curation.masks import MaskStamps
from curation.pseudonyms import Pseudonyms
from reports.grammar import lexicon_version
from reports.records import MergedReport
from t3dkit.version import VERSION
from volumes.convert import STAGE_VERSION as CONVERT_VERSION

STAGE = "study"
STAGE_VERSION = 9
"""Raised whenever the same input would give other rows or bytes."""

Row = dict[str, Any]


@dataclass(frozen=True)
class StudySpec:
    """Everything the stage needs, as JSON in the private folder; identifying.

    Parameters
    ----------
    files : list of [name, path, members, size in bytes, is salvaged, series UID, stamp]
    uids : mapping
        File name -> what stands for the UIDs that the file lacks (`curation.uids.with_uids`).
    reports : list of mapping
        ``report_id``, ``rule``, ``confidence``, ``flags`` and the fields of `RawReport` that concern its text.
    known : list of [kind, value]
        Identifiers of the patient from the whole batch.
    absent : mapping
        SeriesInstanceUID -> what is missing from it, or may be (`curation.absent.Absences.of`).
    masks : str or None
        Folder of label maps.
    profile : str or None
        File with an institution's headings and boilerplate; its content is in `config`.
    """

    dataset: str
    key_path: str
    study_id: str
    study_uid: str
    issuer: str
    patient_id: str
    accessions: list[str]
    files: list[list[Any]]
    uids: dict[str, Row]
    reports: list[Row]
    known: list[list[str]]
    absent: dict[str, list[Any]]
    masks: str | None
    profile: str | None
    config: Row

    def digest_part(self) -> Row:
        """What decides the result: everything but where files happen to be."""
        part = dict(vars(self))
        for place in ("dataset", "key_path", "masks", "profile"):
            part.pop(place)
        part["files"] = [[name, stamp] for name, *_place, stamp in self.files]
        part["config"] = {name: part["config"][name] for name in ("grid", "volumes", "select", "deid", "reports")}
        return part


@dataclass(frozen=True)
class SpecMaker:
    """Makes the specifications of one run.

    Parameters
    ----------
    left_out : set of str
        Names of files that identity dropped.
    """

    dataset: Path
    mask_folder: Path | None
    key_path: Path
    config: Config
    ledger: Ledger
    pseudonyms: Pseudonyms
    masks: MaskStamps
    left_out: AbstractSet[str]
    reports: Mapping[str, MergedReport]
    absences: Absences

    def spec(self, uid: str, facts: Sequence[Mapping[str, Any]], links: Sequence[Any]) -> StudySpec:
        """The specification of one study: its files, its linked reports, what identifies its patient."""
        record = intake.study_records({uid: facts})[0]
        owner = patient_owner(record.issuer, record.patient_id)
        known = self.ledger.query("SELECT kind, value FROM identifier WHERE owner = ? ORDER BY kind, value", (owner,))
        rows = list(self.ledger.files("study_uid = ? AND kind = 'image'", (uid,)))
        taken = [row for row in rows if row.ref.name not in self.left_out]
        return StudySpec(
            dataset=str(self.dataset.resolve()),
            key_path=str(self.key_path),
            study_id=self.pseudonyms.of("study", uid),
            study_uid=uid,
            issuer=record.issuer,
            patient_id=record.patient_id,
            accessions=sorted(record.accessions),
            files=[_file_part(row) for row in taken],
            uids={row.ref.name: dict(row.lacks) for row in taken if row.lacks},
            reports=[_report_part(link, self.reports[link.report]) for link in links],
            known=[list(pair) for pair in known if not pair[0].endswith("UID")],
            absent=self.absences.of(uid, rows),
            masks=str(self.mask_folder.resolve()) if self.mask_folder else None,
            profile=self.config.reports.profile or None,
            config=self._recorded,
        )

    @cached_property
    def _recorded(self) -> Row:
        return self.config.recorded()

    def key_of(self, spec: StudySpec) -> str:
        """Digest of everything that decides the result of a study."""
        series = [
            uid
            for (uid,) in self.ledger.query(
                "SELECT DISTINCT series_uid FROM file WHERE study_uid = ? AND kind = 'image' ORDER BY series_uid",
                (spec.study_uid,),
            )
        ]
        part = {
            "spec": spec.digest_part(),
            "stage": [STAGE_VERSION, CONVERT_VERSION],
            "program": VERSION,
            "lexicon": lexicon_version(),
            "key": self.pseudonyms.fingerprint(),
            "masks": self.masks.of([*series, spec.study_uid, *spec.accessions]),
        }
        return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()


def _file_part(row: FileRow) -> list[Any]:
    ref = row.ref
    return [ref.name, ref.path, list(ref.members), ref.size_bytes, ref.is_salvaged, row.series_uid, row.stamp]


def _report_part(link: Any, merged: MergedReport) -> Row:
    raw = merged.raw
    return {
        "report_id": link.report,
        "rule": link.rule,
        "confidence": link.confidence,
        "status": raw.status,
        "text": raw.text,
        "language": raw.language,
        "flags": sorted(map(str, merged.flags)),
        "known": sorted(map(list, intake.identifiers_of(raw))),
    }
