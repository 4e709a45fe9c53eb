"""medspaCy on the texts of the gold set, in its own environment.

    python -m benchmarks.reports_gold --dump texts.json
    ENV/bin/python benchmarks/reports_peers.py texts.json spans.json    # an environment with medspaCy, without t3dkit
    python -m benchmarks.reports_gold --peer spans.json

Its sentences are PyRuSH's, its sections those of its default rules, mapped to ours below as kindly as they allow. The
time is that of its sentence, target, context and section components, without a target rule.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

COMPONENTS = {"medspacy_pyrush", "medspacy_target_matcher", "medspacy_context", "medspacy_sectionizer"}
SECTIONS = {
    "addendum": "addendum",
    "allergies": "other",
    "chief_complaint": "indication",
    "comments": "impression",
    "diagnoses": "impression",
    "family_history": "history",
    "history_of_present_illness": "history",
    "hospital_course": "other",
    "imaging": "findings",
    "labs_and_studies": "other",
    "medications": "other",
    "neurological": "other",
    "observation_and_plan": "impression",
    "past_medical_history": "history",
    "patient_instructions": "recommendation",
    "physical_exam": "other",
    "present_illness": "history",
    "problem_list": "other",
    "procedure": "procedure",
    "reason_for_examination": "indication",
    "sexual_and_social_history": "history",
    "social_history": "history",
}


def read(texts: dict[str, str]) -> dict[str, Any]:
    """Sentences and sections of each text, and reports per CPU second."""
    nlp = importlib.import_module("medspacy").load(medspacy_enable=COMPONENTS)
    found: dict[str, Any] = {}
    for name, text in texts.items():
        doc = nlp(text)
        sections = [
            (
                SECTIONS.get(
                    one.category,
                    "findings" if "finding" in doc[one.title_span[0] : one.title_span[1]].text.lower() else "other",
                ),
                *span,
            )
            for one in doc._.sections
            if one.category and (span := _body(doc, one))
        ]
        found[name] = {"sentences": [(s.start_char, s.end_char) for s in doc.sents], "sections": sections}
    started = time.process_time()
    for text in texts.values():
        nlp(text)
    return {"reports": found, "reports_per_second": len(texts) / (time.process_time() - started)}


def _body(doc: Any, section: Any) -> tuple[int, int] | None:
    start, end = section.body_span  # token indices
    return (doc[start:end].start_char, doc[start:end].end_char) if start < end else None


def main(words: list[str] | None = None) -> int:
    """Write what medspaCy finds."""
    if words is None or len(words) != 2:
        print(
            "python benchmarks/reports_peers.py TEXTS.json OUT.json, in an environment with medspaCy", file=sys.stderr
        )
        return 0
    texts = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    Path(words[1]).write_text(json.dumps(read(texts)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
