"""Progress on stderr: a live bar on a terminal, plain lines elsewhere.

Enters: counts. Leaves: text on stderr. Never shows an item's name, since names may identify.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Self

PLAIN_INTERVAL_S = 10.0


class Task:
    """One bar: how far a job is, with named counts beside it."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self.name, self.total, self.done = name, total, 0
        self.counts: Counter[str] = Counter()
        self.note = ""
        self._progress = progress
        self._started = time.monotonic()
        self._said = self._started
        self._bar: Any = None

    def advance(self, n: int = 1, *, note: str = "", **counts: int) -> None:
        """Count `n` items done and add to the named counts; `note` replaces the text behind the bar."""
        self.done += n
        self.counts.update(counts)
        self.note = note or self.note
        self._progress._shown(self)

    def words(self) -> str:
        """The named counts and the note, as text."""
        parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(self.counts.items())]
        return " · ".join(parts + ([self.note] if self.note else []))

    def plain(self) -> str:
        """One plain line: name, how far, rate, time left, counts."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self.done / seconds
        line = f"{self.name}: {self.done:,}" + (f"/{self.total:,}" if self.total is not None else "")
        line += f" ({rate:,.1f}/s" + (
            f", {max(self.total - self.done, 0) / rate:,.0f} s left)" if self.total and rate else ")"
        )
        words = self.words()
        return line + (f"  {words}" if words else "")


class Progress:
    """The progress of a program; a context manager that owns stderr's last line."""

    def __init__(self, stream: IO[str] | None = None, *, quiet: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self._live: Any = None
        if not quiet and self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars
            from rich.table import Column
            from rich.text import Text

            class Words(TextColumn):
                """The text behind the bar: on a narrow terminal it is what gets cut, not the time that is left."""

                def render(self, task: Any) -> Text:
                    text = super().render(task)
                    text.no_wrap, text.overflow = True, "ellipsis"
                    return text

            console = Console(file=self.stream, stderr=True)
            self._live = Bars(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=max(8, min(30, console.width // 6))),
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TimeElapsedColumn(table_column=Column(no_wrap=True)),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                Words("{task.fields[words]}", markup=False, table_column=Column()),
                console=console,
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """Show a job of `total` items (None: unknown) while the block runs."""
        task = Task(self, name, total)
        if self._live:
            task._bar = self._live.add_task(name, total=total, words="")
        try:
            yield task
        finally:
            if self._live:
                self._live.update(task._bar, completed=task.done, words=task.words())
            elif not self.quiet:
                self.say(task.plain())

    def say(self, line: str) -> None:
        """One line for the person at the terminal."""
        if self._live:
            self._live.console.print(line, markup=False, highlight=False)
        elif not self.quiet:
            print(line, file=self.stream, flush=True)

    def _shown(self, task: Task) -> None:
        if self._live:
            self._live.update(task._bar, completed=task.done, words=task.words())
        elif not self.quiet and time.monotonic() - task._said >= PLAIN_INTERVAL_S:
            task._said = time.monotonic()
            self.say(task.plain())
