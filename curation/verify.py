"""Proves what a data set promises.

Enters: the folder of a data set, and the private folder beside it where there is one. Leaves: findings, none of which
names what identifies. Refuses: to repair anything.

Each check is a function of the opened data set and answers findings; `CHECKS` lists them.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import contract
from curation.assemble import split_counts
from curation.config import Config
from curation.contract import Dataset, affine_of
from curation.ledger import read_only
from curation.scan import Matcher, kinds_in_file, searched_identifiers
from curation.splits import crossing, split_of, text_key
from t3dkit.errors import ContractError

MAX_SHOWN = 20
"""Findings per check that are listed; the others are counted."""
ASCII_DIGITS = 0x2020
"""int16 values below it cannot spell two printable ASCII characters, so that voxels in HU need no search for text."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """One broken promise."""

    check: str
    item: str
    problem: str

    def __str__(self) -> str:
        return f"{self.check}: {self.item}: {self.problem}" if self.item else f"{self.check}: {self.problem}"


@dataclass(frozen=True)
class Depth:
    """How many volumes are read whole; of the others the header and the size are looked at.

    Parameters
    ----------
    sample : int or None
        So many, drawn by `seed`; None: all.
    """

    sample: int | None = None
    seed: int = 0


EVERYTHING = Depth()


class Opened:
    """A data set with its tables, each read once."""

    def __init__(self, root: Path, *, workers: int = 1, depth: Depth = EVERYTHING) -> None:
        self.data = Dataset.open(root)
        self.root, self.workers, self.depth = root, workers, depth
        self._rows: dict[str, list[Row]] = {}

    @cached_property
    def deep(self) -> frozenset[str]:
        """Paths of the volumes that are read whole."""
        paths = sorted(row["path"] for row in self.rows("volumes"))
        if self.depth.sample is not None and self.depth.sample < len(paths):
            paths = random.Random(self.depth.seed).sample(paths, self.depth.sample)
        return frozenset(paths)

    def rows(self, table: str) -> list[Row]:
        """A table as dictionaries."""
        if table not in self._rows:
            self._rows[table] = self.data.rows(table)
        return self._rows[table]

    def ids(self, table: str, column: str) -> set[Any]:
        """The values of one column."""
        return {row[column] for row in self.rows(table)}

    @cached_property
    def config(self) -> Config:
        """The recorded configuration."""
        return Config.model_validate(self.data.manifest["config"])


def verify_dataset(root: Path, *, workers: int = 1, depth: Depth = EVERYTHING) -> tuple[list[Finding], dict[str, Any]]:
    """Run every check.

    Returns
    -------
    findings : list of Finding
        Empty for a sound data set.
    summary : dict
        What was checked, in numbers.

    Raises
    ------
    ConfigError
        `root` is no data set.
    ContractError
        ``dataset.json`` is damaged or newer.
    """
    opened = Opened(root, workers=workers, depth=depth)
    findings = list(check_tables(opened))
    if not findings:  # the others stand on whole tables
        for check in CHECKS:
            findings += check(opened)
    searched, skipped = _scan_size(opened)
    summary = {
        "pairs": len(opened.rows("pairs")) if not findings else None,
        "volumes": len(opened.rows("volumes")) if not findings else None,
        "volumes_read_whole": len(opened.deep) if not findings else None,
        "checks": len(CHECKS) + 1,
        "identifiers_searched": searched,
        "identifiers_too_short": skipped,
        "findings": len(findings),
    }
    return findings, summary


def require_sound(root: Path, *, workers: int = 1) -> dict[str, Any]:
    """The summary of `verify_dataset`.

    Raises
    ------
    ContractError
        Something is broken; the message lists the first findings.
    """
    findings, summary = verify_dataset(root, workers=workers)
    if findings:
        raise ContractError("the data set does not verify:\n" + "\n".join(listed(findings)))
    return summary


def listed(findings: Sequence[Finding]) -> list[str]:
    """Findings as lines, at most `MAX_SHOWN` per check."""
    lines: list[str] = []
    shown: Counter[str] = Counter()
    for finding in findings:
        shown[finding.check] += 1
        if shown[finding.check] <= MAX_SHOWN:
            lines.append(f"  {finding}")
    lines += [f"  {name}: {n - MAX_SHOWN} more" for name, n in sorted(shown.items()) if n > MAX_SHOWN]
    return lines


def check_tables(opened: Opened) -> Iterator[Finding]:
    """Every table is there, readable, with its columns and types."""
    for name, schema in contract.TABLES.items():
        try:
            found = pq.read_schema(opened.root / f"{name}.parquet")
        except (OSError, pa.ArrowInvalid) as error:
            yield Finding("tables", f"{name}.parquet", f"cannot be read ({type(error).__name__})")
            continue
        for column in schema:
            if column.name not in found.names or found.field(column.name).type != column.type:
                yield Finding("tables", f"{name}.parquet", f"column {column.name} is missing or of another type")


def check_counts(opened: Opened) -> Iterator[Finding]:
    """In = kept + dropped in every stage, and the dropped are the rows of dropped.parquet."""
    counts = opened.data.manifest.get("counts", {})
    rows: Counter[tuple[str, str]] = Counter((row["stage"], row["reason"]) for row in opened.rows("dropped"))
    for name, stage in counts.items():
        if stage["in"] != stage["kept"] + stage["dropped"]:
            yield Finding("counts", name, f"{stage['in']} in, but {stage['kept']} kept and {stage['dropped']} dropped")
        listed_rows = {reason: n for (stage_name, reason), n in rows.items() if stage_name == name}
        if listed_rows != stage["reasons"] or sum(listed_rows.values()) != stage["dropped"]:
            yield Finding("counts", name, "dropped.parquet and dataset.json disagree")
    for name in sorted({stage for stage, _reason in rows} - set(counts)):
        yield Finding("counts", name, "a stage of dropped.parquet that dataset.json does not count")
    for table, stage_name in (("series", "stacks"), ("volumes", "convert"), ("pairs", "release")):
        if stage_name not in counts:
            yield Finding("counts", stage_name, "the stage is missing")
            continue
        expected = counts[stage_name]["in" if table == "series" else "kept"]
        if len(opened.rows(table)) != expected:
            yield Finding("counts", f"{table}.parquet", f"{len(opened.rows(table))} rows, {expected} counted")


def check_ids(opened: Opened) -> Iterator[Finding]:
    """Ids are unique and every reference resolves."""
    keys = {"pairs": "pair_id", "volumes": "volume_id", "reports": "report_id", "sentences": "sentence_id"}
    for table, column in keys.items():
        seen = Counter(row[column] for row in opened.rows(table))
        yield from (Finding("ids", f"{column} {one}", f"{n} rows") for one, n in sorted(seen.items()) if n > 1)
    stacks = Counter((row["study_id"], row["series_id"], row["stack"]) for row in opened.rows("series"))
    yield from (Finding("ids", f"series {one[1]}-{one[2]}", f"{n} rows") for one, n in sorted(stacks.items()) if n > 1)
    references = [
        ("pairs", "volume_id", "volumes"), ("pairs", "report_id", "reports"), ("reports", "pair_id", "pairs"),
        ("sentences", "report_id", "reports"), ("sentences", "pair_id", "pairs"), ("regions", "volume_id", "volumes"),
        ("regions", "sentence_id", "sentences"), ("volumes", "series_id", "series"), ("volumes", "study_id", "series"),
        ("pairs", "study_id", "series"), ("suspicions", "pair_id", "pairs"),
    ]  # fmt: skip
    for table, column, target in references:
        missing = opened.ids(table, column) - opened.ids(target, column) - {None}
        yield from (Finding("ids", f"{table}.{column} {one}", f"not in {target}") for one in sorted(missing))
    for row in opened.rows("pairs"):
        if row["split"] not in contract.SPLITS or row["verdict"] not in (None, *contract.VERDICTS):
            yield Finding("ids", f"pair {row['pair_id']}", "split or verdict is none of the known ones")


def check_numbers(opened: Opened) -> Iterator[Finding]:
    """n_sentences and n_located are what the rows say; confidence and suspicion lie in 0..1."""
    sentences: dict[str, list[Row]] = defaultdict(list)
    for row in opened.rows("sentences"):
        sentences[row["report_id"]].append(row)
    located: dict[str, set[str]] = defaultdict(set)  # volume -> regions with a box, and sentences that point
    for row in opened.rows("regions"):
        located[row["volume_id"]].add(row["sentence_id"] or row["region"])
    for row in opened.rows("pairs"):
        told, held = sentences[row["report_id"]], located[row["volume_id"]]
        n_located = sum(not held.isdisjoint((one["sentence_id"], *one["regions"])) for one in told)
        if row["n_sentences"] != len(told) or row["n_located"] != n_located:
            yield Finding("numbers", f"pair {row['pair_id']}", "n_sentences or n_located is wrong")
        if not 0 <= row["suspicion"] <= 1 or not 0 <= row["link_confidence"] <= 1:
            yield Finding("numbers", f"pair {row['pair_id']}", "suspicion or link_confidence outside 0..1")


def check_words(opened: Opened) -> Iterator[Finding]:
    """Section, assertion, side, status and region are each one of the words that the contract knows."""
    from reports.records import Assertion, Laterality, ReportStatus, SectionName
    from reports.regions import region_tree

    regions = set(region_tree().parent)
    closed = {
        "section": set(get_args(SectionName)),
        "assertion": set(get_args(Assertion)),
        "laterality": {None, *get_args(Laterality)},
        "status": set(get_args(ReportStatus)),
        "region": regions,
    }
    keys = {"sentences": "sentence_id", "reports": "report_id", "regions": "volume_id"}
    for table, key in keys.items():
        columns = closed.keys() & set(contract.TABLES[table].names)
        for row in opened.rows(table):
            wrong = sorted(column for column in columns if row[column] not in closed[column])
            if table == "sentences" and not regions.issuperset(row["regions"]):
                wrong.append("regions")
            if table == "reports" and any(one["name"] not in closed["section"] for one in row["sections"]):
                wrong.append("sections")
            for column in wrong:
                yield Finding("words", f"{table}.{column} of {row[key]}", "none of the known words")


def check_volumes(opened: Opened) -> Iterator[Finding]:
    """Every file's hash, shape, affine, spacing and HU range match its row, and there are no other files."""
    config = opened.config
    rows = opened.rows("volumes")
    tasks = [(str(opened.root), row, tuple(config.grid.hu_range), row["path"] in opened.deep) for row in rows]
    for problems in _map(check_volume, tasks, opened.workers):
        yield from problems
    for row in rows:
        expected = f"volumes/{row['volume_id'][:2]}/{row['volume_id']}.{config.volumes.format}"
        if row["path"] != expected:
            yield Finding("volumes", row["volume_id"], f"its path is not {expected}")
        wanted = config.grid.spacing_xyz_mm
        if wanted is not None and not np.allclose(row["spacing_mm"], wanted, atol=1e-6):
            yield Finding("volumes", row["volume_id"], "its spacing is not the configured one")
    named = {row["path"] for row in rows}
    for path in sorted((opened.root / "volumes").rglob("*")):
        relative = path.relative_to(opened.root).as_posix()
        if path.is_file() and relative not in named:
            yield Finding("volumes", relative, "a file that no row names")


def check_volume(task: tuple[str, Row, tuple[int, int], bool]) -> list[Finding]:
    """One volume against its row, with its voxels or without; runs in a worker process."""
    from volumes.errors import VolumeError
    from volumes.nifti import read_volume

    root, row, hu_range, is_deep = task
    name = row["volume_id"]
    digest = row["sha256"]
    try:
        path = Dataset.open(root).volume_path(row)
        if is_deep:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        elif path.suffix == ".gz":  # its header and size say nothing of the whole without unpacking it
            return [] if path.is_file() else [Finding("volumes", name, "cannot be read (FileNotFoundError)")]
        data, affine_ras = read_volume(path)
    except (OSError, ContractError, VolumeError, ValueError) as error:
        return [Finding("volumes", name, f"cannot be read ({type(error).__name__})")]
    problems = []
    affine = affine_of(row)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if digest != row["sha256"]:
        problems.append("its hash differs from the row")
    if list(data.shape) != row["shape_ijk"]:
        problems.append("its shape differs from the row")
    # NIfTI keeps the affine in float32
    if not np.allclose(affine_ras, affine, rtol=1e-6, atol=1e-3):
        problems.append("its affine differs from the row")
    if not np.allclose(spacing, row["spacing_mm"], atol=1e-4):
        problems.append("the row's spacing and affine disagree")
    if np.argmax(np.abs(affine[:3, :3]), axis=0).tolist() != [0, 1, 2] or np.any(np.diag(affine)[:3] <= 0):
        problems.append("its axes are not RAS+")
    if data.dtype != np.int16 or data.size == 0:
        problems.append("it holds no int16 voxels")
    elif is_deep and row["modality"] == "CT" and (data.min() < hu_range[0] or data.max() > hu_range[1]):
        problems.append("its values leave the HU range")
    return [Finding("volumes", name, problem) for problem in problems]


def check_spans(opened: Opened) -> Iterator[Finding]:
    """Spans slice back to the exact sentence, lie in order, and sections lie in the text without overlap."""
    texts = {row["report_id"]: row["text"] for row in opened.rows("reports")}
    last: dict[str, tuple[int, int]] = {}
    for row in sorted(opened.rows("sentences"), key=lambda row: (row["report_id"], row["char_start"])):
        text = texts.get(row["report_id"], "")
        if text[row["char_start"] : row["char_end"]] != row["text"] or not row["text"]:
            yield Finding("spans", row["sentence_id"], "its span does not slice back to its text")
        if row["char_start"] < last.get(row["report_id"], (0, 0))[1]:
            yield Finding("spans", row["sentence_id"], "it overlaps the sentence before it")
        last[row["report_id"]] = (row["char_start"], row["char_end"])
    for row in opened.rows("reports"):
        end = 0
        for section in sorted(row["sections"], key=lambda section: section["char_start"]):
            if not end <= section["char_start"] <= section["char_end"] <= len(row["text"]):
                yield Finding("spans", row["report_id"], "a section overlaps another or leaves the text")
            end = section["char_end"]


def check_boxes(opened: Opened) -> Iterator[Finding]:
    """Boxes hold at least one voxel and lie inside their volume; pointers have a sentence, others none."""
    shapes = {row["volume_id"]: row["shape_ijk"] for row in opened.rows("volumes")}
    for row in opened.rows("regions"):
        shape = shapes.get(row["volume_id"])
        if shape is None:
            continue  # check_ids says so
        sides = zip(row["start_ijk"], row["size_ijk"], shape, strict=True)
        if any(start < 0 or size < 1 or start + size > length for start, size, length in sides):
            yield Finding("boxes", f"{row['volume_id']} {row['region']}", "the box leaves its volume or is empty")
        if row["source"] not in contract.BOX_SOURCES or not 0 <= row["confidence"] <= 1:
            yield Finding("boxes", f"{row['volume_id']} {row['region']}", "source or confidence is out of range")
        if (row["source"] == "pointer") != (row["sentence_id"] is not None):
            yield Finding(
                "boxes", f"{row['volume_id']} {row['region']}", "a pointer needs a sentence, others have none"
            )


def check_splits(opened: Opened) -> Iterator[Finding]:
    """The split follows from the patient alone; no patient, volume content or text is in two splits."""
    pairs = opened.rows("pairs")
    for row in pairs:
        if row["split"] != split_of(row["patient_id"], opened.config.split):
            yield Finding("splits", f"pair {row['pair_id']}", "its split does not follow from its patient")
    if opened.data.manifest["splits"] != split_counts(pairs):
        yield Finding("splits", "dataset.json", "its counts of pairs and patients are not those of pairs.parquet")
    hashes = {row["volume_id"]: row["sha256"] for row in opened.rows("volumes")}
    texts = {row["report_id"]: text_key(row["text"]) for row in opened.rows("reports")}
    for what, key_of in (
        ("patient", lambda row: row["patient_id"]),
        ("study", lambda row: row["study_id"]),
        ("volume content", lambda row: hashes.get(row["volume_id"], row["volume_id"])),
        ("report text", lambda row: texts.get(row["report_id"], row["report_id"])),
    ):
        for _key in crossing(pairs, key_of):
            yield Finding("splits", what, "occurs in more than one split")


def check_reasons(opened: Opened) -> Iterator[Finding]:
    """Every reason is of a closed enumeration; a dropped series has one, a kept one has none."""
    known = known_reasons()
    for row in opened.rows("dropped"):
        if row["reason"] not in known:
            yield Finding("reasons", f"{row['kind']} {row['item_id']}", "its reason is none of the known ones")
    for row in opened.rows("series"):
        if row["verdict"] not in ("kept", "not_selected", "dropped") or (row["verdict"] == "kept") != (
            row["reason"] is None
        ):
            yield Finding("reasons", f"series {row['series_id']}-{row['stack']}", "verdict and reason do not fit")
    explained = {(row["pair_id"], row["code"]) for row in opened.rows("suspicions")}
    flags = {(row["pair_id"], flag) for row in opened.rows("pairs") for flag in row["flags"]}
    for pair_id in sorted({pair_id for pair_id, _flag in explained ^ flags}):
        yield Finding("reasons", f"pair {pair_id}", "its flags are not those of suspicions.parquet")


def check_crosswalk(opened: Opened) -> Iterator[Finding]:
    """No identifier of the batch occurs in any byte, text or file name under the data set."""
    matcher = _matcher(opened)
    if matcher is None:
        return
    for path in sorted(opened.root.rglob("*")):
        name = path.relative_to(opened.root).as_posix()
        if matcher.in_text(name):
            yield Finding("crosswalk", "a file name", "holds an identifier")
        if path.is_file():
            is_spelling = _can_spell(opened.config) and (not name.startswith("volumes/") or name in opened.deep)
            for kind in sorted(kinds_in_file(path, matcher, is_spelling=is_spelling)):
                yield Finding("crosswalk", name, f"holds an identifier ({kind})")


CHECKS: tuple[Callable[[Opened], Iterable[Finding]], ...] = (
    check_counts,
    check_ids,
    check_numbers,
    check_words,
    check_volumes,
    check_spans,
    check_boxes,
    check_splits,
    check_reasons,
    check_crosswalk,
)


def known_reasons() -> dict[str, str]:
    """Every drop reason of the three rooms, with its meaning."""
    from curation.reasons import DropReason as PairReason
    from reports.reasons import DropReason as ReportReason
    from volumes.reasons import DropReason as VolumeReason

    return {str(code): code.meaning for reasons in (VolumeReason, ReportReason, PairReason) for code in reasons}


def _matcher(opened: Opened) -> Matcher | None:
    connection = read_only(opened.data.private)
    if connection is None:
        return None
    try:
        identifiers = list(searched_identifiers(connection.execute))
    finally:
        connection.close()
    return Matcher(identifiers, min_chars=opened.config.deid.min_identifier_chars)


def _scan_size(opened: Opened) -> tuple[int | None, int | None]:
    matcher = _matcher(opened)
    return (matcher.n_searched, matcher.n_skipped) if matcher else (None, None)


def _can_spell(config: Config) -> bool:
    return config.volumes.modality != "CT" or config.grid.hu_range[1] >= ASCII_DIGITS


def _map(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[Any]:
    if workers <= 1 or len(tasks) < 4:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(function, tasks, chunksize=4)
