"""Errors of `curation`; all of them end the program with a message (see `t3dkit.errors`).

DataError
├── BusyError         another run holds the data set
├── LedgerError       the resumable state is damaged or belongs to other input
└── StageError        a stage failed in a way that is a bug of ours: type and place only
ContractError         a data set lies (raised by `verify` and the readers)
ConfigError           usage or configuration
"""

from __future__ import annotations

from t3dkit.errors import DataError, InternalError


class BusyError(DataError):
    """Another run is at work on the same data set."""


class LedgerError(DataError):
    """The ledger cannot be read, or was made by a newer program or under another key."""


class StageError(InternalError):
    """A stage raised something that it should not; the message holds type and place only."""
