"""Whether identifiers leave a text and clinical words stay.

``python -m benchmarks reports_identifiers`` prints three tables. Known: identifiers that the table, message or header
tells, planted in every written variant in reports of the gold set; each must be gone, and the verifier must agree.
Unknown: identifiers nobody told, in the places where reports hold them. Kept: words of the same reports, in which
nothing identifies, that come back. Everything is drawn with a seed. The author of this generator had read the rules.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.reports_gold_files import read_written
from benchmarks.reports_people import (
    DOUBLE,
    FAMILY,
    ORDINARY,
    Planted,
    bare,
    draw_person,
    known_variants,
    unknown_plants,
)
from reports.deidentify import Deidentifier, leaks

SHIFT_DAYS = -77
_SPLIT = re.compile(r"(?<=[.\n])[ \n]")
CONTEXTS = (
    "{x}.",
    "Re: {x}.",
    "As discussed for {x}, no change.",
    "{x} was reviewed.",
    "Compared with {x} today.",
    "- {x}",
)


def plant_in(texts: Sequence[str], planted: Planted, draw: random.Random) -> str:
    """A report with the identifier between two of its sentences."""
    text = draw.choice(texts)
    places = [match.start() for match in _SPLIT.finditer(text)] or [len(text)]
    at = draw.choice(places)
    return f"{text[:at]}\n{draw.choice(CONTEXTS).replace('{x}', planted.written)}\n{text[at:].lstrip()}"


def count_known(n_wanted: int, seed: int) -> tuple[Counter[str], Counter[str], list[str]]:
    """Planted and survived variants per kind, and the survivors as written, until `n_wanted` were planted."""
    draw, planted_n, survived = random.Random(seed), Counter[str](), Counter[str]()
    texts, left = [one.text for one in read_written()], []
    while planted_n.total() < n_wanted:
        person = draw_person(draw, (*FAMILY, *DOUBLE, *ORDINARY))
        patient = Deidentifier(person.known, shift_days=SHIFT_DAYS, seed=b"benchmark")
        for planted in known_variants(person):
            text = plant_in(texts, planted, draw)
            out = patient.apply(text).text
            planted_n[planted.kind] += 1
            # a piece may also arise from words that stand side by side: "PE. [NAME]" holds Pena
            squeezed, host = bare(out), bare(text.replace(planted.written, "[NAME]"))
            sought = [piece for piece in planted.pieces if piece not in map(bare, ORDINARY)]
            is_there = any(squeezed.count(piece) > host.count(piece) for piece in sought)
            if is_there or leaks(out, [value for _, value in person.known]):
                survived[planted.kind] += 1
                left.append(planted.written)
    return planted_n, survived, left


def count_unknown(n_people: int, seed: int) -> tuple[Counter[str], Counter[str], list[str]]:
    """The same of identifiers that nobody told."""
    draw, planted_n, survived = random.Random(seed), Counter[str](), Counter[str]()
    texts, left = [one.text for one in read_written()], []
    patient = Deidentifier((), shift_days=SHIFT_DAYS, seed=b"benchmark")
    for _ in range(n_people):
        for planted, sentence in unknown_plants(draw):
            text = draw.choice(texts)
            out = patient.apply(f"{text}\n{sentence}\n").text
            planted_n[planted.kind] += 1
            last = bare(out.rstrip("\n").rpartition("\n")[2]) if "\n" not in sentence else bare(out)
            if any(piece in last for piece in planted.pieces):
                survived[planted.kind] += 1
                left.append(sentence)
    return planted_n, survived, left


def count_kept(n_people: int, seed: int) -> tuple[int, int, Counter[str]]:
    """Words of the written reports, how many of them changed, and which."""
    draw, n_words, lost = random.Random(seed), 0, Counter[str]()
    for _ in range(n_people):
        person = draw_person(draw, (*FAMILY, *DOUBLE, *ORDINARY))
        patient = Deidentifier(person.known, shift_days=SHIFT_DAYS, seed=b"benchmark")
        for report in read_written():
            before, after = Counter(report.text.split()), Counter(patient.apply(report.text).text.split())
            n_words += before.total()
            lost += before - after
    return n_words, lost.total(), lost


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables; exit code 1 when a known identifier survives."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports_identifiers")
    parser.add_argument("--planted", type=int, default=30_000, metavar="N")
    parser.add_argument("--people", type=int, default=250, metavar="N", help="of the unknown and the kept table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="survivors to print; all are invented")
    arguments = parser.parse_args([] if words is None else words)
    known = count_known(arguments.planted, arguments.seed)
    _print("known", *known, arguments.show)
    _print("unknown", *count_unknown(arguments.people, arguments.seed), arguments.show)
    n_words, n_lost, lost = count_kept(max(arguments.people // 10, 1), arguments.seed)
    print(f"kept | {n_words} words | {n_lost} changed | {1 - n_lost / n_words:.4%}")
    if arguments.show:
        print(lost.most_common(arguments.show))
    return 1 if known[1] else 0


def _print(title: str, planted: Counter[str], survived: Counter[str], left: Sequence[str], n_shown: int) -> None:
    print(f"{title} | planted | survived | recall")
    for kind in planted:
        print(f"{kind} | {planted[kind]} | {survived[kind]} | {1 - survived[kind] / planted[kind]:.3%}")
    total, lost = planted.total(), survived.total()
    print(f"all | {total} | {lost} | {1 - lost / total:.3%}", flush=True)
    for written, number in Counter(left).most_common(n_shown):
        print(f"  {number} x {written!r}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
