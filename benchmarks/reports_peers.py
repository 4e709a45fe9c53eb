"""medspaCy, negspaCy and the section rules of MIMIC-CXR on the texts of the gold set, each in its own environment.

    python -m benchmarks.reports_gold --dump texts.json
    ENV/bin/python benchmarks/reports_peers.py texts.json spans.json              # an environment with medspaCy
    ENV/bin/python benchmarks/reports_peers.py texts.json spans.json negspacy     # one with negspaCy
    python3 benchmarks/reports_peers.py texts.json spans.json section_parser.py   # txt/ of a clone of MIT-LCP/mimic-cxr
    python -m benchmarks.reports_gold --peer spans.json

medspaCy's sentences are PyRuSH's, its sections those of its default rules, mapped to ours below as kindly as they
allow. Its time is that of its sentence, target, context and section components, without a target rule. negspaCy gets
the reader's own sentences and our parser's findings as entities, and says of each whether it is negated: a sentence is
absent if it has findings and all are; it knows no doubt. MIMIC's rules want a blank before a heading, so that each line
gets one.
"""

from __future__ import annotations

import importlib
import importlib.util
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


def read_negations(texts: dict[str, str], sentences: dict[str, Any]) -> dict[str, Any]:
    """For each of the reader's sentences, (start, end, findings), whether negspaCy negates all its findings."""
    importlib.import_module("negspacy.negation")
    spacy = importlib.import_module("spacy")
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    negex = nlp.add_pipe("negex", config={"chunk_prefix": ["no"]})
    found: dict[str, Any] = {}
    started = time.process_time()
    for name, spans in sentences.items():
        found[name] = []
        for start, end, findings in spans:
            doc = nlp.make_doc(texts[name][start:end].replace("\n", " "))
            ents = [doc.char_span(a - start, b - start, label="FINDING", alignment_mode="expand") for a, b in findings]
            doc.ents = spacy.util.filter_spans([one for one in ents if one is not None])
            doc = negex(nlp.get_pipe("sentencizer")(doc))
            found[name].append(bool(doc.ents) and all(one._.negex for one in doc.ents))
    return {"absent": found, "reports_per_second": len(texts) / (time.process_time() - started)}


MIMIC = {one: one for one in ("impression", "findings", "history", "indication", "comparison", "technique", "addendum")}
MIMIC |= {"recommendations": "recommendation", "recommendation": "recommendation", "examination": "procedure"}


def read_mimic(texts: dict[str, str], path: str) -> dict[str, Any]:
    """Sections of each text by the rules of MIMIC-CXR, ``txt/section_parser.py``, as they are."""
    loaded = importlib.util.spec_from_file_location("section_parser", path)
    assert loaded
    assert loaded.loader
    rules = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(rules)
    found: dict[str, Any] = {}
    started = time.process_time()
    for name, text in texts.items():
        given = "\n " + text.replace("\n", "\n ")
        sections = []
        for body, title, at in zip(*rules.section_text(given), strict=True):
            if title != "preamble" and body.strip():
                start = at - 2 - given.count("\n", 0, at) + 1
                end = start + len(body.rstrip()) - body.rstrip().count("\n")
                sections.append((MIMIC.get(title, "other"), start, end))
        found[name] = {"sentences": [], "sections": sections}
    return {"reports": found, "reports_per_second": len(texts) / (time.process_time() - started)}


def _body(doc: Any, section: Any) -> tuple[int, int] | None:
    start, end = section.body_span  # token indices
    return (doc[start:end].start_char, doc[start:end].end_char) if start < end else None


def main(words: list[str] | None = None) -> int:
    """Write what the peer finds."""
    if words is None or len(words) not in (2, 3):
        print("python benchmarks/reports_peers.py TEXTS.json OUT.json [negspacy | section_parser.py]", file=sys.stderr)
        return 0
    given = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    texts, peer = given["texts"], (words[2:] or ["medspacy"])[0]
    if peer == "negspacy":
        found = read_negations(texts, given["sentences"])
    else:
        found = read(texts) if peer == "medspacy" else read_mimic(texts, peer)
    Path(words[1]).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
