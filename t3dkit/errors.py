"""Errors that end a program, and the exit code each one means.

    ProgramError
    ├── DataError      exit 1   the input or a data set is at fault
    │   ├── ContractError       a manifest, table or file of a data set lies
    │   └── InternalError       a bug of ours, reported without the values that might identify anyone
    └── ConfigError    exit 2   usage, paths or configuration; raised before any work is done

A message says what was expected, what was found, where, and what to do. It never holds report text, names,
UIDs, accession numbers or source paths other than those the user typed.
"""

from __future__ import annotations


class ProgramError(Exception):
    """Base of every error that ends a program with a message instead of a traceback."""

    exit_code = 1


class DataError(ProgramError):
    """The data is at fault."""

    exit_code = 1


class ContractError(DataError):
    """A data set, checkpoint or manifest does not hold what it promises."""


class InternalError(DataError):
    """Something failed that should not; the cause is named by type and place only."""


class ConfigError(ProgramError):
    """Usage or configuration is at fault; nothing was done."""

    exit_code = 2
