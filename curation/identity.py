"""Whose a file is, and when that cannot be told.

Enters: the indexed files. Leaves: the files and studies that are dropped because their identity is missing, claimed
by two people, or a copy. Refuses to pool files without a patient into one patient.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.config import IdentityConfig
from curation.executor import CHUNK_FILES, Executor, Failure
from curation.index import patient_owner
from curation.ledger import FileRow, Ledger
from curation.pseudonyms import Pseudonyms
from curation.reasons import DropReason as PairReason
from t3dkit.verdict import Code
from volumes.reasons import DropReason
from volumes.records import FileDrop, FileRef

StudyFacts = dict[str, list[dict[str, Any]]]
"""StudyInstanceUID -> distinct study-level headers."""


@dataclass
class Identity:
    """Who goes no further, by file name and by StudyInstanceUID."""

    files: dict[str, Code] = field(default_factory=dict)
    studies: dict[str, Code] = field(default_factory=dict)


def resolve_identity(ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms, config: IdentityConfig) -> Identity:
    """Decide for every indexed file and study whether its identity holds.

    Files: NO_PATIENT, NO_UID, DUPLICATE_FILE, UID_COLLISION. Studies: CONSENT_WITHDRAWN, PATIENT_CONFLICT, TEST_DATA.
    """
    identity = Identity()
    placeholders = {text.casefold() for text in config.placeholder_ids}
    for name, study_uid, series_uid, sop_uid, patient_id in ledger.query(
        "SELECT name, study_uid, series_uid, sop_uid, json_extract(header, '$.patient_id') FROM file "
        "WHERE kind <> 'dropped' ORDER BY name"
    ):
        if not (study_uid and series_uid and sop_uid):
            identity.files[_text(name)] = DropReason.NO_UID
        elif str(patient_id or "").strip().casefold() in placeholders:
            identity.files[_text(name)] = DropReason.NO_PATIENT
    facts = study_facts(ledger)
    _find_conflicts(ledger, facts, identity, placeholders)
    _find_tests(facts, identity, config.test_patterns)
    _find_withdrawn(ledger, facts, identity)
    _find_copies(ledger, executor, pseudonyms, identity)
    return identity


def study_facts(ledger: Ledger) -> StudyFacts:
    """StudyInstanceUID -> the distinct study-level headers of its files, in a stable order."""
    facts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for study_uid, header in ledger.query(
        "SELECT DISTINCT study_uid, header FROM file WHERE kind <> 'dropped' AND study_uid IS NOT NULL "
        "ORDER BY study_uid, header"
    ):
        facts[study_uid].append(json.loads(header))
    return dict(facts)


def _find_withdrawn(ledger: Ledger, facts: StudyFacts, identity: Identity) -> None:
    withdrawn = ledger.withdrawn()
    for study_uid, headers in facts.items() if withdrawn else ():
        if any(patient_owner(header["issuer"], header["patient_id"]) in withdrawn for header in headers):
            identity.studies[study_uid] = PairReason.CONSENT_WITHDRAWN


def _find_conflicts(ledger: Ledger, facts: StudyFacts, identity: Identity, placeholders: set[str]) -> None:
    """One study, series or patient id that two people claim."""
    people: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: {"birth_date": set(), "sex": set()})
    studies_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    claimants: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for study_uid, headers in facts.items():
        for header in headers:
            if str(header["patient_id"]).strip().casefold() in placeholders:
                continue
            person = (header["issuer"], header["patient_id"])
            claimants[study_uid].add(person)
            studies_of[person].add(study_uid)
            for trait in ("birth_date", "sex"):
                if header[trait]:
                    people[person][trait].add(header[trait])
    for study_uid, persons in claimants.items():
        if len(persons) > 1:
            identity.studies[study_uid] = DropReason.PATIENT_CONFLICT
    for person, traits in people.items():
        if len(traits["birth_date"]) > 1 or {"M", "F"} <= traits["sex"]:
            identity.studies.update(dict.fromkeys(studies_of[person], DropReason.PATIENT_CONFLICT))
    for series_uid, _n in ledger.query(
        "SELECT series_uid, count(DISTINCT study_uid) AS n FROM file "
        "WHERE kind <> 'dropped' AND series_uid IS NOT NULL GROUP BY series_uid HAVING n > 1"
    ):
        shared = [
            uid for (uid,) in ledger.query("SELECT DISTINCT study_uid FROM file WHERE series_uid = ?", (series_uid,))
        ]
        if len({person for uid in shared for person in claimants.get(uid, ())}) > 1:
            identity.studies.update(dict.fromkeys((uid for uid in shared if uid), DropReason.PATIENT_CONFLICT))


def _find_tests(facts: StudyFacts, identity: Identity, patterns: Sequence[str]) -> None:
    compiled = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    for study_uid, headers in facts.items():
        # DICOM separates name parts by ^, ids use _ and digits: neither is a word boundary for a reader.
        words = [re.sub(r"[\^_=]+", " ", text) for h in headers for text in (h["name"] or "", h["patient_id"])]
        if study_uid not in identity.studies and any(pattern.search(text) for pattern in compiled for text in words):
            identity.studies[study_uid] = DropReason.TEST_DATA


def _find_copies(ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms, identity: Identity) -> None:
    """Files of different series that share an instance UID: identical ones leave one, different ones leave none.

    Copies within one series are `volumes.stacks`' business: it compares their places too.
    """
    groups: dict[str, list[FileRow]] = defaultdict(list)
    for row in ledger.files(
        "kind = 'image' AND sop_uid IN (SELECT sop_uid FROM file WHERE kind = 'image' AND sop_uid IS NOT NULL "
        "GROUP BY sop_uid HAVING count(DISTINCT study_uid || ' ' || series_uid) > 1)"
    ):
        if row.ref.name not in identity.files:
            groups[str(row.sop_uid)].append(row)
    groups = {uid: rows for uid, rows in groups.items() if len(rows) > 1}
    digests = _digests([row.ref for rows in groups.values() for row in rows], ledger, executor, pseudonyms)
    for rows in groups.values():
        first, *rest = rows  # in order of name
        # The header may differ where a copy went through another system; the pixels decide.
        if len({digests.get(row.ref.name) for row in rows}) == 1 and digests.get(first.ref.name):
            identity.files.update({row.ref.name: DropReason.DUPLICATE_FILE for row in rest})
        else:
            identity.files.update({row.ref.name: DropReason.UID_COLLISION for row in rows})


def _digests(refs: Sequence[FileRef], ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms) -> dict[str, str]:
    known = {ref.name: digest for ref in refs if (digest := ledger.content(ref.name))}
    unknown = [ref for ref in refs if ref.name not in known]
    chunks = [unknown[start : start + CHUNK_FILES] for start in range(0, len(unknown), CHUNK_FILES)]
    tasks = [(pseudonyms.of("file", chunk[0].name), chunk) for chunk in chunks]
    for _key, outcome in executor.run(digest_chunk, tasks):
        if not isinstance(outcome, Failure):
            ledger.set_content(outcome)
            known.update(outcome)
    return known


def digest_chunk(refs: Iterable[FileRef]) -> dict[str, str]:
    """File name -> SHA-256 of the pixels, "" where they cannot be had; runs in a worker."""
    return {ref.name: digest for ref in refs if (digest := pixel_digest(ref))}


def pixel_digest(ref: FileRef) -> str:
    """SHA-256 of the stored pixel values of a file, "" where they cannot be decoded."""
    from volumes.decode import read_slice
    from volumes.errors import VolumeError
    from volumes.index import read_instance

    instance = read_instance(ref)
    if isinstance(instance, FileDrop):
        return ""
    digest = hashlib.sha256()
    try:
        for frame in range(instance.number_of_frames):
            stored = read_slice(instance, frame).stored
            digest.update(f"{stored.shape}".encode() + stored.astype("<i4").tobytes())
    except VolumeError:
        return ""
    return digest.hexdigest()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
