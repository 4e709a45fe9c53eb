"""Searches text and bytes for any of many identifiers at once.

Enters: the identifiers of a batch; texts, or the bytes of a file. Leaves: the kinds of identifiers found. Refuses to
say which identifier it found, or in which words.

Text is compared token by token (compatibility forms folded, case ignored, invisible characters removed), so that the
cost grows with the text and not with the number of identifiers. Bytes are compared through the first eight of each
identifier.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MIN_DIGITS = 5
"""An identifier of fewer digits and no letters occurs by chance (sizes, counts, years)."""
_PREFIX = 8
_NOT_TELLING = frozenset(
    {
        "PatientSex",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "EthnicGroup",
        "InstitutionalDepartmentName",
        "Manufacturer",
        "ManufacturerModelName",
        "SoftwareVersions",
        "ProtocolName",
    }
)
"""Kinds whose values are shared by many or are words of every report."""
_NAMES = ("Name", "Physician", "patient_name", "name")


def searched_identifiers(query: Callable[[str], Iterable[tuple[Any, ...]]]) -> Iterator[tuple[str, str]]:
    """(kind, value) of everything in the ledger that must not occur in the data set; `query` runs SQL on it."""
    yield from query("SELECT DISTINCT kind, value FROM identifier ORDER BY kind, value")
    for column, kind in (
        ("study_uid", "StudyInstanceUID"),
        ("series_uid", "SeriesInstanceUID"),
        ("sop_uid", "SOPInstanceUID"),
    ):
        # The column names are literals of this line.
        for (value,) in query(f"SELECT DISTINCT {column} FROM file WHERE {column} IS NOT NULL"):  # noqa: S608
            yield kind, value


class Matcher:
    """A set of identifiers, ready to be searched for.

    Parameters
    ----------
    identifiers : iterable of (kind, value)
    min_chars : int
        Shorter values are not searched for; `n_skipped` counts them.
    """

    def __init__(self, identifiers: Iterable[tuple[str, str]], *, min_chars: int = 4) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        self._by_prefix: dict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        self.n_searched = self.n_skipped = 0
        for kind, value in sorted(set(identifiers)):
            words = tuple(tokens(value))
            if kind in _NOT_TELLING or not _is_telling(words, min_chars):
                self.n_skipped += 1
                continue
            self.n_searched += 1
            for form in _forms(kind, words):
                self._by_first[form[0]].append((form, kind))
            for raw in {value.strip().encode(), value.strip().upper().encode(), value.strip().lower().encode()}:
                if len(raw) >= _PREFIX:
                    self._by_prefix[raw[:_PREFIX]].append((raw, kind))
        self._bloom = self._make_bloom()

    def in_text(self, text: str) -> set[str]:
        """Kinds of the identifiers that occur in `text` as whole words."""
        words = tokens(text)
        found: set[str] = set()
        for place, word in enumerate(words):
            for form, kind in self._by_first.get(word, ()):
                if tuple(words[place : place + len(form)]) == form:
                    found.add(kind)
        return found

    def in_bytes(self, raw: bytes) -> set[str]:
        """Kinds of the identifiers of at least eight bytes that occur anywhere in `raw`."""
        found: set[str] = set()
        if not self._by_prefix:
            return found
        for start in range(min(_PREFIX, max(len(raw) - _PREFIX + 1, 0))):
            n = (len(raw) - start) // _PREFIX
            grams = np.frombuffer(raw, dtype="<u8", count=n, offset=start)
            for index in np.flatnonzero(self._bloom[_hashed(grams)]):
                at = start + int(index) * _PREFIX
                for whole, kind in self._by_prefix.get(raw[at : at + _PREFIX], ()):
                    if raw.startswith(whole, at):
                        found.add(kind)
        return found

    def _make_bloom(self) -> np.ndarray:
        bloom = np.zeros(1 << 16, dtype=bool)
        if self._by_prefix:
            bloom[_hashed(np.frombuffer(b"".join(self._by_prefix), dtype="<u8"))] = True
        return bloom


def kinds_in_file(path: Path, matcher: Matcher, *, is_spelling: bool) -> set[str]:
    """Kinds of the identifiers that occur in a file: text, Parquet (decompressed) or NIfTI.

    Parameters
    ----------
    is_spelling : bool
        Whether voxels can spell printable characters: int16 values in HU cannot, and are not searched.
    """
    found: set[str] = set()
    if path.suffix == ".parquet":
        # Not the file's bytes: its encodings count and index, and 0 to 255 in a row spell 12345678 and abcdefgh.
        texts = list(_texts_of(path))
        found |= matcher.in_bytes("\0".join(texts).encode())
        return found.union(*map(matcher.in_text, texts))
    if path.name.endswith((".nii", ".nii.gz")):
        head_only = not is_spelling or "labels" in path.parts
        try:
            with gzip.open(path) if path.name.endswith(".gz") else open(path, "rb") as file:
                # Voxels that cannot spell anything need no search; `curation.verify` holds them to their range.
                raw = file.read(1024) if head_only else file.read()
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raw = path.read_bytes()  # no gzip: `curation.verify` says so, or that nobody knows the file
        return found | matcher.in_bytes(raw)
    raw = path.read_bytes()
    return found | matcher.in_bytes(raw) | matcher.in_text(raw.decode("utf-8", "replace"))


def _texts_of(path: Path) -> Iterator[str]:
    """Every distinct string in a Parquet file, nested ones and the file's own metadata included."""
    table = pq.read_table(path)
    yield from (raw.decode("utf-8", "replace") for pair in (table.schema.metadata or {}).items() for raw in pair)
    for column in table.columns:
        for chunk in column.chunks:
            yield from _strings(chunk)


def _strings(array: pa.Array) -> Iterator[str]:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        yield from (text for text in array.unique().to_pylist() if text)
    elif pa.types.is_list(array.type):
        yield from _strings(array.flatten())
    elif pa.types.is_struct(array.type):
        for index in range(array.type.num_fields):
            yield from _strings(array.field(index))


def tokens(text: str) -> list[str]:
    """The words and numbers of a text, folded so that look-alikes are equal."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if not folded.isascii():
        folded = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    return re.findall(r"[^\W_]+", folded)


def _is_telling(words: tuple[str, ...], min_chars: int) -> bool:
    joined = "".join(words)
    has_digit = any(letter.isdigit() for letter in joined)
    if joined.isdigit():
        return len(joined) >= max(MIN_DIGITS, min_chars)
    if len(words) == 1:  # one plain word may be anybody's name, or anatomy: the study's own check covers it
        return has_digit and len(joined) >= min_chars
    return len(joined) >= max(MIN_DIGITS, min_chars)


def _forms(kind: str, words: tuple[str, ...]) -> set[tuple[str, ...]]:
    forms = {words}
    if len(words) > 1 and any(letter.isdigit() for word in words for letter in word):
        forms.add(("".join(words),))  # CT-2019-0042 written CT20190042
    if len(words) > 1 and kind.endswith(_NAMES):
        forms |= {(words[1], words[0]), (words[0], words[1])}  # Doe^Jane^M: Jane Doe, Doe, Jane
    return forms


def _hashed(grams: np.ndarray) -> np.ndarray:
    # Multiplicative hashing (Knuth, TAOCP 6.4): the top 16 bits of a product with an odd constant.
    with np.errstate(over="ignore"):
        return (grams * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48)
