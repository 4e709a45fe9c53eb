"""What the audit's rules find: errors planted in a demo export, one kind at a time, before it is curated.

    python -m benchmarks.audit_planted [--studies 200] [--seed 17] [--work DIR] [--minutes 7] [--kinds NAME ...]

Per kind: the share of planted pairs that the right rule flags (or that curation withholds for the right reason), the
share that any alarm flags, and the share of untouched pairs that anything graver than a note flags. The table goes to
docs/audit.md when every kind was run. Exit 1 where a bar is missed: 95 % found, 5 % of clean pairs flagged.

The export is curated once; a kind is planted in a copy, and only what it touches is curated again. With `--minutes` a
run stops in time, exit 3, and the same command goes on; `--work` keeps what was done.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import audit_planted_errors as errors
from benchmarks.audit_planted_work import KEY, ROOT, TimeUp, curate, linked_copy, make_export, minutes
from curation.contract import Dataset
from curation.demo.plan import StudyPlan, plan_studies
from curation.pseudonyms import read_key
from curation.suspicion import severity_of
from t3dkit.progress import Progress

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
    is_by_side : bool
        Only a finding on one side can tell; texts without one are counted apart.
    """

    name: str
    plant: Callable[[errors.Ground, int], None]
    rules: frozenset[str]
    drops: frozenset[str] = frozenset()
    is_by_side: bool = False


KINDS = (
    Kind("block of shifted rows", errors.shift_rows, frozenset({"ROW_SHIFT"}), WITHHELD),
    Kind("the same, texts without names and days", errors.shift_scrubbed_rows, frozenset({"ROW_SHIFT"}), WITHHELD),
    Kind("swapped pair", errors.swap_reports, TEXT | CONTENT, WITHHELD),
    Kind("duplicated report", errors.repeat_reports, frozenset({"SAME_TEXT"}), frozenset({"DUPLICATE_REPORT"})),
    Kind("laterality flip (mirrored images)", errors.mirror, frozenset({"LATERALITY_SUSPECT", "SIDE_ELSEWHERE"})),
    Kind("sides exchanged in the text", errors.exchange_sides, frozenset({"LATERALITY_CONFLICT", "SIDE_ELSEWHERE"}),
         is_by_side=True),
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
    hidden: int = 0
    """Planted pairs in which nothing shows the error, found or not (`unseen`)."""

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


def measure(kind: Kind, work: Path, plans: Sequence[StudyPlan], *, n: int, seed: int) -> Score:
    """Plant one kind in a copy of the base, curate it, count."""
    planted, base = work / "planted", work / "base"
    shutil.rmtree(planted, ignore_errors=True)
    export, dataset = planted / "export", planted / "set"
    linked_copy(work / "export", export, links=lambda name: not name.endswith("reports.csv"))
    linked_copy(base / "set", dataset, links=lambda name: name.endswith(".nii"))
    shutil.copytree(base / "set.private", planted / "set.private")
    with open(export / "reports.csv", encoding="utf-8", newline="") as file:
        reports = list(csv.DictReader(file))
    ground = errors.Ground(export, plans, reports, np.random.default_rng([seed, len(kind.name)]))
    kind.plant(ground, n)
    with open(export / "reports.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(reports[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(ground.reports)
    curate(export, dataset, work / "memory")
    score = count(kind, ground, base / "set", dataset)
    shutil.rmtree(planted)
    return score


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
    hidden = 0
    if kind.is_by_side:
        blind = unseen(ground.export, ground.plans, planted)
        hidden = len(blind)
        n_found = sum(bool(flags[n] & kind.rules) for n in blind - gone)
        detail = f"{hidden} texts name nothing that lies on one side alone; {n_found} of them found"
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
        hidden=hidden,
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


def unseen(export: Path, plans: Sequence[StudyPlan], numbers: Collection[int]) -> set[int]:
    """Studies whose report names no finding on one side alone: nothing shows that its sides were exchanged."""
    number_of = {plan.study_uid: plan.number for plan in plans}
    sides: dict[int, dict[str, set[str]]] = {number: {} for number in numbers}
    with open(export / "truth/lesions.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number = number_of[row["study_instance_uid"]]
            if number in sides and row["named_in_report"] == "1" and row["kind"] not in ("lymphadenopathy",):
                side = row["laterality"] or ("either" if row["kind"] == "bladder_mass" else "")
                if side in ("left", "right", "either"):
                    sides[number].setdefault(row["kind"], set()).add(side)
    return {number for number, found in sides.items() if all(len(named) > 1 for named in found.values())}


def run(asked: argparse.Namespace, work: Path) -> list[Score]:
    """Every kind asked for; what an earlier call measured in the same folder is not measured again."""
    plans = plan_studies(asked.studies, asked.seed)
    make_export(work, plans, seed=asked.seed, progress=Progress())
    if not (work / "base/done").is_file():
        curate(work / "export", work / "base/set", work / "memory")
        (work / "base/done").touch()
    scores = []
    for kind in KINDS:
        if asked.kinds and not any(word in kind.name for word in asked.kinds):
            continue
        record = work / f"score-{re.sub('[^a-z]+', '-', kind.name.lower())}.json"
        if not record.is_file():
            score = measure(kind, work, plans, n=asked.planted, seed=asked.seed)
            record.write_text(json.dumps(asdict(score)), encoding="utf-8")
        scores.append(Score(**json.loads(record.read_text(encoding="utf-8"))))
        print(scores[-1].row(), flush=True)
    return scores


def main(words: Sequence[str] = ()) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--planted", type=int, default=20, help="pairs planted per kind")
    parser.add_argument("--work", type=Path, help="folder that keeps everything for the next call")
    parser.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    parser.add_argument("--kinds", nargs="*", help="words of the kinds to run (default all)")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with minutes(asked.minutes):
                scores = run(asked, asked.work or Path(temporary))
        except TimeUp:
            print("time is up: the same command goes on", file=sys.stderr)
            return 3
    if len(scores) == len(KINDS):
        write_page(scores, studies=asked.studies, seed=asked.seed, planted=asked.planted)
    missed = [s.kind for s in scores if s.found_share < MIN_FOUND or s.clean_share > MAX_CLEAN]
    print(f"bars missed: {', '.join(missed)}" if missed else "every bar is met")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
