"""The page that a benchmark makes.

Enters: its text. Leaves: the text on the terminal, and in a file where one is asked for. Refuses: nothing.
"""

from __future__ import annotations

from pathlib import Path

from t3dkit.atomic import write_text


def publish(text: str, out: Path | None) -> None:
    """Print a page, and write it to `out`."""
    print(text)
    if out:
        write_text(out, text)
