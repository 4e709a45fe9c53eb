"""Identifiers of a generator whose author had not seen the rules: what survives, and what clinical is lost.

``python -m benchmarks.reports_blind`` prints known identifiers (told by header and table), unseen ones (told by nobody)
and clinical sentences. There are two generators: `benchmarks.reports_unseen`, on whose tuning half rules were tuned,
and a later one with contexts of more countries, `benchmarks.reports_unseen_world` (``--generator world``). Their ways
of writing are halved by a hash of their name: rules may be tuned on one half (``--errors`` lists it), the other is only
counted.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from random import Random
from types import ModuleType

from benchmarks.reports_gold_files import read_written
from benchmarks.reports_unseen import Patient, Planted, leaked
from reports.deidentify import Deidentifier, NameModel

SHIFT_DAYS = -77
HARD = (
    "typo",
    "letter lost",
    "mojibake",
    "nickname",
    "glued",
    "first part",
    "last part",
    "called by middle",
    "other host",
)
"""Ways of writing a known identifier that its author calls hard by design."""
POLICY = ("place", "initials", "login", "serial", "partial date")
"""Kinds of which the design does not say that they go."""
Counts = dict[tuple[str, str], list[int]]
"""(half, kind) -> [planted, survived]"""


GENERATORS = {"first": "benchmarks.reports_unseen", "world": "benchmarks.reports_unseen_world"}


def is_tuning(how: str) -> bool:
    """Whether rules may be tuned on this way of writing."""
    return hashlib.sha256(how.encode()).digest()[0] % 2 == 0


def known_of(patient: Patient) -> list[tuple[str, str]]:
    """What header and table tell of a patient."""
    return [
        ("PatientName", patient.name),
        ("PatientBirthDate", patient.birth_date),
        ("PatientID", patient.patient_id),
        ("AccessionNumber", patient.accession),
        ("PatientTelephoneNumbers", patient.telephone),
        ("PatientAddress", patient.address),
        ("PatientMail", patient.mail),
        ("ReferringPhysicianName", patient.referring),
        ("PerformingPhysicianName", patient.performing),
        ("StudyDate", patient.study_date),
    ]


def program_for(known: Sequence[tuple[str, str]], model: NameModel | None) -> Deidentifier:
    """The program under test, told what is known of a patient."""
    return Deidentifier(known, shift_days=SHIFT_DAYS, seed=b"benchmark", model=model)


def planted_known(
    made: ModuleType, n: int, seed: int, model: NameModel | None
) -> Iterator[tuple[Deidentifier, Planted]]:
    """At least `n` known identifiers, patient by patient."""
    draw, done = Random(seed), 0
    while done < n:
        patient = made.draw_patient(draw)
        program = program_for(known_of(patient), model)
        for planted in made.known_variants(patient, draw):
            yield program, planted
            done += 1


def planted_unseen(
    made: ModuleType, n: int, seed: int, model: NameModel | None
) -> Iterator[tuple[Deidentifier, Planted]]:
    """At least `n` identifiers that nobody told."""
    draw, done = Random(seed), 0
    program = program_for((), model)
    while done < n:
        for planted in made.unseen_sentences(draw):
            yield program, planted
            done += 1


def count(planted: Iterable[tuple[Deidentifier, Planted]], seed: int) -> tuple[Counts, Counter[tuple[str, str, str]]]:
    """Counts, and the survivors of the tuning half as (kind, how, text); every text stands inside a report."""
    draw, texts = Random(seed), [one.text for one in read_written()]
    counts: Counts = {}
    left = Counter[tuple[str, str, str]]()
    for program, one in planted:
        host = draw.choice(texts)
        at = host.find("\n", draw.randrange(len(host)))
        at = len(host) if at < 0 else at
        out = program.apply(f"{host[:at]}\n{one.text}\n{host[at:].lstrip()}").text
        is_hard = any(part in HARD for part in one.how.split("/"))
        kind = f"{one.kind}, hard by design" if is_hard else one.kind
        tally = counts.setdefault(("tuning" if is_tuning(one.how) else "untouched", kind), [0, 0])
        tally[0] += 1
        if leaked(one, out):
            tally[1] += 1
            if is_tuning(one.how):
                left[one.kind, one.how, one.text] += 1
    return counts, left


def kept(made: ModuleType, seed: int, model: NameModel | None) -> tuple[int, list[tuple[str, str]]]:
    """Words of the clinical sentences, and (before, after) of each sentence that changed."""
    program = program_for(known_of(made.draw_patient(Random(seed))), model)
    sentences = made.clinical_tokens()
    pairs = [(one, program.apply(one).text) for one in sentences]
    return sum(len(one.split()) for one in sentences), [(one, other) for one, other in pairs if one != other]


def _print(title: str, counts: Counts) -> None:
    print(f"{title} | half | planted | survived | recall")
    for half in ("tuning", "untouched"):
        rows = {kind: tally for (at, kind), tally in counts.items() if at == half}
        for kind, (n, lost) in sorted(rows.items()):
            print(f"{kind} | {half} | {n} | {lost} | {1 - lost / n:.3%}")
        counted = [tally for kind, tally in rows.items() if "hard" not in kind and kind not in POLICY]
        n, lost = (sum(tally[column] for tally in counted) for column in (0, 1))
        print(f"all but hard ones and matters of policy | {half} | {n} | {lost} | {1 - lost / n:.3%}", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports_blind")
    parser.add_argument("--known", type=int, default=30_000, metavar="N")
    parser.add_argument("--unseen", type=int, default=30_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="survivors of the tuning half to print")
    parser.add_argument("--generator", choices=GENERATORS, default="first")
    parser.add_argument("--name-model", metavar="NAME", help="spaCy model whose people are hidden besides")
    arguments = parser.parse_args([] if words is None else words)
    made = import_module(GENERATORS[arguments.generator])
    model = NameModel(arguments.name_model) if arguments.name_model else None
    for title, planted in (
        ("known", planted_known(made, arguments.known, arguments.seed, model)),
        ("unseen", planted_unseen(made, arguments.unseen, arguments.seed, model)),
    ):
        counts, left = count(planted, arguments.seed)
        _print(title, counts)
        for (kind, how, text), n in sorted(left.items(), key=lambda item: (item[0][0], item[0][1]))[: arguments.errors]:
            print(f"  {kind} [{how}] {n} x {text!r}")
    n_words, changed = kept(made, arguments.seed, model)
    lost = sum((Counter(a.split()) - Counter(b.split())).total() for a, b in changed)
    print(f"clinical | {n_words} words | {lost} changed | {1 - lost / n_words:.3%} kept")
    for before, after in changed[: arguments.errors]:
        print(f"  {before!r} -> {after!r}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
