"""Rewrites the pages that are made from code, so that they cannot go stale: reasons and configurations.

``python -m docs.make`` writes them, ``--check`` exits 1 where one on disk differs.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from curation.codes import ROOMS
from curation.config import default_toml
from train.config import SCALES, as_table, flat, load_config, preset_names

HERE = Path(__file__).parent
HEAD = ("| key | cpu | gpu | what it is |", "| --- | --- | --- | --- |")


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


def train_configuration_page() -> str:
    """Every key of a training run: its default at either scale and the comment beside it in `train.config`."""
    cpu, gpu = (load_config(scale=scale) for scale in SCALES)
    methods = ", ".join(f"`{name}`" for name in preset_names() if name not in SCALES)
    lines = [
        "# Configuration of a training run",
        "",
        f"A scale (`cpu`, `gpu`) under a method ({methods}).",
        "`--config` takes one of them or a TOML file, which may name `scale` and `method` and overrides single keys;",
        "`--method NAME` and `--set loop.steps=1000` override both. `train evaluate --set` takes keys of `evaluate`.",
        "`train baselines` sets `evaluate.segment_fractions=[0.01, 0.1, 1.0]`, `evaluate.segment_compare=false` unless",
        "told otherwise; with other keys of `evaluate` a grid is measured again, and nothing trained again.",
        "",
        "The values below are those of method `t3d`; `train/presets/` holds what each other method changes. An empty",
        "cell is the value of `cpu`. This page is written by `make docs`.",
    ]
    for section in (one for one in fields(cpu) if one.name not in ("method", "scale")):
        small, large = (flat(as_table(getattr(config, section.name))) for config in (cpu, gpu))
        kind = type(getattr(cpu, section.name))
        lines += [
            "",
            f"## {section.name}",
            "",
            str(kind.__doc__).strip(),
            "",
            "| key | cpu | gpu | |",
            "| --- | --- | --- | --- |",
        ]
        said = _comments(kind)
        for key, value in small.items():
            other = "" if large[key] == value else f"`{json.dumps(large[key])}`"
            lines.append(f"| `{section.name}.{key}` | `{json.dumps(value)}` | {other} | {said[key]} |")
    return "\n".join(lines) + "\n"


def _comments(kind: type[Any]) -> dict[str, str]:
    """Key -> the comment before or behind it in the source of a record."""
    source = inspect.getsource(kind).splitlines()
    entries = [node for node in ast.parse("\n".join(source)).body[0].body if isinstance(node, ast.AnnAssign)]  # type: ignore[attr-defined]
    said = {}
    for node in entries:
        above = source[node.lineno - 2].strip()
        behind = source[node.end_lineno - 1].partition("  # ")[2]  # type: ignore[operator]
        said[ast.unparse(node.target)] = behind or (above[2:] if above.startswith("# ") else "")
    return said


PAGES = {
    "reasons.md": reasons_page,
    "configuration.md": configuration_page,
    "train_configuration.md": train_configuration_page,
}


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
