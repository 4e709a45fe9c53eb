"""What a DICOMDIR says should be there.

Enters: a media directory and the instances that were found. Leaves: how many images of each series it lists that were
not found. Refuses: to take the directory for the truth about what is there (fault A15): a series of which nothing was
found, or that the files contradict, says nothing.

References
----------
DICOM PS3.3 F.3 (Basic Directory IOD). Records are taken in the order of the file, which writers keep depth first; a
record that stands elsewhere is noticed because the images found under it then name another series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from volumes.errors import VolumeError
from volumes.headers import read_header
from volumes.records import FileRef, Instance
from volumes.sources import open_file
from volumes.values import Values


def read_directory(ref: FileRef) -> dict[str, frozenset[str]]:
    """SeriesInstanceUID -> SOPInstanceUIDs that the directory lists; empty when it cannot be read."""
    try:
        with open_file(ref) as stream:
            header = read_header(stream)
    except VolumeError:
        return {}
    listed: dict[str, set[str]] = {}
    series = ""
    for record in Values(header.elements, little=header.encoding.little).items("DirectoryRecordSequence"):
        kind = record.text("DirectoryRecordType")
        if kind in ("PATIENT", "STUDY"):
            series = ""
        elif kind == "SERIES":
            series = record.uid("SeriesInstanceUID")
        elif kind == "IMAGE" and series:
            listed.setdefault(series, set()).add(record.uid("ReferencedSOPInstanceUIDInFile"))
    return {uid: frozenset(instances - {""}) for uid, instances in listed.items()}


def count_missing(directories: Iterable[dict[str, frozenset[str]]], instances: Sequence[Instance]) -> dict[str, int]:
    """SeriesInstanceUID -> number of listed images that were not found, where some were found and none contradicts."""
    series_of = {item.sop_instance_uid: item.series_instance_uid for item in instances}
    missing: dict[str, int] = {}
    for directory in directories:
        for uid, listed in directory.items():
            found = listed & series_of.keys()
            if found and found != listed and all(series_of[instance] == uid for instance in found):
                missing[uid] = max(missing.get(uid, 0), len(listed) - len(found))
    return missing
