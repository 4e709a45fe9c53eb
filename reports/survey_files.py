"""The three files of a survey: a table, a page to read, a profile to edit.

Enters: a `Survey`. Leaves: rows, HTML that needs no other file, TOML that `read_profile` reads. Refuses: to drop text
on its own: what may be boilerplate is proposed in comments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from reports.profiles import KINDS, Profile
from reports.survey import UNMATCHED, Survey

PAGE_LIMIT = 100
"""Lines of a list on the page."""
ITEMS = pa.schema(
    [
        ("kind", pa.string()),  # heading, section, unlocated, unknown_word, repeated, duplicate
        ("item", pa.string()),
        ("n_reports", pa.int64()),
        ("detail", pa.string()),  # what a heading is taken for, where a word stands
        ("suggestion", pa.string()),
    ]
)


def item_rows(survey: Survey) -> list[dict[str, Any]]:
    """Every line of every list."""
    rows = [_row("heading", one.words, one.n_reports, one.kind, one.suggestion) for one in survey.headings]
    rows += [_row("section", name, n) for name, n in survey.coverage]
    rows += [_row("unlocated", text, n) for text, n in survey.unlocated]
    rows += [_row("unknown_word", word, n, place) for word, n, place in survey.unknown_words]
    rows += [_row("repeated", text, n) for text, n in survey.repeated]
    return rows + [_row("duplicate", name, n) for name, n in survey.duplicates]


def _row(kind: str, item: str, n_reports: int, detail: str = "", suggestion: str = "") -> dict[str, Any]:
    return {"kind": kind, "item": item, "n_reports": n_reports, "detail": detail, "suggestion": suggestion}


def survey_page(survey: Survey) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(loader=PackageLoader("reports", "templates"), autoescape=True, undefined=StrictUndefined)
    return made.get_template("profile.html").render(survey=survey, limit=PAGE_LIMIT, percent=_percent) + "\n"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def profile_text(survey: Survey, profile: Profile) -> str:
    """A profile that keeps what `profile` has, adds the suggested headings and lists the rest as comments."""
    aliases: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for alias, kind in profile.headings.items():
        aliases[kind].append(alias)
    unmatched = [one for one in survey.headings if one.kind == UNMATCHED]
    counts = {one.words: one.n_reports for one in unmatched}
    for one in unmatched:
        if one.suggestion and one.words not in aliases[one.suggestion]:
            aliases[one.suggestion].append(one.words)
    lines = [
        "# What this institution writes; read by `python -m reports parse --profile`.",
        "# Check every line: the headings below were proposed by likeness.",
        "[headings]",
    ]
    lines += [f"{kind} = {_texts(sorted(names), counts)}" for kind, names in aliases.items() if names]
    lines += [f"# {one.n_reports} reports: {_quoted(one.words)}" for one in unmatched if not one.suggestion]
    lines += ["", "[text]", f"boilerplate = {_texts(sorted(profile.boilerplate), {})}"]
    lines += [f"# {n} reports: {_quoted(text)}" for text, n in survey.repeated]
    return "\n".join([*lines, f"signature = {_texts(profile.signature, {})}", ""])


def _texts(texts: Any, counts: Mapping[str, int]) -> str:
    """A TOML array, one text a line where counts stand beside them."""
    if not any(text in counts for text in texts):
        return "[" + ", ".join(map(_quoted, texts)) + "]"
    lines = [f"  {_quoted(text)},{_comment(counts.get(text))}" for text in texts]
    return "\n".join(["[", *lines, "]"])


def _comment(count: int | None) -> str:
    return f"  # {count} reports" if count else ""


def _quoted(text: str) -> str:
    """A TOML basic string on one line."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False).replace("\x7f", "")
