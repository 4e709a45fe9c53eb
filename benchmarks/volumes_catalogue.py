"""What becomes of the fault catalogue: every row of sections A, D, E and F, three times, and series without a fault.

``python -m benchmarks.volumes_catalogue [--clean N] [--out docs/volumes_catalogue.md]``

The generators and the oracle are those of the tests (tests/volumes/catalogue*.py). Exit 1 where anything is silently
wrong or lost, where fewer than 95 % of what must come out right does, or where more than 0.5 % of the harmless series
are dropped.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.pages import publish

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"A": "files, containers, media", "D": "geometry", "E": "intensity", "F": "composition of a series"}
COLUMNS = ("right", "false drop", "other reason", "not said", "silently wrong", "silently lost")
MIN_RIGHT, MAX_FALSE_DROPS = 0.95, 0.005

HEADER = """# The fault catalogue, measured

Written by `python -m benchmarks.volumes_catalogue --out docs/volumes_catalogue.md` on {date} ({machine}). Every row of
sections A, D, E and F of the fault catalogue is a generated export; it is converted (`--spacing native` unless the row
is about resampling) and judged voxel by voxel at each voxel's own world position, three seeds each.

- **right**: every volume that should come out does, within 0.8 HU (2 HU resampled, away from edges; curved phantoms by
  what linear sampling costs), with the repair or flag codes that say what was done; every file that should be dropped
  is, with the reason that it should have.
- **false drop**: a volume that should come out was dropped, with a reason. **other reason**: dropped rightly, under
  another name. **not said**: right, without its code.
- **silently wrong**: a volume was kept that is not what it should be. **silently lost**: something is neither kept nor
  dropped.

"""


def load() -> Any:
    """The catalogue of the tests with all sections registered."""
    sys.path.insert(0, str(ROOT / "tests" / "volumes"))
    catalogue = importlib.import_module("fault_rows")
    for section in ("files", "geometry", "intensity", "series", "clean"):
        importlib.import_module(f"fault_rows_{section}")
    return catalogue


def count(catalogue: Any, cases: Iterable[Any], seeds: Iterable[int]) -> tuple[Counter[str], list[str]]:
    """Outcomes of all cases, and a line for each that is not right."""
    outcomes: Counter[str] = Counter()
    lines = []
    for one in cases:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as scratch:
                result = catalogue.run_case(one, Path(scratch), seed)
            outcomes[str(result.outcome)] += 1
            if result.outcome != catalogue.Outcome.RIGHT:
                lines.append(f"- {one.label}, seed {seed}: {result.outcome}; {result.detail}")
    return outcomes, lines


def measure(n_clean: int) -> tuple[str, int]:
    """The page and the exit code."""
    catalogue = load()
    clean = importlib.import_module("fault_rows_clean")
    not_yet = importlib.import_module("test_volumes_catalogue").NOT_YET
    table: list[str] = []
    lines: list[str] = []
    total: Counter[str] = Counter()
    for section, title in TITLES.items():
        cases = [one for one in catalogue.CASES if one.row.startswith(section)]
        found, wrong = count(catalogue, cases, catalogue.SEEDS)
        n_rows = len({one.row for one in cases})
        table.append(_row(f"{section}: {title}", f"{n_rows} rows, {len(cases)} cases", found))
        total += found
        lines += wrong
    found, wrong = count(catalogue, [clean.CLEAN], range(1000, 1000 + n_clean))
    odd, more = count(catalogue, [clean.ODD], range(2000, 2000 + n_clean))
    table += [_row("clean series", "", found), _row("odd but harmless series", "", odd)]
    lines += wrong + more
    page = HEADER.format(date=f"{datetime.now(UTC):%Y-%m-%d}", machine=f"{platform.machine()}, Linux")
    page += "| what | of | runs | " + " | ".join(COLUMNS) + " |\n" + "| --- " * (len(COLUMNS) + 3) + "|\n"
    page += "\n".join(table) + "\n"
    page += "\n## Rows without a case\n\n" + "\n".join(f"- {row}: {why}" for row, why in sorted(not_yet.items())) + "\n"
    page += "\n## What was not right\n\n" + ("\n".join(lines) if lines else "Nothing.") + "\n"
    harmless = found + odd
    silent = total + harmless
    is_bad = (
        silent["silently wrong"] + silent["silently lost"] > 0
        or total["right"] < MIN_RIGHT * sum(total.values())
        or harmless["false drop"] > MAX_FALSE_DROPS * sum(harmless.values())
    )
    return page, int(is_bad)


def _row(name: str, of: str, found: Counter[str]) -> str:
    numbers = [str(sum(found.values())), *(str(found[column]) for column in COLUMNS)]
    return "| " + " | ".join([name, of, *numbers]) + " |"


def main(words: list[str] | None = None) -> int:
    """Print the page; write it where --out says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=int, default=400, help="series without a fault, and as many odd ones")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words if words is not None else [])
    page, code = measure(arguments.clean)
    publish(page, arguments.out)
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
