"""Errors of `reports`.

    ReportError            ends as ReportDrop(reason, detail), in one function
    ├── SourceError        a file, row or message cannot be read
    └── MarkupError        markup or an attachment hides the text

A source that cannot be used at all (no such file, no usable column) is a `t3dkit.errors.ConfigError` instead.
"""

from __future__ import annotations

from t3dkit.verdict import VerdictError


class ReportError(VerdictError):
    """One row, message or file is at fault; it is dropped and the run goes on."""


class SourceError(ReportError):
    """A file, row or message cannot be read."""


class MarkupError(ReportError):
    """Markup or an attachment hides the text."""
