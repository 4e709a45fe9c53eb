"""Report files: one report per file, named by its accession number.

Enters: a text, HTML or RTF file. Leaves: a report or a drop. Refuses: an empty file. A name without a digit
(``template.html``, ``report.txt``) is no accession number and gives none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.encoding import decode
from reports.sources.markup import plain_text


def read_plain(path: Path, key: str) -> Iterator[RawReport | ReportDrop]:
    """The one report of a text, HTML or RTF file."""
    text = plain_text(decode(path.read_bytes())).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        yield ReportDrop(key, DropReason.EMPTY_TEXT, "the file holds no text")
        return
    stem = path.stem.strip()
    accession = stem if any(letter.isdigit() for letter in stem) else None
    known = (("accession_number", accession),) if accession else ()
    yield RawReport(source_key=key, text=text, accession_number=accession, known_identifiers=known)
