"""The one door to every source format.

Enters: a file, or a folder of files. Leaves: every row, message or document as a `RawReport` or a `ReportDrop`,
in a stable order. Refuses: a source that does not exist, and a table without a usable text column.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from reports.errors import ReportError
from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.columnar import read_json, read_json_lines, read_parquet
from reports.sources.columns import NoTextColumnError
from reports.sources.delimited import read_delimited
from reports.sources.dicom import read_dicom
from reports.sources.hl7v2 import read_hl7
from reports.sources.plain import read_plain
from reports.sources.workbook import read_workbook
from t3dkit.errors import ConfigError

Items = Iterator[RawReport | ReportDrop]
Columns = Mapping[str, str] | None

_TABLES: dict[str, Callable[[Path, str, Columns], Items]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv"), read_delimited),
    **dict.fromkeys((".xlsx", ".xlsm"), read_workbook),
    **dict.fromkeys((".parquet", ".pq"), read_parquet),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
    ".json": read_json,
    **dict.fromkeys((".hl7", ".oru"), read_hl7),
}
_TEXT_SUFFIXES = (".txt", ".text", ".html", ".htm", ".rtf")
_COMPANIONS = ("license", "licence", "readme", "changelog", "copying", "notice")
_HL7_STARTS = (b"MSH|", b"MSH^", b"FHS|", b"BHS|")


def read_reports(source: Path, *, columns: Columns = None) -> Items:
    """Every report of a source, and everything in it that is none, with the reason.

    Parameters
    ----------
    source : Path
        CSV of any dialect, XLSX, Parquet, JSON lines, HL7 v2, FHIR JSON, DICOM SR, text, HTML or RTF; or a folder
        of these. DICOM images in a folder are passed over: `volumes` accounts for them.
    columns : mapping, optional
        Field of `RawReport` (or ``text``) -> column, where names do not tell; for HL7 a place such as ``OBR-18``.

    Yields
    ------
    RawReport or ReportDrop
        `source_key` is the path relative to `source` and the row or message number.

    Raises
    ------
    ConfigError
        `source` does not exist, or no table in it has a usable text column; raised by this call for a file, and
        by the end of the iteration for a folder.
    """
    if not source.exists():
        raise ConfigError(f"reports {str(source)!r} do not exist: give the path of an existing file or folder")
    if source.is_dir():
        return _read_folder(source, columns)
    items = _read_file(source, source.name, columns)
    first = next(items, None)  # a configuration error shows before any work is done
    return chain((first,), items) if first is not None else iter(())


def _read_folder(folder: Path, columns: Columns) -> Items:
    refusal: NoTextColumnError | None = None
    n_reports = 0
    for path in _files(folder):
        key = path.relative_to(folder).as_posix()
        try:
            for item in _read_file(path, key, columns):
                n_reports += isinstance(item, RawReport)
                yield item
        except NoTextColumnError as error:
            refusal = refusal or error
            yield ReportDrop(key, DropReason.NO_TEXT_COLUMN, "no column that could be report text")
    if refusal and not n_reports:
        raise refusal


def _read_file(path: Path, key: str, columns: Columns) -> Items:
    try:
        with path.open("rb") as file:
            start = file.read(256)
        yield from _reader(path, start)(path, key, columns)
    except ReportError as error:
        yield ReportDrop(key, error.reason, error.detail)
    except OSError:
        yield ReportDrop(key, DropReason.READ_ERROR, "the operating system could not read the file")


def _reader(path: Path, start: bytes) -> Callable[[Path, str, Columns], Items]:
    """By content where content tells, else by suffix."""
    suffix = path.suffix.lower()
    if start[128:132] == b"DICM":
        return lambda found, key, _columns: read_dicom(found, key)
    if start.lstrip(b"\x0b\r\n \xef\xbb\xbf").startswith(_HL7_STARTS):
        return read_hl7
    if start.startswith(b"PAR1"):
        return read_parquet
    if suffix in _TABLES:
        return _TABLES[suffix]
    if start.startswith(b"%PDF"):
        return _dropped(DropReason.PDF_SCAN, "a PDF file")
    if suffix in _TEXT_SUFFIXES or start.lstrip().startswith(b"{\\rtf"):
        if path.stem.lower() in _COMPANIONS:
            return _dropped(DropReason.NOT_REPORT, "a licence or readme")
        return lambda found, key, _columns: read_plain(found, key)
    if suffix == ".dcm":  # no DICM mark: volumes says what is wrong with it
        return lambda _path, _key, _columns: iter(())
    shown = f" ({suffix})" if suffix[1:].isalpha() and len(suffix) <= 6 else ""
    return _dropped(DropReason.NOT_REPORT, f"not a report format{shown}")


def _dropped(reason: DropReason, detail: str) -> Callable[[Path, str, Columns], Items]:
    return lambda _path, key, _columns: iter((ReportDrop(key, reason, detail),))


def _files(folder: Path) -> Iterator[Path]:
    """Regular files under `folder`, sorted by path; links out of the tree are not followed."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and path.is_file():
                yield path
