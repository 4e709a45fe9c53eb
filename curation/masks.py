"""Which masks a user brought for which study, as stamps: so that a new mask redoes its study and no other.

Enters: the folder given as ``--masks``. Leaves: for some keys (UIDs, accession numbers), the sizes and times of the
files they name. `curation.align.masks` reads the masks themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


class MaskStamps:
    """The stamps of a mask folder, read once."""

    def __init__(self, folder: Path | None) -> None:
        self._by_key: dict[str, list[str]] = defaultdict(list)
        for path in sorted(folder.rglob("*")) if folder else ():
            if not path.is_file() or folder is None:
                continue
            top = path.relative_to(folder).parts[0]
            key = top.removesuffix(".gz").removesuffix(".nii") if len(path.relative_to(folder).parts) == 1 else top
            status = path.stat()
            self._by_key[key].append(f"{path.relative_to(folder)}:{status.st_size}:{status.st_mtime_ns}")

    def of(self, keys: Iterable[str]) -> list[str]:
        """Stamps of the masks named by any of `keys`, and of the label table that all share."""
        return [stamp for key in (*keys, "labels.json") for stamp in self._by_key.get(key, ())]
