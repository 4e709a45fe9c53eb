"""``python -m reports parse SRC --out OUT.parquet``: reports in, sentences out.

Enters: a source of `reports.sources`. Leaves: OUT.parquet with one row per sentence, OUT.reports.parquet with the
de-identified texts, OUT.dropped.parquet with every row that gave no report of its own, and one JSON summary.
Refuses: a source without usable columns; a text in which a known identifier is left.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from reports.corpus import Corpus, Sink, parse_source
from reports.deid.recogniser import PEOPLE, NameModel, load_recogniser
from reports.profiles import NO_PROFILE, read_profile
from reports.tables import DROPPED, ENTITIES, REPORTS, SENTENCES, table_sink
from reports.work import ParseSettings, Row
from t3dkit.atomic import write_text
from t3dkit.command import Command, Program, Summary, existing_path, run_program
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from t3dkit.tables import write_table

_PARSE = """\
Read reports, merge their versions, de-identify and parse them. SRC is a CSV or TSV of any dialect, XLSX, Parquet, JSON
lines, HL7 v2, FHIR JSON, DICOM SR, text, HTML or RTF file, or a folder of these; columns are found by their names.

Writes OUT.parquet (one row per sentence, the columns of a data set's sentences.parquet), OUT.reports.parquet (the
de-identified texts with their sections) and OUT.dropped.parquet (every row that is no report of its own, and why).

  python -m reports parse reports.csv --out out/sentences.parquet
  python -m reports parse export.xlsx --columns text=Befund,accession=AuftragNr --out out/sentences.parquet
  python -m reports parse results.hl7 --columns accession=OBR-18 --out out/sentences.parquet

With --model, OUT.entities.parquet has what a spaCy model recognised (and the concepts its linker found); no other table
depends on it. With --name-model, people whom a spaCy model sees are hidden besides those whom the rules show.

Known identifiers and whatever looks like one become placeholders such as [NAME]; dates shift backwards by one number of
days per patient, drawn with the key. Without --key the draw is the same for everybody who knows the patient id: give
a key file of at least 16 bytes for what leaves the house. `python -m curation run` always uses one."""


_SURVEY = """\
Read, merge, de-identify and parse reports as `parse` does, then list what the parser made of them: headings by
frequency (unmatched first), section coverage, sentences without region, unknown words near anatomy, duplicates.

Writes OUT/profile.html (the page to read), OUT/profile.parquet (every line of every list) and OUT/profile.toml: edit it
and give it to `parse --profile`. Given a profile, the new one keeps what it has. The texts listed are de-identified,
but they are reports: keep them where reports may be.

  python -m reports profile reports.csv --out profile
  python -m reports parse reports.csv --profile profile/profile.toml --out out/sentences.parquet"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    program = Program(
        name="reports",
        description="Radiology reports in, anatomical sentences out.",
        commands=(
            Command("parse", "reports to sentences", _parse_arguments, _parse, _PARSE),
            Command(
                "profile", "what a corpus writes that the parser does not know", _survey_arguments, _survey, _SURVEY
            ),
        ),
    )
    return run_program(program, words)


def _parse_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="OUT.parquet", help="the sentence table to write")
    parser.add_argument("--model", default="", metavar="NAME", help="spaCy model for entities, such as en_core_sci_sm")
    _source_arguments(parser)


def _survey_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="OUT", help="the folder to write to")
    _source_arguments(parser)


def _source_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="file or folder of reports")
    parser.add_argument("--profile", metavar="FILE", help="headings, boilerplate and signatures of the institution")
    parser.add_argument("--columns", default="", metavar="FIELD=COLUMN,...", help="where column names do not tell")
    parser.add_argument("--key", metavar="FILE", help="key of the date shift")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that parse (default: 1)")
    parser.add_argument("--language", metavar="CODE", help="language of every report; found out when not given")
    parser.add_argument("--name-model", default="", metavar="NAME", help="spaCy model whose people are hidden besides")
    parser.add_argument("--name-labels", default=",".join(PEOPLE), metavar="LABEL,...", help="its labels of people")
    parser.add_argument("--no-deid", action="store_true", help="keep identifiers: the tables written identify patients")


def _parse(arguments: argparse.Namespace, progress: Progress) -> Summary:
    source = existing_path(arguments.source, what="reports")
    out = _out_path(arguments.out)
    model = _installed(arguments.model, progress)
    settings = replace(_settings(arguments), model=model)
    with (
        table_sink(out, SENTENCES) as sentences,
        table_sink(_beside(out, "reports"), REPORTS) as reports,
        _entity_sink(out, is_wanted=bool(settings.model)) as entities,
    ):
        corpus = Corpus(sentences=sentences, reports=reports, entities=entities)
        parse_source(source, settings, progress, corpus)
    write_table(_beside(out, "dropped"), corpus.dropped, DROPPED, sort_by=("reason", "item_id"))
    if not corpus.n_rows:
        progress.say(f"{arguments.source} holds no report: the tables are empty")
    return _summary(corpus, out) | ({"entities": len(corpus.entities)} if model else {})


def _installed(model: str, progress: Progress) -> str:
    """`model`, or nothing, said once, where it is not installed: all else works without one."""
    from spacy.util import is_package

    if not model or Path(model).exists() or is_package(model):
        return model
    progress.say(f"spaCy model {model!r} is not installed: no entities are written, all else is")
    return ""


def _entity_sink(out: Path, *, is_wanted: bool) -> AbstractContextManager[Sink]:
    return table_sink(_beside(out, "entities"), ENTITIES) if is_wanted else nullcontext(list[Row]())


def _survey(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from reports.survey import UNMATCHED, survey_corpus
    from reports.survey_files import ITEMS, item_rows, profile_text, survey_page

    source = existing_path(arguments.source, what="reports")
    out = Path(arguments.out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {arguments.out!r} is a file: give the name of a folder")
    settings = _settings(arguments)
    corpus = parse_source(source, settings, progress)
    survey = survey_corpus(corpus, settings.profile)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "profile.parquet", item_rows(survey), ITEMS)
    write_text(out / "profile.html", survey_page(survey))
    write_text(out / "profile.toml", profile_text(survey, settings.profile))
    unmatched = [one for one in survey.headings if one.kind == UNMATCHED]
    return {
        "rows": corpus.n_rows,
        "reports": survey.n_reports,
        "dropped": len(corpus.dropped),
        "headings": len(survey.headings),
        "unmatched_headings": len(unmatched),
        "suggested_headings": sum(bool(one.suggestion) for one in unmatched),
        "sections": dict(survey.coverage),
        "narrative_sentences": survey.n_narrative,
        "without_region": survey.n_unlocated,
        "unknown_words": len(survey.unknown_words),
        "repeated_sentences": len(survey.repeated),
        "duplicated_texts": len(survey.duplicates),
        "same_but_numbers": survey.n_same_but_numbers,
        "out": str(out),
        "exit_code": 0 if survey.n_reports else 1,
    }


def _settings(arguments: argparse.Namespace) -> ParseSettings:
    return ParseSettings(
        columns=_columns(arguments.columns),
        key=_key(arguments.key),
        language=arguments.language,
        workers=_workers(arguments.workers),
        deidentify=not arguments.no_deid,
        name_model=_name_model(arguments),
        profile=read_profile(existing_path(arguments.profile, what="profile")) if arguments.profile else NO_PROFILE,
    )


def _name_model(arguments: argparse.Namespace) -> NameModel | None:
    """The model of names, tried before any work: a run that was told to use one does nothing without it."""
    if not arguments.name_model:
        return None
    if arguments.no_deid:
        raise ConfigError("--name-model hides names and --no-deid keeps them: give one of the two")
    labels = tuple(label for part in arguments.name_labels.split(",") if (label := part.strip()))
    model = NameModel(arguments.name_model, labels)
    load_recogniser(model)
    return model


def _workers(number: int) -> int:
    if number < 1:
        raise ConfigError(f"--workers {number}: expected 1 or more")
    return number


def _summary(corpus: Corpus, out: Path) -> Summary:
    return {
        "rows": corpus.n_rows,
        "reports": len(corpus.reports),
        "merged": corpus.n_merged,
        "dropped": len(corpus.dropped),
        "reasons": dict(sorted(corpus.reasons.items())),
        "flags": dict(sorted(corpus.flags.items())),
        "sentences": len(corpus.sentences),
        "sentences_with_region": corpus.n_located,
        "sections": dict(sorted(corpus.sections.items())),
        "reports_with_findings_or_impression": corpus.n_covered,
        "unknown_headings": corpus.n_unknown_headings,
        "identifiers_replaced": dict(sorted(corpus.replaced.items())),
        "out": str(out),
        "exit_code": 0 if corpus.n_rows else 1,
    }


def _out_path(text: str) -> Path:
    out = Path(text)
    if out.suffix != ".parquet":
        raise ConfigError(f"--out {text!r} must end in .parquet, for example --out sentences.parquet")
    if out.is_dir():
        raise ConfigError(f"--out {text!r} is a folder: give the name of the table to write in it")
    return out


def _beside(out: Path, name: str) -> Path:
    """``OUT.reports.parquet`` beside ``OUT.parquet``."""
    return out.with_name(f"{out.stem}.{name}.parquet")


def _columns(text: str) -> Mapping[str, str] | None:
    """``text=Befund,accession=Nr`` as a mapping.

    Raises
    ------
    ConfigError
        A part has no ``=``, or a field is named twice.
    """
    columns: dict[str, str] = {}
    for part in re.split(r",(?=[^,=]{1,60}=)", text) if text else ():
        field, mark, column = part.partition("=")
        if not mark or not column.strip() or field.strip() in columns:
            raise ConfigError(f"--columns {part!r}: expected FIELD=COLUMN once for each field, for example text=Befund")
        columns[field.strip()] = column.strip()
    return columns or None


def _key(path: str | None) -> bytes:
    if path is None:
        return b"t3dkit reports parse"  # the same everywhere: see --help
    key = existing_path(path, what="key").read_bytes()
    if len(key) < 16:
        raise ConfigError(f"--key {path!r} holds {len(key)} bytes: expected at least 16, for example from /dev/urandom")
    return key


if __name__ == "__main__":
    raise SystemExit(main())
