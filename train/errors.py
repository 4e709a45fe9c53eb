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

from t3dkit.errors import DataError


class TrainError(DataError):
    """Training cannot go on; what was learned so far is on disk."""


class NonFiniteLoss(TrainError):
    """The loss of a step is NaN or infinite.

    Parameters
    ----------
    step : int
        The step, counted from 0.
    pair_ids : sequence of str
        The pairs of the step's batch.
    checkpoint : str
        Name of the last good checkpoint, "" where there is none.
    """

    def __init__(self, step: int, pair_ids: Sequence[str], checkpoint: str) -> None:
        self.step, self.pair_ids, self.checkpoint = step, tuple(pair_ids), checkpoint
        kept = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint was written yet"
        super().__init__(
            f"the loss of step {step} is not finite; {kept}. Pairs of the batch: {', '.join(self.pair_ids)}. "
            "Look at them in the audit, or lower loop.learning_rate"
        )

    def __reduce__(self) -> tuple[type, tuple[int, Sequence[str], str]]:
        return type(self), (self.step, self.pair_ids, self.checkpoint)  # as pickled between processes


class UnreadableVolume(TrainError):
    """A volume of the data set cannot be read; it is never replaced by another patient's."""

    def __init__(self, volume_id: str, why: str) -> None:
        self.volume_id, self.why = volume_id, why
        super().__init__(f"volume {volume_id} cannot be read: {why}. Run `python -m curation verify` on the data set")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.volume_id, self.why)


class DamagedCheckpoint(TrainError):
    """Every checkpoint of the run is damaged or missing."""
