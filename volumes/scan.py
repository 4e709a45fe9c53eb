"""What is in a source: every file read or dropped, every image in its series.

Enters: a folder, file or archive. Leaves: series of instances, and the files that are none. Refuses: to lose a file:
each is an instance of a series or a drop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from t3dkit.errors import DataError
from t3dkit.progress import Progress
from volumes.records import FileDrop, Instance


@dataclass(frozen=True)
class Scan:
    """Everything found under a source.

    Parameters
    ----------
    series : tuple of tuple of Instance
        Sorted by study, series and, where the UID is missing, folder.
    dropped : tuple of FileDrop
    """

    series: tuple[tuple[Instance, ...], ...]
    dropped: tuple[FileDrop, ...]

    @property
    def n_files(self) -> int:
        """Files found; the sum of those that are kept and those that are dropped."""
        return sum(len(instances) for instances in self.series) + len(self.dropped)

    def lost_of(self, series_instance_uid: str) -> tuple[FileDrop, ...]:
        """Files that name a series but could not be read."""
        if not series_instance_uid:
            return ()
        return tuple(drop for drop in self.dropped if drop.series_instance_uid == series_instance_uid)


def scan_source(source: Path, progress: Progress) -> Scan:
    """Read the header of every file under `source`.

    Raises
    ------
    DataError
        There is no file at all.
    """
    from volumes.index import read_instance
    from volumes.missing_uids import fill_uids
    from volumes.sources import iter_files

    instances: list[Instance] = []
    dropped: list[FileDrop] = []
    with progress.task("reading headers") as task:
        for found in iter_files(source):
            answer = found if isinstance(found, FileDrop) else read_instance(found, may_lack_uids=True)
            if isinstance(answer, FileDrop):
                dropped.append(answer)
                task.advance(1, dropped=1)
            else:
                instances.append(answer)
                task.advance(1, DICOM=1)
    instances, without_uid = fill_uids(instances)
    dropped += without_uid
    if not instances and not dropped:
        raise DataError("the source holds no files: expected a folder, file or archive with DICOM in it")
    return Scan(group_series(instances), tuple(sorted(dropped, key=lambda drop: drop.file)))


def group_series(instances: Sequence[Instance]) -> tuple[tuple[Instance, ...], ...]:
    """Instances by SeriesInstanceUID; where it is missing, by study and folder, since nothing else binds them."""
    groups: dict[tuple[str, str, str], list[Instance]] = defaultdict(list)
    for item in instances:
        folder = "" if item.series_instance_uid else str(PurePosixPath(item.file.name).parent)
        study = "" if item.series_instance_uid else item.study_instance_uid
        groups[item.series_instance_uid, study, folder].append(item)
    ordered = sorted(groups.items(), key=lambda pair: (pair[1][0].study_instance_uid, pair[0]))
    return tuple(tuple(sorted(items, key=lambda item: item.file)) for _, items in ordered)
