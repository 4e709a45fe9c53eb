"""UIDs for images that have none, where it is plain which images belong together.

Enters: all instances of a source, some with empty UIDs. Leaves: instances whose UIDs are filled, each with a repair,
and a drop (NO_UID) for every instance of which it cannot be told. Refuses: to bind what only a folder binds. Files that
lack a UID must agree on patient, study and frame of reference, or the drop stays.

A UID comes from a neighbour where there is exactly one that fits, else from a digest of what binds the images, as
``2.25.`` and a number (DICOM PS3.5 B.2). The same source gives the same UIDs, in any order of files.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from t3dkit.verdict import Repair
from volumes.errors import VolumeError
from volumes.reasons import DropReason, RepairCode
from volumes.records import FileDrop, Instance
from volumes.sources import read_bytes


def fill_uids(instances: Sequence[Instance]) -> tuple[list[Instance], list[FileDrop]]:
    """`instances` with every UID filled, and those for which that cannot be done.

    Returns
    -------
    kept : list of Instance
        In the order given; those that had all UIDs are unchanged.
    dropped : list of FileDrop
        NO_UID, or what reading a file met.
    """
    if all(_is_complete(item) for item in instances):
        return list(instances), []
    by_folder: dict[str, list[Instance]] = defaultdict(list)
    for item in instances:
        by_folder[_folder(item)].append(item)
    filled: dict[str, Instance | FileDrop] = {}
    for folder in sorted(by_folder):
        for group in _alike([item for item in by_folder[folder] if not item.series_instance_uid]):
            uid, how = _series_uid(group, by_folder[folder])
            for item in group:
                filled[item.file.name] = _with(item, how, series_instance_uid=uid) if uid else _drop(item, how)
    items = [_settled(item, filled) for item in instances]
    studies = _studies_of([item for item in items if isinstance(item, Instance)])
    answers = [_finish(item, studies) if isinstance(item, Instance) else item for item in items]
    kept = [item for item in answers if isinstance(item, Instance)]
    return kept, [item for item in answers if isinstance(item, FileDrop)]


def _is_complete(item: Instance) -> bool:
    return bool(item.sop_instance_uid and item.series_instance_uid and item.study_instance_uid)


def _folder(item: Instance) -> str:
    return str(PurePosixPath(item.file.name).parent)


def _settled(item: Instance, filled: dict[str, Instance | FileDrop]) -> Instance | FileDrop:
    return item if item.series_instance_uid else filled[item.file.name]


def _drop(item: Instance, detail: str) -> FileDrop:
    return FileDrop(item.file, DropReason.NO_UID, detail, item.series_instance_uid)


def _with(item: Instance, how: str, **uids: str) -> Instance:
    repair = Repair(RepairCode.UID_SYNTHESISED, f"{_keyword(next(iter(uids)))} {how}")
    return replace(item, **uids, repairs=(*item.repairs, repair))  # type: ignore[arg-type]


def _keyword(field: str) -> str:
    return {"series": "SeriesInstanceUID", "study": "StudyInstanceUID", "sop": "SOPInstanceUID"}[field.split("_")[0]]


# ------------------------------------------------------------------------------------------------------- series


def _person(item: Instance) -> tuple[Hashable, ...]:
    """What must be the same for all images of one study."""
    return (item.patient_key, item.patient_birth_date, item.patient_sex, item.study_date, item.study_time)


def _binding(item: Instance) -> tuple[Hashable, ...]:
    """What must be the same for all images of one series."""
    return (
        *_person(item),
        item.study_instance_uid,
        item.accession_number,
        item.frame_of_reference_uid,
        item.kind,
        item.modality,
        item.series_number,
        item.series_description,
    )


def _alike(items: Sequence[Instance]) -> list[list[Instance]]:
    groups: dict[tuple[Hashable, ...], list[Instance]] = defaultdict(list)
    for item in items:
        groups[_binding(item)].append(item)
    return [groups[key] for key in sorted(groups, key=str)]


def _series_uid(group: Sequence[Instance], folder: Sequence[Instance]) -> tuple[str, str]:
    """The UID for a group without one, and how it was found; an empty UID, and why it cannot be."""
    head = group[0]
    if len({_person(item) for item in folder if not item.series_instance_uid}) > 1:
        return "", "SeriesInstanceUID is absent and the folder mixes patients or studies"
    neighbours = {item.series_instance_uid for item in folder if item.series_instance_uid and _fits(item, head)}
    if len(neighbours) == 1:
        return neighbours.pop(), "taken from the other images of the folder"
    if neighbours:
        return "", "SeriesInstanceUID is absent and several series of the folder may be meant"
    if not head.frame_of_reference_uid and head.series_number is None:
        return "", "SeriesInstanceUID is absent, and neither FrameOfReferenceUID nor SeriesNumber binds the images"
    return _uid("series", _folder(head), *_binding(head)), "made from folder and series attributes"


def _fits(item: Instance, head: Instance) -> bool:
    """Whether an image that has its UIDs may be of the same series as `head`."""
    mine, other = _binding(head), _binding(item)
    study = len(_person(head))
    return mine[:study] == other[:study] and mine[study + 1 :] == other[study + 1 :]


# -------------------------------------------------------------------------------------------- study and instance


def _studies_of(items: Sequence[Instance]) -> dict[str, set[str]]:
    """SeriesInstanceUID -> the StudyInstanceUIDs that its images name."""
    studies: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if item.study_instance_uid:
            studies[item.series_instance_uid].add(item.study_instance_uid)
    return studies


def _finish(item: Instance, studies: dict[str, set[str]]) -> Instance | FileDrop:
    if not item.study_instance_uid:
        known = studies.get(item.series_instance_uid, set())
        if len(known) > 1:
            return _drop(item, "StudyInstanceUID is absent and the series names several")
        if known:
            item = _with(item, "taken from the other images of the series", study_instance_uid=next(iter(known)))
        elif any(item.patient_key) and item.study_date and (item.study_time or item.accession_number):
            uid = _uid("study", *_person(item), item.accession_number)
            item = _with(item, "made from study attributes", study_instance_uid=uid)
        else:
            uid = _uid("study", item.series_instance_uid)
            item = _with(item, "made from SeriesInstanceUID", study_instance_uid=uid)
    return name_instance(item)


def name_instance(item: Instance) -> Instance | FileDrop:
    """`item` with a SOPInstanceUID made from the file's content where it has none; a drop where that cannot be read."""
    if item.sop_instance_uid:
        return item
    try:
        content = hashlib.sha256(read_bytes(item.file)).hexdigest()
    except VolumeError as error:
        return FileDrop(item.file, error.reason, error.detail, item.series_instance_uid)
    return _with(item, "made from the file's content", sop_instance_uid=_uid("instance", content))


def _uid(*parts: Hashable) -> str:
    """A UID from a digest of `parts`: 128 bits under the root for UUIDs."""
    digest = hashlib.sha256("\x1f".join(map(repr, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
