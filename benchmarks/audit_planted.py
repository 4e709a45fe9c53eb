"""What the audit's rules find: errors planted in a demo export, one kind at a time, before it is curated.

    python -m benchmarks.audit_planted [--studies 200] [--seed 17] [--work DIR] [--kinds NAME ...]

Per kind: the share of planted pairs that the right rule flags (or that curation withholds for the right reason), the
share that any alarm flags, and the share of untouched pairs that anything graver than a note flags. The table goes to
docs/audit.md when every kind was run. Exit 1 where a bar is missed: 95 % found, 5 % of clean pairs flagged.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import audit_planted_errors as errors
from curation.config import read_config
from curation.contract import Dataset
from curation.demo.export import write_demo
from curation.demo.plan import StudyPlan, plan_studies
from curation.pseudonyms import read_key
from curation.run import Options, run_curation
from curation.suspicion import severity_of
from t3dkit.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
KEY, CONFIG = ROOT / "curation/demo/demo.key", ROOT / "curation/demo/curation.toml"
COARSE = 1.6
"""Voxels this much larger than the demo's usual ones, about 4 to 5 mm slices."""
MIN_FOUND, MAX_CLEAN = 0.95, 0.05
MARKERS = ("<!-- planted errors, by benchmarks.audit_planted -->", "<!-- end of planted errors -->")
COVERAGE = frozenset({"COVERAGE_MISMATCH", "COVERAGE_GAP", "EXAM_MISMATCH", "PART_UNREAD"})
TEXT = frozenset({"TEXT_OTHER_PATIENT", "TEXT_OTHER_DAY"})
CONTENT = COVERAGE | {"CONTRAST_MISMATCH", "SEX_MISMATCH", "POINTER_MISSING", "POINTER_ELSEWHERE"}


WITHHELD = frozenset({"DEID_LEAK", "DUPLICATE_REPORT"})
"""A text that names another patient, or that is there twice, may not be released at all."""


@dataclass(frozen=True)
class Kind:
    """A kind of error.

    Parameters
    ----------
    rules : frozenset of str
        Flags of which one at least must be raised.
    drops : frozenset of str
        Reasons for which curation may withhold the pair instead.
    """

    name: str
    plant: Callable[[errors.Ground, int], None]
    rules: frozenset[str]
    drops: frozenset[str] = frozenset()


KINDS = (
    Kind("block of shifted rows", errors.shift_rows, frozenset({"ROW_SHIFT"}), WITHHELD),
    Kind("the same, texts without names and days", errors.shift_scrubbed_rows, frozenset({"ROW_SHIFT"}), WITHHELD),
    Kind("swapped pair", errors.swap_reports, TEXT | CONTENT, WITHHELD),
    Kind("duplicated report", errors.repeat_reports, frozenset({"SAME_TEXT"}), frozenset({"DUPLICATE_REPORT"})),
    Kind("laterality flip (mirrored images)", errors.mirror, frozenset({"LATERALITY_SUSPECT", "SIDE_ELSEWHERE"})),
    Kind("sides exchanged in the text", errors.exchange_sides, frozenset({"LATERALITY_CONFLICT", "SIDE_ELSEWHERE"})),
    Kind("wrong body part", errors.wrong_part, COVERAGE),
    Kind("truncated volume", errors.truncate, COVERAGE | {"POINTER_MISSING", "POSSIBLY_CROPPED", "ORGAN_CUT"}),
    Kind("double rescale", errors.rescale_twice, frozenset({"HU_OUTLIER", "HU_SHIFT"}),
         frozenset({"HU_IMPLAUSIBLE", "HU_UNKNOWN", "HU_SIGN", "NO_VOLUME"})),
    Kind("other patient's series", errors.foreign_series, frozenset({"SAME_VOLUME"}), frozenset({"DUPLICATE_VOLUME"})),
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """What became of one kind."""

    kind: str
    planted: int
    flagged: int
    withheld: int
    alarmed: int
    clean: int
    clean_flagged: int
    detail: str = ""

    @property
    def found_share(self) -> float:
        """Share flagged by the right rule or withheld for the right reason."""
        return (self.flagged + self.withheld) / max(1, self.planted)

    @property
    def clean_share(self) -> float:
        """Share of untouched pairs with an alarm or a look."""
        return self.clean_flagged / max(1, self.clean)

    def row(self) -> str:
        """A row of the table."""
        return (
            f"| {self.kind} | {self.planted} | {self.flagged} | {self.withheld} | {self.found_share:.1%} "
            f"| {self.alarmed} | {self.clean_flagged} of {self.clean} ({self.clean_share:.1%}) | {self.detail} |"
        )


def measure(kind: Kind, work: Path, base: Path, plans: Sequence[StudyPlan], *, n: int, seed: int) -> Score:
    """Plant one kind in a copy of the base, curate it, count."""
    export, dataset = work / "export", work / "set"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base.parent / "export", export, copy_function=os.link)
    shutil.copytree(base / "set", dataset, copy_function=_link_volumes)
    shutil.copytree(base / "set.private", work / "set.private")
    with open(export / "reports.csv", encoding="utf-8", newline="") as file:
        reports = list(csv.DictReader(file))
    ground = errors.Ground(export, plans, reports, np.random.default_rng([seed, len(kind.name)]))
    kind.plant(ground, n)
    (export / "reports.csv").unlink()
    with open(export / "reports.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(reports[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(ground.reports)
    curate(export, dataset)
    score = count(kind, ground, base / "set", dataset)
    shutil.rmtree(work)
    return score


def curate(export: Path, dataset: Path) -> None:
    """Curate with the demo's configuration and key."""
    options = Options(export=export, reports=export / "reports.csv", dataset=dataset, key=KEY)
    config = read_config(CONFIG)
    link = config.link.model_copy(update={"other_patient": "flag"})  # what is dropped cannot be found by the audit
    run_curation(options, config.model_copy(update={"link": link}), Progress(quiet=True))


def count(kind: Kind, ground: errors.Ground, base: Path, dataset: Path) -> Score:
    """Compare what the rules say with what was planted; pairs that the base did not hold do not count."""
    pseudonyms = read_key(KEY)
    number_of = {pseudonyms.of("study", plan.study_uid): plan.number for plan in ground.plans}
    before = {number_of[row["study_id"]] for row in Dataset.open(base).rows("pairs")}
    after = Dataset.open(dataset)
    flags = {number_of[row["study_id"]]: set(row["flags"]) for row in after.rows("pairs")}
    planted = ground.planted & before
    gone = planted - flags.keys()
    new = Counter(row["reason"] for row in after.rows("dropped"))
    new -= Counter(row["reason"] for row in Dataset.open(base).rows("dropped"))
    withheld = len(gone) if kind.drops & new.keys() else 0
    clean = flags.keys() - ground.planted - ground.touched
    detail = ", ".join(f"{reason} {n}" for reason, n in sorted(new.items()) if reason in kind.drops)
    if ground.rows is not None:
        named = {row["detail"] for row in after.rows("suspicions") if row["code"] == "ROW_SHIFT"}
        detail = f"planted rows {ground.rows[0]} to {ground.rows[1]}; {'; '.join(sorted(named)) or 'not found'}"
    missed = [n for n in planted - gone if not flags[n] & kind.rules]
    if missed:
        print(f"   missed {kind.name}: {[(n, sorted(flags[n])) for n in missed[:8]]}", file=sys.stderr)
    odd = [(n, sorted(f for f in flags[n] if severity_of(f) != "note")) for n in clean]
    odd = [item for item in odd if item[1]]
    if odd:
        print(f"   clean, flagged: {odd[:8]}", file=sys.stderr)
    return Score(
        kind=kind.name,
        planted=len(planted),
        flagged=sum(bool(flags[n] & kind.rules) for n in planted - gone),
        withheld=withheld,
        alarmed=sum(any(severity_of(flag) == "alarm" for flag in flags[n]) for n in planted - gone),
        clean=len(clean),
        clean_flagged=len(odd),
        detail=detail,
    )


def write_page(scores: Sequence[Score], *, studies: int, seed: int, planted: int) -> None:
    """Put the table between the markers of docs/audit.md."""
    page = ROOT / "docs/audit.md"
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(MARKERS[0])
    tail = rest.split(MARKERS[1])[1]
    table = [
        f"`python -m benchmarks.audit_planted --studies {studies} --seed {seed} --planted {planted}`: a demo export of "
        f"{studies} studies (slices of 4 to 5 mm), errors of one kind at a time planted before curation.",
        "",
        "| planted | pairs | flagged by the right rule | withheld for the right reason | found | any alarm "
        "| clean pairs with an alarm or a look | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        *(score.row() for score in scores),
    ]
    page.write_text(f"{head}{MARKERS[0]}\n\n" + "\n".join(table) + f"\n\n{MARKERS[1]}{tail}", encoding="utf-8")


def _link_volumes(source: str, target: str) -> None:
    if source.endswith(".nii"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def main(words: Sequence[str] = ()) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--planted", type=int, default=20, help="pairs planted per kind")
    parser.add_argument("--work", type=Path, help="folder that keeps the base export and data set for the next time")
    parser.add_argument("--kinds", nargs="*", help="words of the kinds to run (default all)")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        work = asked.work or Path(temporary)
        write_demo(work / "export", n_studies=asked.studies, seed=asked.seed, workers=2, progress=Progress(),
                   coarse=COARSE)  # fmt: skip
        curate(work / "export", work / "base" / "set")
        plans = plan_studies(asked.studies, asked.seed)
        kinds = [k for k in KINDS if not asked.kinds or any(word in k.name for word in asked.kinds)]
        scores = []
        for kind in kinds:
            scores.append(measure(kind, work / "planted", work / "base", plans, n=asked.planted, seed=asked.seed))
            print(scores[-1].row(), flush=True)
    if len(scores) == len(KINDS):
        write_page(scores, studies=asked.studies, seed=asked.seed, planted=asked.planted)
    missed = [s.kind for s in scores if s.found_share < MIN_FOUND or s.clean_share > MAX_CLEAN]
    print(f"bars missed: {', '.join(missed)}" if missed else "every bar is met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
