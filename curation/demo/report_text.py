"""Report texts written from the truth, in the style of four hospitals.

Enters: a plan, the lesions that came out, where they are in the best series. Leaves: report texts, which lesions
they name, and the identifiers planted in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from curation.demo import wording
from curation.demo.lesions import Lesion
from curation.demo.plan import StudyPlan, covers, shown_findings
from curation.demo.wording import ABSENT, GROUPS, IMPRESSION, NORMAL, ORDINALS, PRESENT

NAMED_SHARE = 0.95
"""Share of the lesions that the report mentions."""


@dataclass(frozen=True)
class Written:
    """A report text with what is true about it."""

    text: str
    named: tuple[bool, ...]
    identifiers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pointer:
    """Series number and instance number of the slice that shows a lesion."""

    series: int
    image: int


class ReportWriter:
    """Writes one study's report.

    Parameters
    ----------
    plan : StudyPlan
    lesions : sequence of Lesion
    pointers : sequence of Pointer or None, as long as `lesions`
    """

    def __init__(self, plan: StudyPlan, lesions: Sequence[Lesion], pointers: Sequence[Pointer | None]) -> None:
        self.plan, self.lesions, self.pointers = plan, tuple(lesions), tuple(pointers)
        self.rng = np.random.default_rng([plan.seed, 71])
        self.named = [bool(self.rng.random() < NAMED_SHARE) for _ in self.lesions]
        self.identifiers: list[tuple[str, str]] = []
        self.style = plan.site.number
        self.short = self.style == 3  # abbreviations

    def write(self) -> Written:
        """The final report."""
        findings, impression = self._findings(), self._impression()
        layout = (self._capitals, self._title_case, self._plain, self._terse)[self.style]
        text = layout(findings, impression)
        # a value that a hard line wrap has cut in two cannot be searched for; its parts are planted on their own
        planted = {(kind, value) for kind, value in self.identifiers if value in text}
        return Written(text, tuple(self.named), tuple(sorted(planted)))

    # ---- sentences

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(0, len(options)))]

    def _fields(self, n: int) -> dict[str, str]:
        lesion, pointer = self.lesions[n], self.pointers[n]
        names = wording.LOBE_NAMES.get(lesion.region, (lesion.region.replace("_", " "), ""))
        words = dict(lesion.words)
        liver = (
            "cyst"
            if words.get("type") == "cyst"
            else self._pick(["hypodense lesion", "hypoattenuating lesion", "low-density lesion"])
        )
        fields = {
            "size": self._size(lesion.size_mm),
            "side": lesion.laterality,
            "lobe": names[1] if self.short and names[1] else names[0],
            "type": words.get("type", ""),
            "place": words.get("place", ""),
            "level": words.get("level", ""),
            "ordinal": ORDINALS[int(words["level"])] if lesion.kind == "rib_fracture" else "",
            "liver_type": liver,
            "gallstones": "single gallstone" if words.get("type") == "single" else "multiple gallstones",
        }
        fields |= {name.capitalize(): value[:1].upper() + value[1:] for name, value in list(fields.items())}
        fields["ptr"] = self._pointer(pointer)
        return fields

    def _pointer(self, pointer: Pointer | None) -> str:
        if pointer is None or self.rng.random() > 0.45:
            return ""
        form = (" (series {0}, image {1})", " (image {1} of series {0})", ", series {0} image {1}", " (se {0}/im {1})")
        return form[self.style].format(pointer.series, pointer.image)

    def _size(self, size_mm: float) -> str:
        value = max(1, round(size_mm))
        if self.rng.random() < (0.35 if value >= 10 else 0.1):
            return f"{value / 10:.1f} cm"
        return f"{value} mm"

    def _present(self, n: int) -> str:
        kind, fields = self.lesions[n].kind, self._fields(n)
        sentence = self._pick(PRESENT[kind]).format(**fields)
        if self.rng.random() < 0.18:
            change = self._pick(wording.STABILITY).format(prior=self._prior())
            sentence = sentence[:-1] + change + "."
        return sentence

    def _prior(self) -> str:
        day = date.fromisoformat(self.plan.prior_date)
        text = (f"{day:%m/%d/%Y}", f"{day:%d.%m.%Y}", f"{day:%d %B %Y}", f"{day:%Y-%m-%d}")[self.style]
        self.identifiers.append(("prior_date", text))
        return text

    def _group(self, group: str) -> list[str]:
        kinds = [kind for kind in GROUPS[group][1] if kind in shown_findings(self.plan.coverage)]
        all_here = [n for n, lesion in enumerate(self.lesions) if lesion.kind in kinds]
        here = [n for n in all_here if self.named[n]]
        if not all_here:
            if self.rng.random() < 0.16:
                return []
            if kinds and self.rng.random() < 0.35:
                return [self._pick(ABSENT[kind]) for kind in kinds if kind in ABSENT][:3]
            options = [text for text in NORMAL[group] if self.plan.phase != "none" or "enhance" not in text]
            return [self._pick(options)]
        sentences = [self._present(n) for n in here]
        if self.rng.random() < 0.1:
            sentences.append(self._pick(wording.HEDGES))
        held = {self.lesions[n].kind for n in all_here}
        for kind in kinds:
            if kind not in held and kind in ABSENT and self.rng.random() < 0.6:
                sentences.append(self._pick(ABSENT[kind]))
        return sentences

    def _findings(self) -> list[tuple[str, list[str]]]:
        coverage = self.plan.coverage
        groups = list(wording.CHEST_GROUPS if covers(coverage, "chest") else ())
        groups += [g for g in (wording.ABDOMEN_GROUPS if covers(coverage, "abdomen") else ()) if g not in groups]
        if "bones" in groups:
            groups.remove("bones")
            groups.append("bones")
        if self.style == 2 and self.rng.random() < 0.5:
            groups = [groups[int(k)] for k in self.rng.permutation(len(groups))]
        written = [(GROUPS[group][0], self._group(group)) for group in groups]
        return [(heading, sentences) for heading, sentences in written if sentences]

    def _impression(self) -> list[str]:
        lines: list[str] = []
        seen: set[str] = set()
        for n, lesion in enumerate(self.lesions):
            if not self.named[n] or lesion.kind in seen or len(lines) > 6:
                continue
            seen.add(lesion.kind)
            lines.append(self._pick(IMPRESSION[lesion.kind]).format(**self._fields(n)))
        part = {"chest": "chest", "abdomen": "abdomen or pelvis"}.get(self.plan.coverage, "chest, abdomen or pelvis")
        return lines or [
            self._pick([f"No acute abnormality in the {part}.", f"Normal CT of the {part.replace(' or ', ' and ')}."])
        ]

    # ---- what identifies

    def _person(self, dicom_name: str) -> str:
        family, _, given = dicom_name.partition("^")
        return f"{given[:1]}. {family.title()}" if given else family.title()

    def _doctor(self, dicom_name: str, role: str) -> str:
        text = self._person(dicom_name)
        self.identifiers += [(role, text), (role, dicom_name.partition("^")[0].title())]
        return text

    def _header(self) -> str:
        patient = self.plan.patient
        family, _, given = patient.name.partition("^")
        self.identifiers += [("patient_name", family), ("patient_name", given), ("patient_id", patient.patient_id),
                             ("birth_date", patient.birth_date)]  # fmt: skip
        return f"Patient: {family}, {given}   MRN: {patient.patient_id}   DOB: {patient.birth_date}"

    def _signature(self) -> str:
        day = date.fromisoformat(self.plan.study_date)
        self.identifiers.append(("study_date", f"{day:%m/%d/%Y}"))
        return f"Electronically signed by Dr. {self._doctor(self.plan.radiologist, 'radiologist')} on {day:%m/%d/%Y}"

    def _call(self) -> str:
        doctor = self._doctor(self.plan.referring, "referring_physician")
        self.identifiers.append(("phone", self.plan.site.phone))
        return f"Findings discussed with Dr. {doctor} by telephone ({self.plan.site.phone}) at 14:05."

    # ---- layouts

    def _study_name(self) -> str:
        part = {"chest": "CHEST", "abdomen": "ABDOMEN AND PELVIS"}.get(self.plan.coverage, "CHEST, ABDOMEN AND PELVIS")
        return f"CT {part} {'WITHOUT' if self.plan.phase == 'none' else 'WITH'} CONTRAST"

    def _technique(self) -> str:
        phase = {"none": "without intravenous contrast", "arterial": "in the arterial phase after intravenous contrast",
                 "portal": "in the portal venous phase after intravenous contrast"}[self.plan.phase]  # fmt: skip
        return f"Multidetector CT was performed {phase}. Coronal reformats were reviewed."

    def _indication(self) -> str:
        return self._pick(wording.INDICATIONS[self.plan.coverage])

    def _comparison(self) -> str:
        return f"CT of {self._prior()}." if self.rng.random() < 0.5 else "None."

    def _capitals(self, findings: list[tuple[str, list[str]]], impression: list[str]) -> str:
        body = "\n".join(f"{heading}: {' '.join(sentences)}" for heading, sentences in findings)
        lines = [
            f"EXAM: {self._study_name()}",
            "",
            f"INDICATION: {self._indication()}.",
            "",
            f"TECHNIQUE: {self._technique()}",
            "",
            f"COMPARISON: {self._comparison()}",
            "",
            "FINDINGS:",
            body,
            "",
            "IMPRESSION:",
            _numbered(impression),
            "",
            self._call() if self.rng.random() < 0.3 else "",
            self._signature(),
        ]
        return "\n".join(lines)

    def _title_case(self, findings: list[tuple[str, list[str]]], impression: list[str]) -> str:
        self.identifiers.append(("institution", self.plan.site.institution))
        body = "\n\n".join(
            " ".join(s for _, sentences in findings[n : n + 3] for s in sentences) for n in range(0, len(findings), 3)
        )
        age = int(self.plan.study_date[:4]) - int(self.plan.patient.birth_date[:4])
        who = f"{age}-year-old {'man' if self.plan.patient.sex == 'M' else 'woman'}"
        return "\n".join(
            [
                self.plan.site.institution,
                self._header(),
                "",
                f"Clinical history: {who} with {self._indication()}.",
                f"Technique: {self._technique()}",
                f"Comparison: {self._comparison()}",
                "",
                f"Findings: {body}",
                "",
                f"Impression: {' '.join(impression)}",
                "",
                f"Reported by: Dr. {self._doctor(self.plan.radiologist, 'radiologist')}",
            ]
        )

    def _plain(self, findings: list[tuple[str, list[str]]], impression: list[str]) -> str:
        """No heading over the findings; hard line breaks at 72 characters."""
        text = " ".join(sentence for _, sentences in findings for sentence in sentences)
        doctor = self._doctor(self.plan.referring, "referring_physician")
        opening = f"{self._study_name().title()}. Referred by Dr. {doctor} for {self._indication()}."
        lines = [
            *_wrap(opening, 72),
            "",
            *_wrap(text, 72),
            "",
            "CONCLUSION",
            *_wrap(" ".join(impression), 72),
            "",
            self._signature(),
        ]
        return "\n".join(lines)

    def _terse(self, findings: list[tuple[str, list[str]]], impression: list[str]) -> str:
        lines = [self._header(), f"Hx: {self._indication()}", f"Comp: {self._comparison()}", "FINDINGS"]
        lines += [f"- {' '.join(sentences)}" for _, sentences in findings]
        lines += ["IMPRESSION"] + [f"{n}) {line}" for n, line in enumerate(impression, start=1)]
        initials = "".join(part[:1] for part in reversed(self.plan.radiologist.split("^")))
        return "\n".join([*lines, f"{initials}/ls  Dr {self._doctor(self.plan.radiologist, 'radiologist')}"])


def addendum_text(plan: StudyPlan) -> str:
    """An addendum that adds a statement and takes none back."""
    family = plan.radiologist.partition("^")[0].title()
    return (
        f"ADDENDUM: The images were reviewed again with Dr. {family}. The previously described findings are confirmed."
    )


def preliminary_text(final: str) -> str:
    """A resident's shorter version: the final's opening and a preliminary impression."""
    return (
        final.split("\n\n")[0]
        + "\n\nPRELIMINARY REPORT. Wet read: no definite acute abnormality. Final report to follow."
    )


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, start=1))


def _wrap(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]
