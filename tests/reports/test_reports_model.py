"""The optional model: a small one is trained here; spaCy finds the components without an import."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from reports.__main__ import main
from reports.parse import parse_report
from reports.pipeline import build_pipeline
from t3dkit.errors import ConfigError
from t3dkit.tables import read_rows

TEXT = "FINDINGS:\nThere is hepatic steatosis.\nA renal cyst is\nseen.\nIMPRESSION: Hepatic steatosis."
FINDINGS = ("hepatic steatosis", "renal cyst", "splenic infarct", "bone island")
FRAMES = ("FINDINGS:\u2029There is {}.", "A {} is seen.", "No {} today.", "IMPRESSION: {}.", "IMPRESSION: No {}.")
CONCEPTS = {"hepatic steatosis": "C2711227", "renal cyst": "C3887499"}


@Language.component("test_linker")
def link(doc: Doc) -> Doc:
    """Leaves on entities what scispaCy's linker leaves."""
    for found in doc.ents:
        found._.kb_ents = [(CONCEPTS[found.text.lower()], 0.97)] if found.text.lower() in CONCEPTS else []
    return doc


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trained entity recogniser with a sentencizer and a linker, saved as any spaCy model is."""
    if not Span.has_extension("kb_ents"):
        Span.set_extension("kb_ents", default=[])
    spacy.util.fix_random_seed(1)
    nlp = spacy.blank("en")
    recogniser = nlp.add_pipe("ner")
    recogniser.add_label("FINDING")  # type: ignore[attr-defined]
    examples = []
    for frame in FRAMES:
        for name in (*FINDINGS, *(name.capitalize() for name in FINDINGS)):
            text, start = frame.format(name), frame.index("{")
            spans = {"entities": [(start, start + len(name), "FINDING")]}
            examples.append(Example.from_dict(nlp.make_doc(text), spans))
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(12):
        random.Random(1).shuffle(examples)
        for at in range(0, len(examples), 8):
            nlp.update(examples[at : at + 8], sgd=optimizer)
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("test_linker")
    folder = tmp_path_factory.mktemp("model") / "en_test_sm"
    nlp.to_disk(folder)
    return str(folder)


def test_a_model_adds_entities_and_concepts_and_changes_nothing_else(model: str) -> None:
    plain, rich = parse_report(TEXT, language="en"), parse_report(TEXT, language="en", model=model)
    assert [TEXT[one.span.start : one.span.end] for one in rich.entities] == [
        "hepatic steatosis",
        "renal cyst",
        "Hepatic steatosis",
    ]
    assert {(one.label, one.concepts) for one in rich.entities} == {
        ("FINDING", (("C2711227", 0.97),)),
        ("FINDING", (("C3887499", 0.97),)),
    }
    assert plain.entities == ()
    assert (rich.sentences, rich.sections, rich.flags) == (plain.sentences, plain.sections, plain.flags)


def test_a_models_own_sentences_are_left_out(model: str) -> None:
    assert build_pipeline(model=model).pipe_names == [
        "ner",
        "test_linker",
        "t3d_abbreviations",
        "t3d_sections",
        "t3d_sentences",
        "t3d_tags",
    ]


def test_the_command_writes_the_entities(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "A1.txt").write_text(TEXT)
    out = tmp_path / "o.parquet"
    assert main(["parse", str(tmp_path / "A1.txt"), "--out", str(out), "--model", model]) == 0
    assert json.loads(capsys.readouterr().out)["entities"] == 3
    rows = read_rows(tmp_path / "o.entities.parquet")
    text = read_rows(tmp_path / "o.reports.parquet")[0]["text"]
    assert [text[row["char_start"] : row["char_end"]] for row in rows] == [row["text"] for row in rows]
    assert rows[0]["concepts"] == [{"concept": "C2711227", "score": 0.97}]


def test_without_a_model_no_entity_table_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "A1.txt").write_text(TEXT)
    assert main(["parse", str(tmp_path / "A1.txt"), "--out", str(tmp_path / "o.parquet")]) == 0
    assert "entities" not in json.loads(capsys.readouterr().out)
    assert not (tmp_path / "o.entities.parquet").exists()


def test_a_model_that_is_not_installed_is_said_once_and_the_rest_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="en_core_sci_none"):
        parse_report(TEXT, language="en", model="en_core_sci_none")
    (tmp_path / "A1.txt").write_text(TEXT)
    words = ["parse", str(tmp_path / "A1.txt"), "--out", str(tmp_path / "o.parquet"), "--model", "en_core_sci_none"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err.count("en_core_sci_none") == 1
    assert json.loads(out)["sentences"] > 0
    assert not (tmp_path / "o.entities.parquet").exists()


def test_spacy_finds_the_components_by_entry_point() -> None:
    code = """
import sys, spacy
nlp = spacy.blank("en")
for name in ("t3d_abbreviations", "t3d_sections", "t3d_sentences", "t3d_tags"):
    nlp.add_pipe(name)
doc = nlp("FINDINGS: The liver is normal. No stone.")
print([span.label_ for span in doc.spans["t3d_sections"]], len(list(doc.sents)))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip().startswith("['findings']")
