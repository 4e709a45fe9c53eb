"""De-identification in some 900 contexts: who, which telephone and which number nobody told of is found nevertheless.

The shares asked for are those reached, a little rounded down; the author had read the rules, so they are no estimate of
what is found in reports of others: `benchmarks.reports_blind` is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from reports.deidentify import Deidentifier

TABLE = tomllib.loads((Path(__file__).parent / "deid_contexts.toml").read_text(encoding="utf-8"))
LISTS = {name: [line.replace("\\n", "\n") for line in text.splitlines() if line] for name, text in TABLE.items()}
PARTICLES = {"van", "der", "von", "the", "ter", "abu", "ben"}
HOST = (
    "COMPARISON: None.",
    "FINDINGS: The lungs are clear. No effusion.",
    "{}",
    "The liver is normal.",
    "IMPRESSION: Normal.",
)


def survives(line: str, secrets: set[str]) -> bool:
    """Whether a piece of `secrets` is left when `line` stands in a report."""
    out = Deidentifier((), shift_days=-77, seed=b"test").apply("\n".join(HOST).replace("{}", line)).text
    return any(re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", out) for secret in secrets)


def person(draw: Random) -> dict[str, str]:
    pools = [LISTS["family"][0].split(), LISTS["ordinary"][0].split(), LISTS["several"]]
    first, last = draw.choice(LISTS["given"][0].split()), draw.choice(draw.choices(pools, [6, 2, 2])[0])
    letter, other = first[0], draw.choice("BCDEHJKLMNPRSTW")
    forms = {
        "F": first, "L": last, "FL": f"{first} {last}", "LF": f"{last}, {first}", "FI": f"{letter}. {last}",
        "FMI": f"{first} {other}. {last}", "LFI": f"{last}, {letter}.", "II": f"{letter}. {other}. {last}",
        "INI": letter + other, "P": f"{first}'s", "LP": f"{last}'s", "II0": letter + other, "I1": letter,
        "S": draw.choice(["Ng", "Li", "Wu", "Xu", "Yu", "Le", "Vo", "Bui", "Kim", "Lee", "Cho", "Roy", "Sen", "Fox"]),
    }  # fmt: skip
    forms |= {"UFL": forms["FL"].upper(), "ULF": forms["LF"].upper(), "UL": last.upper(), "UF": first.upper()}
    small = last.removeprefix("van der ").removeprefix("de la ").removeprefix("von ").lower()
    return forms | {"US": forms["S"].upper(), "LC": forms["FL"].lower(), "lF": first.lower(), "lL": small}


def planted_names(contexts: list[str], n: int) -> Iterator[tuple[str, set[str]]]:
    draw = Random(7)
    for context in contexts * n:
        people = {key + mark: value for mark in ("", "2", "3") for key, value in person(draw).items()}
        used = [people[key] for key in re.findall(r"\{(\w+)\}", context)]
        words = {word for value in used for word in re.findall(r"[A-Za-z']{3,}", value.removesuffix("'s"))}
        yield context.format(**people), {word for word in words if word.lower() not in PARTICLES}


@pytest.mark.parametrize(("kind", "share"), [("names", 0.975), ("odd", 0.88)])
def test_people_are_found_in_contexts_of_reports(kind: str, share: float) -> None:
    cases = list(planted_names(LISTS[kind], 2))
    left = [line for line, secrets in cases if survives(line, secrets)]
    assert len(left) <= (1 - share) * len(cases), left


def test_telephones_of_any_country_are_found_beside_a_cue() -> None:
    draw, left, n = Random(7), [], 0
    for context in LISTS["telephone_contexts"]:
        for number in draw.sample(LISTS["telephones"], 5):
            line, n = context.format(x=number, y="555-0199"), n + 1
            if survives(line, {number, *re.findall(r"\d{4,}", number)}):
                left.append(line)
    assert len(left) <= 0.01 * n, left


def test_numbers_are_found_by_their_label() -> None:
    draw, left, n = Random(7), [], 0
    for context in LISTS["number_contexts"]:
        for number in draw.sample(LISTS["numbers"], 4):
            line, n = context.format(x=number), n + 1
            if survives(line, {number}):
                left.append(line)
    assert len(left) <= 0.01 * n, left


@pytest.mark.parametrize(
    "text",
    [
        "Coumadin was held. Discussed starting contrast with surgery.",
        "Reviewed with Radiology. Followed by Long segment stenosis. Surgery notified. Floor aware.",
        "Stone in the ureter. Strong family history. The Whipple anastomosis is intact. Barrett's esophagus.",
        "Axial T2 image #1452, images #12-14 and (image #15/68). Visit of the week. Exam of 3 mm cuts.",
        "Measured 120 130 140 HU. Range 300-1200 HU. Slices 100-1200. 512x512 matrix.",
        "MR ABDOMEN WAS DONE. MS LESIONS ARE STABLE. PRIOR MR SHOWS NO CHANGE.",
        "α angle 60°, β 55°, 3 μm. CT of T12-L1, C5-C6-C7. 18F-FDG, CA19-9, RID13432.",
        "Hallazgos\nHígado sin lesiones. No se observa derrame en la pleura.",
    ],
)
def test_what_names_no_one_stays(text: str) -> None:
    assert Deidentifier((), shift_days=-77, seed=b"test").apply(text).text == text


def test_a_name_found_once_goes_wherever_it_stands_again_but_not_from_an_eponym() -> None:
    text = "Dr. Okafor was paged. Per protocol, Okafor read it. Dr. Whipple agrees. Whipple procedure intact."
    out = Deidentifier((), shift_days=-77, seed=b"test").apply(text).text
    assert out == "Dr. [NAME] was paged. Per protocol, [NAME] read it. Dr. [NAME] agrees. Whipple procedure intact."


def test_words_in_another_script_go_from_a_latin_text() -> None:
    out = Deidentifier((), shift_days=-77, seed=b"test").apply("Patient: 王伟. The liver is normal.").text
    assert out == "Patient: [NAME]. The liver is normal."


@pytest.mark.parametrize(
    "written", ["A B one two three four", "AB 12,34", "ab-\n1234", "A B one double two three four"]
)
def test_known_numbers_go_dictated_parted_and_wrapped(written: str) -> None:
    known = (("PatientID", "AB1234" if "double" not in written else "AB12234"),)
    out = Deidentifier(known, shift_days=-77, seed=b"test").apply(f"Compare {written} today.").text
    assert out == "Compare [ID] today."
