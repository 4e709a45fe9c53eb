"""The optional model of names: it adds people to what the rules hide, takes nothing clinical, and is never left out."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example

from curation.__main__ import main as curate
from curation.config import Config, read_config
from curation.narrative import Narrative, read_narrative
from reports.__main__ import main
from reports.deid.recogniser import NameModel, load_recogniser, model_record
from reports.deidentify import Deidentifier, leaks
from t3dkit.errors import ConfigError
from t3dkit.tables import read_rows

NAMES = ("quorra zembla", "tamsin wexcombe", "orvexa brunt", "ivo pellandra", "Baker", "Hill-Sachs", "Hepatic flexure")
FRAMES = ("Images of {} were compared.", "{} lay still.", "No {} today.", "Same as for {} in May.", "Old films: {}.")
PLAIN = ("The liver is normal.", "No effusion was seen.", "There is a cyst of 12 mm.", "Images were compared.")
TEXT = (
    "Images of quorra zembla were compared with those of Dr. Wilhelmina Roe, 3 May 2021.\n"
    "Same as for Baker in May. Old films: Hill-Sachs. No Hepatic flexure today. A Baker cyst is seen."
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trained recogniser that takes invented names in small letters, eponyms and a part of the bowel for people."""
    spacy.util.fix_random_seed(3)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner").add_label("PERSON")  # type: ignore[attr-defined]
    examples = [Example.from_dict(nlp.make_doc(text), {"entities": []}) for text in PLAIN]
    for frame in FRAMES:
        for name in NAMES:
            start = frame.index("{")
            spans = {"entities": [(start, start + len(name), "PERSON")]}
            examples.append(Example.from_dict(nlp.make_doc(frame.format(name)), spans))
    optimizer = nlp.initialize(lambda: examples)
    draw = random.Random(1)
    for _ in range(15):
        draw.shuffle(examples)
        for at in range(0, len(examples), 8):
            nlp.update(examples[at : at + 8], sgd=optimizer)
    path = tmp_path_factory.mktemp("model") / "en_test_people"
    nlp.to_disk(path)
    return str(path)


def hide(text: str, model: NameModel | None, *known: tuple[str, str]) -> str:
    return Deidentifier(known, shift_days=-10, seed=b"key", model=model).apply(text).text


def test_people_whom_only_the_model_sees_go_and_clinical_words_stay(folder: str) -> None:
    model = NameModel(folder)
    seen = {one.text for one in load_recogniser(model)(TEXT).ents}
    assert {"quorra zembla", "Baker", "Hill-Sachs", "Hepatic flexure"} <= seen  # so that it is we who spare them
    assert hide(TEXT, None) == TEXT.replace("Wilhelmina Roe", "[NAME]").replace("3 May", "23 April")
    assert hide(TEXT, model) == hide(TEXT, None).replace("quorra zembla", "[NAME]")


def test_what_the_rules_hide_stays_hidden(folder: str) -> None:
    """Findings of the rules are the same ones; an entity that overlaps one adds only what is left of it."""
    text = "Old films: orvexa brunt 4 May 2020. Old films: MRN 445566."
    known = ("PatientName", "Brunt^Anna")
    assert hide(text, None, known) == "Old films: orvexa [NAME] 24 April 2020. Old films: MRN [ID]."
    assert hide(text, NameModel(folder), known) == "Old films: [NAME] 24 April 2020. Old films: MRN [ID]."


def test_a_person_seen_once_goes_wherever_the_name_stands_again(folder: str) -> None:
    out = hide("Images of tamsin wexcombe were compared. Wexcombe agreed with Tamsin.", NameModel(folder))
    assert "excombe" not in out
    assert leaks(out, ["Wexcombe^Tamsin"]) == ()


def test_the_same_text_gives_the_same_result_in_any_order_and_process(folder: str) -> None:
    texts = [TEXT, "Images of ivo pellandra were compared.", TEXT.upper(), "", "x" * 50_000, f"{TEXT}\n" * 120]
    one = [hide(text, NameModel(folder)) for text in texts]
    load_recogniser.cache_clear()
    other = [hide(text, NameModel(folder)) for text in reversed(texts)]
    assert one == other[::-1]
    assert one[-1].count("[NAME]") == 240  # long texts are read in pieces


def test_labels_choose_what_a_person_is(folder: str) -> None:
    with pytest.raises(ConfigError, match=r"none of the labels DOCTOR.*PERSON"):
        hide(TEXT, NameModel(folder, ("DOCTOR",)))


def test_a_model_that_is_not_there_stops_the_command_before_it_writes(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "A1.txt", tmp_path / "o.parquet"
    source.write_text(TEXT)
    words = ["parse", str(source), "--out", str(out), "--name-model"]
    for more, says in (
        (["en_people_none"], "en_people_none"),
        ([folder, "--name-labels", "DOCTOR"], "DOCTOR"),
        ([folder, "--no-deid"], "--no-deid"),
    ):
        assert main([*words, *more]) == 2
        assert says in capsys.readouterr().err
        assert sorted(tmp_path.iterdir()) == [source]


def test_the_command_hides_the_models_people(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "A1.txt").write_text(TEXT)
    out = tmp_path / "o.parquet"
    assert main(["parse", str(tmp_path / "A1.txt"), "--out", str(out), "--name-model", folder]) == 0
    assert json.loads(capsys.readouterr().out)["identifiers_replaced"]["NAME"] == 2
    text = read_rows(tmp_path / "o.reports.parquet")[0]["text"]
    assert "quorra" not in text
    assert "Baker cyst" in text


def test_a_text_that_the_model_fails_on_is_withheld_and_the_others_go_on(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("A1", TEXT), ("A2", "FINDINGS: A spleen of orvexa brunt.")):
        (tmp_path / f"{name}.txt").write_text(text)
    nlp, whole = load_recogniser(NameModel(folder)), Language.__call__

    def fails(self: Language, text: str) -> Any:
        if self is nlp and "spleen" in text:
            raise ValueError(text)
        return whole(self, text)

    monkeypatch.setattr(Language, "__call__", fails)
    out = tmp_path / "o" / "o.parquet"
    assert main(["parse", str(tmp_path), "--out", str(out), "--name-model", folder]) == 0
    assert [row["text"][:36] for row in read_rows(out.with_name("o.reports.parquet"))] == [
        "Images of [NAME] were compared with "
    ]
    dropped = read_rows(out.with_name("o.dropped.parquet"))
    assert [(row["stage"], row["reason"], row["detail"]) for row in dropped] == [
        ("deidentify", "PARSE_FAILED", "ValueError")
    ]
    assert "orvexa" not in capsys.readouterr().err


def test_a_curation_is_told_the_model_in_its_configuration(folder: str, tmp_path: Path) -> None:
    """Found beside the file, recorded by its content, used for every report; missing, the run does not start."""
    path = tmp_path / "c.toml"
    (tmp_path / "people").symlink_to(folder)
    path.write_text('[deid]\nname_model = "people"\n')
    config = read_config(path)
    assert config.deid.people == NameModel(str(Path(folder).resolve()))
    recorded = config.recorded()
    assert recorded["deid"]["name_model"] == model_record(NameModel(folder))
    assert recorded["deid"]["name_model"].startswith("sha256:")
    assert str(tmp_path) not in str(recorded)
    assert Config.model_validate(recorded).recorded() == recorded != Config().recorded()
    report = {"report_id": "r", "rule": "accession", "confidence": 1.0, "flags": [], "status": "final", "known": []}
    report |= {"language": "en", "text": f"FINDINGS: {TEXT}"}
    read = read_narrative(report, known=(), shift_days=-10, seed=b"k", language=None, name_model=config.deid.people)
    assert isinstance(read, Narrative)
    assert "quorra" not in read.parsed.text


def test_a_curation_does_not_start_without_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("dicom", "reports"):
        (tmp_path / name).mkdir()
    config = tmp_path / "c.toml"
    config.write_text('[deid]\nname_model = "no_people"\n')
    words = ["run", str(tmp_path / "dicom"), "--reports", str(tmp_path / "reports"), "--out", str(tmp_path / "set")]
    assert curate([*words, "--config", str(config)]) == 2
    assert "no_people" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["c.toml", "dicom", "reports"]
