"""What is missing from a series, or may be.

Enters: files that could not be read, images that are listed and not there. Leaves: whether the series is held back,
and why. Refuses: to let the rest of a series pass for the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from t3dkit.verdict import Code
from volumes.reasons import DropReason
from volumes.records import FileDrop


@dataclass(frozen=True)
class Gaps:
    """What is known to be missing from a series, or may be.

    Parameters
    ----------
    lost : sequence of FileDrop
        Files that name the series but could not be read. It is then held back whole: a stack that lost its last slice
        looks as regular as one that did not (fault A07).
    n_unread_beside : int
        Files of the same folders that could not be read far enough to know what they are: worth a flag.
    n_missing : int
        Images that a media directory lists and that are not there: the series is held back whole (fault A14).
    """

    lost: Sequence[FileDrop] = ()
    n_unread_beside: int = 0
    n_missing: int = 0

    def refusal(self) -> tuple[Code, str] | None:
        """Why the series is held back, if it is."""
        if self.lost:
            first = min(self.lost, key=lambda drop: drop.file)
            n = len(self.lost)
            return first.reason, f"{n} file{'s' * (n > 1)} of the series could not be read; the rest is held back"
        if self.n_missing:
            return DropReason.EXPORT_INCOMPLETE, f"the media directory lists {self.n_missing} more images of the series"
        return None
