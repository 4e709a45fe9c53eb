"""``python -m volumes``: convert and inspect.

Enters: words. Leaves: an exit code, one JSON summary on stdout, progress and tables on stderr.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t3dkit.command import Command, Program, existing_path, run_program
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from volumes.records import Grid

SPACING_RANGE_MM = (0.1, 20.0)
IDENTIFIERS_NOTE = (
    "note: series.parquet and dropped.parquet hold SeriesInstanceUIDs, descriptions and file paths. "
    "The volumes hold none, in header or name."
)


SOURCE_HELP = "folder, file, zip, tar, DICOMDIR or NIfTI; - for paths on stdin, one a line (or ended by NUL)"


def read_source(word: str) -> Path | tuple[Path, ...]:
    """The path that is meant by SRC, or the paths on stdin when it is ``-``.

    Raises
    ------
    ConfigError
        The path does not exist.
    """
    if word != "-":
        return existing_path(word, what="SRC")
    text = sys.stdin.buffer.read()
    words = text.split(b"\0") if b"\0" in text else text.splitlines()
    return tuple(Path(os.fsdecode(line)) for line in words if line.strip())


def parse_spacing(text: str) -> tuple[float, float, float] | None:
    """``1.5``, ``0.8,0.8,2`` or ``native`` as millimetres along x, y, z; None for native.

    Raises
    ------
    ConfigError
        Anything else.
    """
    if text.strip().lower() == "native":
        return None
    parts = text.split(",")
    low, high = SPACING_RANGE_MM
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(math.isfinite(n) and low <= n <= high for n in numbers):
        raise ConfigError(
            f"--spacing {text!r}: expected one number or three separated by commas, in millimetres from {low:g} to "
            f"{high:g}, or the word native"
        )
    x, y, z = numbers * 3 if len(numbers) == 1 else numbers
    return x, y, z


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help=SOURCE_HELP)
    parser.add_argument("--out", required=True, metavar="OUT", help="output folder; made when missing")
    parser.add_argument(
        "--spacing",
        default="native",
        metavar="1.5|X,Y,Z|native",
        help="voxel size in mm (default: native, the scanner's own)",
    )
    parser.add_argument("--format", choices=("nii", "nii.gz"), default="nii", help="nii can be memory-mapped (default)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads per process (default: processors by processes)"
    )


def _convert(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from volumes.batch import convert_source
    from volumes.overview import told

    source = read_source(arguments.source)
    grid = Grid(spacing_mm=parse_spacing(arguments.spacing))
    out = Path(arguments.out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {arguments.out!r} is a file: give a folder")
    if arguments.workers < 1:
        raise ConfigError(f"--workers {arguments.workers}: expected at least 1")
    if arguments.threads < 0:
        raise ConfigError(f"--threads {arguments.threads}: expected at least 1")
    summary = convert_source(
        source,
        out,
        grid=grid,
        suffix="." + arguments.format,
        workers=arguments.workers,
        threads=arguments.threads,
        progress=progress,
    )
    for line in told(summary, kept="became volumes"):
        progress.say(line)
    progress.say(IDENTIFIERS_NOTE)
    return {"command": "convert", "output": str(out), **summary}


def _inspect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help=SOURCE_HELP)


def _inspect(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from volumes.overview import inspect_source

    source = read_source(arguments.source)
    return {"command": "inspect", **inspect_source(source, progress)}


PROGRAM = Program(
    name="volumes",
    description="DICOM or NIfTI in, NIfTI out: every series right, repaired with provenance, or dropped with why.",
    commands=(
        Command(
            "convert",
            "convert every series under SRC to NIfTI",
            _convert_arguments,
            _convert,
            "Convert every CT and MR series, and CT that is NIfTI already, under SRC to OUT/volumes/*.nii (int16,\n"
            "Hounsfield units, RAS+).\n"
            "OUT/series.parquet says what became of each series, OUT/dropped.parquet what was dropped and why.\n\n"
            "example:\n"
            "  python -m volumes convert export/ --out converted/\n"
            "  python -m volumes convert export.zip --out converted/ --spacing 1.5 --format nii.gz --workers 4\n"
            "  find /pacs -name '*.dcm' -print0 | python -m volumes convert - --out converted/",
        ),
        Command(
            "inspect",
            "show what is under SRC; writes nothing",
            _inspect_arguments,
            _inspect,
            "Show every series under SRC: its geometry, whether it can become a volume, its rank within its study\n"
            "and the reasons. Pixels are not converted and nothing is written.\n\n"
            "example:\n"
            "  python -m volumes inspect export/",
        ),
    ),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; answers its exit code."""
    return run_program(PROGRAM, words)


if __name__ == "__main__":
    raise SystemExit(main())
