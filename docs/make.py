"""Rewrites the pages that are made from code, so that they cannot go stale: reasons and configuration.

``python -m docs.make`` writes them, ``--check`` exits 1 where one on disk differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from curation.codes import ROOMS
from curation.config import default_toml

HERE = Path(__file__).parent


def reasons_page() -> str:
    """Every code of every closed enumeration with its meaning."""
    lines = [
        "# Reasons, repairs and flags",
        "",
        "Every input is kept or dropped, and every drop has one of these reasons; every repair and flag has one of",
        "these codes. The lists are closed: code that wants a new reason adds it here first. This page is written by",
        "`make docs` from the enumerations themselves.",
    ]
    for title, kinds in ROOMS.items():
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", "| code | meaning |", "| --- | --- |"]
        lines += [f"| `{code}` | {code.meaning} |" for kind in kinds for code in kind]
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """The commented default configuration."""
    return (
        "# Configuration of a curation\n\n"
        "One TOML file, given with `--config`. `python -m curation config --print` prints what follows: every key\n"
        "with its unit and default. An unknown key is an error that names the nearest known one. This page is\n"
        "written by `make docs`.\n\n"
        f"```toml\n{default_toml().strip()}\n```\n"
    )


PAGES = {"reasons.md": reasons_page, "configuration.md": configuration_page}


def main() -> int:
    """Write or check the pages."""
    stale = [name for name, page in PAGES.items() if not _is_current(HERE / name, page())]
    if "--check" in sys.argv[1:]:
        print(f"stale: {', '.join(stale)}; run `make docs`" if stale else "the pages are current", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (HERE / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}", file=sys.stderr)
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main())
