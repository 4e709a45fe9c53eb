"""The whole curation: index, reports, link, one task per study, split, assemble, verify.

Enters: an export, its reports, a configuration. Leaves: a data set, a private folder beside it, a summary. Refuses
to start on an empty export, unusable reports, a newer data set, another key, or beside another run.

Run again on the same data set, it does only what is new; nothing new writes nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from curation import accounts, assemble, intake
from curation.absent import find_absences
from curation.card import data_card
from curation.changes import Changes, changes_between, counted, keep_changes, rows_on_disk
from curation.config import Config
from curation.contract import Dataset, in_order_of_work, private_folder
from curation.errors import LedgerError
from curation.executor import WORKER_DIED, Executor, Failure, open_executor
from curation.identity import Identity, StudyFacts, resolve_identity, study_facts
from curation.index import dicom_root, index_export, patient_owner
from curation.labels import sweep_labels
from curation.ledger import LIMIT, Ledger, open_ledger
from curation.link import LinkOutcome, link_reports
from curation.masks import MaskStamps
from curation.mistaken import naming_others
from curation.pseudonyms import Pseudonyms, make_key, read_key
from curation.reasons import DropReason
from curation.scan import Matcher, searched_identifiers
from curation.spec import STAGE, SpecMaker
from curation.study import process_study
from curation.suspicion.clues import SourceRow, source_rows
from curation.uids import fill_missing_uids
from curation.verify import require_sound
from reports.grammar import lexicon_version
from reports.reasons import ReportFlag
from reports.records import RawReport
from t3dkit.atomic import sweep_temporaries
from t3dkit.errors import ConfigError, DataError
from t3dkit.progress import Progress
from t3dkit.version import VERSION
from volumes.reasons import DropReason as FileReason

RECORDED_PACKAGES = (
    "imagecodecs", "isal", "numba", "numpy", "pandas", "pyarrow", "pydicom", "pyjpegls", "pylibjpeg-openjpeg",
    "python-gdcm", "scipy", "scispacy", "spacy",
)  # fmt: skip
"""Packages whose version may decide bytes."""
KILLER = "killer"
"""Under what the ledger counts the runs in which a study killed its workers; it has no result then."""


@dataclass(frozen=True)
class Options:
    """Where things are and how the work is spread."""

    export: Path
    reports: Path
    dataset: Path
    workers: int = 1
    scheduler: str | None = None
    masks: Path | None = None
    key: Path | None = None
    retry: bool = False
    """Try again what was given up (`curation.ledger.MAX_STRIKES`)."""


def run_curation(options: Options, config: Config, progress: Progress) -> dict[str, Any]:
    """Curate an export into a data set; returns the summary.

    Raises
    ------
    ConfigError
        Unusable report columns, another key, a data set inside the export.
    DataError
        No DICOM in the export, a busy or damaged ledger.
    ContractError
        The data set is newer than this program, or the finished data set does not verify.
    """
    _check_places(options)
    source = intake.read_source(options.reports, config.reports.columns)
    private = private_folder(options.dataset)
    with (
        open_ledger(private) as ledger,
        open_executor(
            workers=options.workers,
            scheduler=options.scheduler,
            memory_gb=config.workers.memory_gb,
            window_per_worker=config.workers.window,
        ) as executor,
    ):
        key_path = options.key.resolve() if options.key else make_key(private / "key")
        pseudonyms = read_key(key_path)
        _require_same_key(ledger, pseudonyms)
        options.dataset.mkdir(parents=True, exist_ok=True)
        sweep_temporaries(options.dataset)
        if options.retry:
            ledger.forgive()
        return _Run(options, config, progress, ledger, executor, pseudonyms, key_path).all_steps(source)


@dataclass
class _Run:
    """One run: the open resources, and the steps in order."""

    options: Options
    config: Config
    progress: Progress
    ledger: Ledger
    executor: Executor
    pseudonyms: Pseudonyms
    key_path: Path
    tables: assemble.Tables = field(default_factory=assemble.Tables)
    keys: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    changes: Changes = field(default_factory=dict)
    texts: list[RawReport] = field(default_factory=list)
    source_rows: list[SourceRow] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)

    @cached_property
    def facts(self) -> StudyFacts:
        """The study-level headers, read once: after the index nothing changes them."""
        return study_facts(self.ledger)

    def all_steps(self, source: Sequence[Any]) -> dict[str, Any]:
        clock = _Clock(self.seconds)
        self._index()
        clock.lap("index")
        identity = resolve_identity(self.ledger, self.executor, self.pseudonyms, self.config.identity)
        studies = accounts.account_identity(self.tables, self.ledger, self.pseudonyms, identity)
        clock.lap("identity")
        taken = self._take_in(source)
        outcome = self._link(identity, studies, taken)
        clock.lap("link")
        self.source_rows = source_rows(self.texts, taken, outcome.links, self.facts, self.pseudonyms)
        n_done = self._process(identity, outcome, taken)
        clock.lap("studies")
        n_changed = self._write()
        clock.lap("assemble")
        checked = require_sound(self.options.dataset, workers=self.options.workers)
        clock.lap("verify")
        return self._summary(n_done, n_changed, checked)

    # index and identity

    def _index(self) -> None:
        source = dicom_root(self.options.export)
        n_found = index_export(source, self.ledger, self.executor, self.pseudonyms, progress=self.progress)
        if not any(True for _ in self.ledger.query("SELECT 1 FROM file WHERE kind = 'image' LIMIT 1")):
            raise DataError(
                f"{self.options.export} holds no DICOM image ({n_found} files looked at): "
                "give the folder or archive that the PACS exported"
            )
        fill_missing_uids(self.ledger, self.executor, self.pseudonyms)
        accounts.account_files(self.tables, self.ledger, self.pseudonyms)

    # reports and links

    def _take_in(self, source: Sequence[Any]) -> intake.Intake:
        items = [*source, *self._report_objects()]
        taken = intake.merge_intake(items, self.pseudonyms)
        self.texts = [item for item in items if isinstance(item, RawReport)]
        intake.keep_identifiers(taken, self.ledger)
        self._keep_crosswalk(taken)
        for key, reason, detail in taken.dropped:
            self.tables.drop("reports", "report", self.pseudonyms.of("row", key), reason, detail, real=key)
        self.tables.stages["reports"] = assemble.Stage("report", taken.n_rows, taken.n_used)
        return taken

    def _report_objects(self) -> Iterator[Any]:
        from volumes.sources import read_bytes

        folder = private_folder(self.options.dataset) / "objects"
        for row in self.ledger.files("kind = 'report'"):
            path = Path(row.ref.path)
            if row.ref.members:  # inside an archive: unpacked for the reader, beside the ledger
                folder.mkdir(mode=0o700, exist_ok=True)
                path = folder / f"{self.pseudonyms.of('file', row.ref.name)}.dcm"
                path.write_bytes(read_bytes(row.ref))
            # The reader's key is the file's name; in the export only the path is unique.
            yield from (replace(item, source_key=row.ref.name) for item in intake.read_source(path))

    def _link(self, identity: Identity, studies: Sequence[str], taken: intake.Intake) -> LinkOutcome:
        """Link over every study, dropped ones too: a report whose study was dropped must not find another."""
        void = {report_id for report_id, merged in taken.reports.items() if ReportFlag.WRONG_PATIENT in merged.flags}
        outcome = link_reports(
            intake.study_records(self.facts),
            [intake.report_record(*item) for item in taken.reports.items()],
            self.config.link,
        )
        alive = {uid for uid in studies if uid not in identity.studies}
        links = tuple(link for link in outcome.links if link.study in alive and link.report not in void)
        accounts.account_links(self.tables, self.pseudonyms, outcome, links=links, alive=alive, void=void)
        self._name_decisions(outcome)
        return LinkOutcome(links, outcome.dropped_reports, outcome.dropped_studies)

    def _name_decisions(self, outcome: LinkOutcome) -> None:
        named = [("report", item) for item in outcome.dropped_reports]
        named += [("study", item) for item in outcome.dropped_studies]
        self.ledger.replace_decisions((kind, i.key, str(i.reason), json.dumps(i.others)) for kind, i in named)

    # studies

    def _process(self, identity: Identity, outcome: LinkOutcome, taken: intake.Intake) -> int:
        """Process what is new, collect every study's rows; returns how many studies were processed."""
        links: dict[str, list[Any]] = defaultdict(list)
        for link in outcome.links:
            links[link.study].append(link)
        maker = SpecMaker(
            self.options.dataset, self.options.masks, self.key_path, self.config, self.ledger, self.pseudonyms,
            MaskStamps(self.options.masks), identity.files.keys(), taken.reports,
            find_absences(self.ledger, self.executor, self.pseudonyms),
        )  # fmt: skip
        n_done = 0
        with self.progress.task("curate studies", total=len(links)) as task:
            sent: dict[str, str] = {}
            for study_id, value in self.executor.run(process_study, self._tasks(links, maker, sent, task)):
                if isinstance(value, Failure) and value.is_environment:
                    raise DataError(
                        f"the machine failed a study ({value.kind}): see to disk space and permissions of "
                        f"{self.options.dataset}, then run the same command again to go on"
                    )
                self._keep(study_id, sent.pop(study_id), value, task)
                n_done += not isinstance(value, Failure)
        self._collect(links)
        accounts.account_unprocessed(
            self.tables, self.ledger, self.pseudonyms, processed=set(links), failures=self.failures
        )
        return n_done

    def _keep(self, study_id: str, key: str, value: Any, task: Any) -> None:
        """Put what came of a study into the ledger."""
        kind = KILLER if isinstance(value, Failure) else STAGE
        if isinstance(value, Failure):
            met_limits = value.kind == WORKER_DIED
            self.failures[study_id] = value
            task.advance(failed=1)
        else:
            met_limits = any(row["reason"] == LIMIT for row in value["dropped"])
            self.ledger.put_result(STAGE, study_id, key, value)
            task.advance(pairs=len(value["pairs"]))
        if met_limits:
            with self.ledger.transaction():
                self.ledger.strike(kind, study_id, key)
        self._spec_path(study_id).unlink(missing_ok=True)

    def _tasks(
        self,
        links: Mapping[str, Sequence[Any]],
        maker: SpecMaker,
        sent: dict[str, str],
        task: Any,
    ) -> Iterator[tuple[str, Any]]:
        for uid in sorted(links, key=lambda uid: self.pseudonyms.of("study", uid)):
            spec = maker.spec(uid, self.facts[uid], links[uid])
            key = maker.key_of(spec)
            self.keys[spec.study_id] = key
            if not self._is_to_do(spec.study_id, key):
                task.advance(unchanged=1)
                continue
            sent[spec.study_id] = key
            path = self._spec_path(spec.study_id)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(json.dumps(asdict(spec)), encoding="ascii")
            yield spec.study_id, str(path)

    def _is_to_do(self, study_id: str, key: str) -> bool:
        """Whether a study is new, changed or worth another try; one that killed workers too often fails at once."""
        result = self.ledger.result(STAGE, study_id, key)
        if result is None:
            is_given_up = self.ledger.is_given_up(KILLER, study_id, key)
            if is_given_up:
                self.failures[study_id] = Failure(WORKER_DIED)
            return not is_given_up
        if self.ledger.may_pass({row["reason"] for row in result["dropped"]}, STAGE, study_id, key):
            return True
        return not all((self.options.dataset / row["path"]).is_file() for row in result["volumes"])

    def _spec_path(self, study_id: str) -> Path:
        return private_folder(self.options.dataset) / "tasks" / f"{study_id}.json"

    def _collect(self, links: Mapping[str, Sequence[Any]]) -> None:
        pseudonyms, tables = self.pseudonyms, self.tables
        done = [(pseudonyms.of("study", uid), uid) for uid in links]
        done = sorted((study_id, uid) for study_id, uid in done if study_id not in self.failures)
        n_files = n_links = 0
        for study_id, uid in done:
            result = self.ledger.result(STAGE, study_id, self.keys[study_id])
            if result is None:
                raise LedgerError("the ledger lost a result that was just written: run again")
            tables.add_study(result)
            self.ledger.put_crosswalk([("study", uid, study_id), *(tuple(row) for row in result["crosswalk"])])
            n_links += len(links[uid])
            n_files += result["n_files"]
        for study_id, failure in sorted(self.failures.items()):
            reason = FileReason.RESOURCE_LIMIT if failure.kind == WORKER_DIED else DropReason.STAGE_FAILED
            tables.drop("process", "study", study_id, reason, str(failure))
        self.ledger.forget_results(STAGE, [study_id for study_id, _uid in done])
        n_reread = sum(row["stage"] == "reread" for row in tables.rows["dropped"])
        self.tables.stages |= {
            "process": assemble.Stage("study", len(links), len(done)),
            "reread": assemble.Stage("file", n_files, n_files - n_reread),
            "pairs": assemble.Stage("pair", n_links, len(tables.rows["reports"])),
        }

    # the data set

    def _write(self) -> int:
        tables, dataset = self.tables, self.options.dataset
        series = tables.rows["series"]
        tried = [row for row in series if row["rank"] is not None and row["verdict"] != "not_selected"]
        ranked = [row for row in series if row["rank"] is not None]
        kept = [row for row in series if row["verdict"] == "kept"]
        tables.stages |= {
            "stacks": assemble.Stage("series", len(series), len(ranked)),
            "select": assemble.Stage("series", len(ranked), len(tried)),
            "convert": assemble.Stage("series", len(tried), len(kept)),
        }
        matcher = Matcher(searched_identifiers(self.ledger.query), min_chars=self.config.deid.min_identifier_chars)
        verdicts = assemble.read_verdicts(dataset)
        mistaken = naming_others(self.source_rows) if self.config.link.other_patient == "drop" else set()
        assemble.finish_pairs(tables, self.config.split, matcher, verdicts, source=self.source_rows, mistaken=mistaken)
        recorded = self.config.recorded()
        manifest = assemble.manifest_of(
            name=self.config.name,
            config=recorded,
            digest=self.config.digest(),
            versions={
                "t3dkit": VERSION,
                "lexicon": lexicon_version(),
                **{name: version(name) for name in RECORDED_PACKAGES},
            },
            tables=tables,
        )
        with self.ledger.transaction():
            self.ledger.put_crosswalk(tables.named)
        card = data_card(manifest, tables.rows)
        staging = private_folder(dataset) / "staging"
        self.changes = changes_between(rows_on_disk(dataset), tables.rows)
        keep_changes(private_folder(dataset), "run", self.changes)
        n_changed = assemble.write_dataset(dataset, staging, tables, manifest, card)
        n_changed += assemble.sweep_volumes(dataset, tables.rows["volumes"])
        return n_changed + sweep_labels(dataset, {row["volume_id"] for row in tables.rows["volumes"]})

    def _keep_crosswalk(self, taken: intake.Intake) -> None:
        people = {(h["issuer"], h["patient_id"]) for headers in self.facts.values() for h in headers}
        rows = [("patient", patient_owner(*person), self.pseudonyms.patient(*person)) for person in sorted(people)]
        rows += [
            ("report", f"{merged.raw.source_key}\x1f{merged.raw.report_number or ''}", report_id)
            for report_id, merged in taken.reports.items()
        ]
        with self.ledger.transaction():
            self.ledger.put_crosswalk(rows)

    def _summary(self, n_done: int, n_changed: int, checked: Mapping[str, Any]) -> dict[str, Any]:
        counts = in_order_of_work(self.tables.counts())
        n_pairs = len(self.tables.rows["pairs"])
        if not n_pairs:
            self.progress.say(f"no pair was made: {self.options.dataset}/README.md says where everything went, and why")
        return {
            "exit_code": int(not n_pairs),
            "dataset": str(self.options.dataset),
            "pairs": n_pairs,
            "splits": {name: part["pairs"] for name, part in assemble.split_counts(self.tables.rows["pairs"]).items()},
            "studies_processed": n_done,
            "files_changed": n_changed,
            "changes": counted(self.changes),
            "counts": {name: {k: stage[k] for k in ("in", "kept", "dropped")} for name, stage in counts.items()},
            "verified": dict(checked),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


class _Clock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self.last = now - self.last, now


def _check_places(options: Options) -> None:
    dataset, export = options.dataset.resolve(), options.export.resolve()
    if dataset == export or dataset.is_relative_to(export):
        raise ConfigError("the data set must not lie inside the export: give another --out")
    if options.dataset.exists() and not options.dataset.is_dir():
        raise ConfigError(f"{options.dataset} is a file: give a folder for --out")
    if (options.dataset / "dataset.json").is_file():
        Dataset.open(options.dataset)  # refuses a newer schema
    elif options.dataset.is_dir() and any(options.dataset.iterdir()) and not private_folder(options.dataset).is_dir():
        raise ConfigError(f"{options.dataset} is not empty and no data set of ours: give a new folder for --out")
    if not os.access(options.export, os.R_OK):
        raise ConfigError(f"{options.export} cannot be read: check its permissions")


def _require_same_key(ledger: Ledger, pseudonyms: Pseudonyms) -> None:
    held = ledger.meta("key_fingerprint")
    if held not in (None, pseudonyms.fingerprint()):
        raise ConfigError(
            "this data set was made under another key: give that --key, or another --out. "
            "One patient would have two pseudonyms otherwise"
        )
    ledger.set_meta("key_fingerprint", pseudonyms.fingerprint())
