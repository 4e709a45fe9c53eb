"""Errors of training, and what each one means for the run.

    ProgramError
    └── DataError                exit 1
        └── TrainError                   the run stops; the last good checkpoint stays
            ├── NonFiniteLoss            the loss is NaN or infinite; names the batch's pair ids
            ├── UnreadableVolume         a volume cannot be read; names its volume id
            └── DamagedCheckpoint        no checkpoint of the run is whole

Pair, volume and sentence ids are pseudonyms and may be shown; sentences may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from t3dkit.errors import DataError


class TrainError(DataError):
    """Training cannot go on; what was learned so far is on disk."""


@dataclass(eq=False)
class NonFiniteLoss(TrainError):
    """The loss of a step is NaN or infinite."""

    step: int  # from 0
    pair_ids: Sequence[str]  # of the step's batch
    checkpoint: str  # name of the last good one, "" where there is none

    def __str__(self) -> str:
        kept = f"the last good checkpoint is {self.checkpoint}" if self.checkpoint else "no checkpoint was written yet"
        return (
            f"the loss of step {self.step} is not finite; {kept}. Pairs of the batch: {', '.join(self.pair_ids)}. "
            "Look at them in the audit, or lower loop.learning_rate"
        )


@dataclass(eq=False)
class UnreadableVolume(TrainError):
    """A volume of the data set cannot be read; it is never replaced by another patient's."""

    volume_id: str
    why: str

    def __str__(self) -> str:
        return f"volume {self.volume_id} cannot be read: {self.why}. Run `python -m curation verify` on the data set"


class DamagedCheckpoint(TrainError):
    """Every checkpoint of the run is damaged or missing."""
