"""What planning costs at scale: identity, linking and specifications over a million series, without reading a file.

Real metadata goes into a ledger, one file a series and one report a study: the index of the package idc-index-data
where it is installed (a million series of 168,507 studies; MIT), else the sample of it beside the checkout, repeated
under new UIDs. Then come the driver's own steps of a run up to the point where studies go to workers.
``python -m benchmarks.curation_planning [N_SERIES]``; the bar is 1,000,000 within 2 GB and five minutes.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.real_export import DATA
from curation import accounts, assemble, intake
from curation.absent import find_absences
from curation.config import Config
from curation.executor import open_executor
from curation.identity import resolve_identity, study_facts
from curation.ledger import FileRow, Ledger, open_ledger
from curation.link import link_reports
from curation.masks import MaskStamps
from curation.pseudonyms import Pseudonyms
from curation.spec import SpecMaker
from reports.records import RawReport
from volumes.records import FileRef

SAMPLE = DATA / "idc_index_sample" / "idc_series_sample.parquet"
COLUMNS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "StudyDate", "PatientSex")


def main(n_series: int = 1_000_000) -> int:
    """Fill a ledger, plan a run over it, print CPU seconds and the peak of memory."""
    source = metadata_file()
    if not source.is_file():
        print(f"{source} is absent: no real metadata to plan with", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        before = peak_gb()
        with (
            open_ledger(Path(folder) / "private") as ledger,
            open_executor(workers=1, scheduler=None, memory_gb=1.5, window_per_worker=4) as executor,
        ):
            seconds = {"fill the ledger (not counted)": fill(ledger, source, n_series)}
            n_links = plan(Path(folder), ledger, executor, seconds)
        planned = sum(value for name, value in seconds.items() if "not counted" not in name)
        for name, value in seconds.items():
            print(f"{name:52} {value:8.1f} CPU s")
        print(f"{n_series:,} series, {n_links:,} links: {planned:.0f} CPU s, ", end="")
        print(f"peak {peak_gb():.2f} GB ({before:.2f} at start)")
    return 0


def metadata_file() -> Path:
    """The index of the installed package, or the sample beside the checkout."""
    package = importlib.util.find_spec("idc_index_data")
    whole = Path(package.origin or "").parent / "idc_index.parquet" if package else SAMPLE
    return whole if whole.is_file() else SAMPLE


def fill(ledger: Ledger, source: Path, n_series: int) -> float:
    """Write `n_series` files of one series each; returns the CPU seconds."""
    started = time.process_time()
    rows = pq.read_table(source, columns=list(COLUMNS))
    with ledger.transaction():
        for copy, start in enumerate(range(0, n_series, len(rows))):
            for batch in rows.slice(0, n_series - start).to_batches(max_chunksize=10_000):
                ledger.put_files([file_row(row, copy) for row in batch.to_pylist()])
    return time.process_time() - started


def file_row(row: dict[str, Any], copy: int) -> FileRow:
    """One file of the sample's series, in the `copy`-th hospital."""
    study, series = f"{row['StudyInstanceUID']}.{copy}", f"{row['SeriesInstanceUID']}.{copy}"
    header = {
        "issuer": "", "patient_id": f"{row['PatientID']}-{copy}", "name": None, "birth_date": None,
        "sex": row["PatientSex"], "accession": f"A{study[-24:]}", "issuer_of_accession": "",
        "study_date": str(row["StudyDate"] or "").replace("-", "")[:8] or None, "modality": row["Modality"],
    }  # fmt: skip
    ref = FileRef(f"{copy}/{series}.dcm", f"/export/{copy}/{series}.dcm", (), 1000)
    return FileRow(ref, "1000:1", "image", study_uid=study, series_uid=series, sop_uid=f"{series}.1", header=header)


def reports_of(ledger: Ledger) -> Iterator[RawReport]:
    """One short report a study."""
    for study_uid, header in study_facts(ledger).items():
        yield RawReport(
            source_key=study_uid,
            text="FINDINGS: The liver is normal.",
            accession_number=header[0]["accession"],
            patient_id=header[0]["patient_id"],
            study_instance_uid=None,
        )


def plan(folder: Path, ledger: Ledger, executor: object, seconds: dict[str, float]) -> int:
    """The driver's steps; returns the number of links."""
    config, pseudonyms, tables = Config(), Pseudonyms(b"0" * 32), assemble.Tables()
    clock = time.process_time()

    def lap(name: str) -> None:
        nonlocal clock
        now = time.process_time()
        seconds[f"{name} (peak so far {peak_gb():.2f} GB)"], clock = now - clock, now

    accounts.account_files(tables, ledger, pseudonyms)
    identity = resolve_identity(ledger, executor, pseudonyms, config.identity)  # type: ignore[arg-type]
    studies = accounts.account_identity(tables, ledger, pseudonyms, identity)
    lap("identity")
    source = list(reports_of(ledger))
    lap("make the reports (not counted)")
    taken = intake.merge_intake(source, pseudonyms)
    lap("merge reports")
    facts = study_facts(ledger)
    records = [intake.report_record(*item) for item in taken.reports.items()]
    outcome = link_reports(intake.study_records(facts), records, config.link)
    alive = set(studies) - identity.studies.keys()
    accounts.account_links(tables, pseudonyms, outcome, links=outcome.links, alive=alive, void=set())
    lap("link")
    maker = SpecMaker(
        folder / "dataset", None, folder / "key", config, ledger, pseudonyms,
        MaskStamps(None), identity.files.keys(), taken.reports,
        find_absences(ledger, executor, pseudonyms),  # type: ignore[arg-type]
    )  # fmt: skip
    for link in outcome.links:
        if link.study in alive:
            maker.key_of(maker.spec(link.study, facts[link.study], [link]))
    lap("specifications and their keys")
    return len(outcome.links)


def peak_gb() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
