"""Errors of `reports`.

    ReportError            ends as ReportDrop(reason, detail), in one function
    ├── SourceError        a file, row or message cannot be read
    └── MarkupError        markup or an attachment hides the text

A source that cannot be used at all (no such file, no usable column) is a `t3dkit.errors.ConfigError` instead.
"""

from __future__ import annotations

from t3dkit.verdict import Code, Dropped


class ReportError(Exception):
    """One row, message or file is at fault; it is dropped and the run goes on."""

    def __init__(self, reason: Code, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail

    def dropped(self) -> Dropped:
        """The verdict this error stands for."""
        return Dropped(self.reason, self.detail)

    def __reduce__(self) -> tuple[type, tuple[Code, str]]:
        return type(self), (self.reason, self.detail)  # so that it survives a trip between processes


class SourceError(ReportError):
    """A file, row or message cannot be read."""


class MarkupError(ReportError):
    """Markup or an attachment hides the text."""
