"""Planted identifiers through a real curation: how many are in any byte of the data set, a log, a task key, an error.

Invented names, numbers and addresses go wherever an export may hold them: standard, nested and private elements, curves
and overlays, the preamble and what follows the pixels, elements of numbers and codes, file and folder names, archive
members, columns and text of the reports. Then the command line curates with two workers, again, verifies, and fails.
What is written is searched by a program that shares nothing with the toolkit's own search.

``python -m benchmarks.curation_identifiers [N] [--seed S]`` prints a table by place; the bar is 0 of 30,000.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

REPOSITORY = Path(__file__).resolve().parents[1]
N_SLICES = 10
WORDS = (
    "InstitutionName", "StationName", "PatientAddress", "InstitutionalDepartmentName", "PatientComments",
    "ImageComments", "AdditionalPatientHistory", "ProtocolName", "DeviceSerialNumber",
)  # fmt: skip
SHORTEST = 7
"""Characters of the shortest plant: shorter ones occur by chance, and could not be told from a leak."""
TEXT = (
    "Patient: {family}, {given}   MRN: {mrn}   Acc: {accession}\n"
    "FINDINGS:\nThe liver is normal in size. There is a {size} mm cyst in the right kidney. {title} {family} was seen "
    "before at {place}. The spleen is unremarkable. No pleural effusion. Compared with {accession}.\n\n"
    "IMPRESSION:\n1. Simple cyst of the right kidney, {size} mm.\n2. No acute abnormality.\n\n"
    "Discussed with Dr. {doctor} by telephone {phone}. Copy to {mail}.\n"
    "Electronically signed by {reader}, MD\n"
)


@dataclass
class Plants:
    """What was planted: value (folded) -> place."""

    draw: random.Random
    placed: dict[str, str] = field(default_factory=dict)

    def word(self, place: str, n_syllables: int = 4) -> str:
        """A new invented name."""
        while True:
            syllables = (self.draw.choice("bdfgjklmnprstvz") + self.draw.choice("aeiou") for _ in range(n_syllables))
            word = "".join(syllables).capitalize() + self.draw.choice("xqwk")
            if word.casefold() not in self.placed:
                self.placed[word.casefold()] = place
                return word

    def name(self, place: str) -> str:
        """A new FAMILY^GIVEN."""
        return f"{self.word(place)}^{self.word(place)}"

    def number(self, place: str, prefix: str = "") -> str:
        """A new number of nine digits."""
        while True:
            number = f"{prefix}{self.draw.randrange(10**8, 10**9)}"
            if number.casefold() not in self.placed:
                self.placed[number.casefold()] = place
                return number


def plant(root: Path, n_wanted: int, seed: int) -> Plants:
    """Write an export (``dicom``, ``reports.csv``) in which at least `n_wanted` identifiers are planted."""
    plants = Plants(random.Random(seed))
    rows = []
    while len(plants.placed) < n_wanted:
        rows.append(_patient(root, plants, len(rows)))
    with open(root / "reports.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (root / "config.toml").write_text("[grid]\nspacing_mm = 5\n[volumes]\nmin_slices = 8\n")
    return plants


def _patient(root: Path, plants: Plants, number: int) -> dict[str, str]:
    """One patient with one study, in a folder or an archive that bears the name; returns the row of its report."""
    family, given = plants.word("name"), plants.word("name")
    mrn, accession = plants.number("patient number", "MR"), plants.number("accession number", "A")
    folder = root / "dicom" / f"{plants.word('folder name')}_{family}_{mrn}"
    uid = f"1.2.826.0.1.3680043.10.1451.{plants.number('UID')}"
    shared = {
        "PatientName": f"{family}^{given}", "PatientID": mrn, "PatientBirthDate": f"19{20 + number % 70}0617",
        "AccessionNumber": accession, "StudyDate": f"2021{1 + number % 12:02d}{1 + number % 28:02d}",
        "StudyTime": "101500", "StudyInstanceUID": uid, "StudyID": plants.number("standard element"),
        "StudyDescription": f"CT {plants.word('description')}", "PatientSex": "F",
        "ReferringPhysicianName": plants.name("standard element"),
    }  # fmt: skip
    generator = np.random.default_rng(number)
    for slice_number in range(N_SLICES):
        header = make_slice(shared, uid, slice_number, generator)
        _hide(header, plants)
        path = folder / f"{plants.word('file name')}-{slice_number:03d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        header.save_as(path, enforce_file_format=True)
        with open(path, "r+b") as file:
            file.write(plants.word("preamble").encode())
    _spoiled(folder, shared, uid, plants, generator)
    if number % 5 == 4:
        shutil.make_archive(str(folder), "zip", folder)
        shutil.rmtree(folder)
    doctor, reader = plants.name("report column"), plants.name("report text")
    phone = f"+49 30 {plants.draw.randrange(10**6, 10**7)}"
    mail = f"{plants.word('report text')}@{plants.word('report text')}.example"
    place = f"{plants.word('report text')} Hospital"
    plants.placed[phone.split()[-1]] = "report column"
    return {
        "accession_number": accession, "patient_id": mrn, "patient_name": f"{family}^{given}",
        "study_date": shared["StudyDate"], "referring_physician": doctor, "phone": phone,
        "report_number": plants.number("report column", "RN"),
        "report_text": TEXT.format(
            family=family, given=given, mrn=mrn, accession=accession, size=10 + number, phone=phone, mail=mail,
            doctor=" ".join(reversed(doctor.split("^"))), reader=" ".join(reversed(reader.split("^"))), place=place,
            title=plants.draw.choice(("Mr.", "Mrs.", "Ms.")),
        ),
    }  # fmt: skip


def make_slice(shared: dict[str, str], uid: str, number: int, generator: np.random.Generator) -> Dataset:
    """A slice of a trunk-like phantom."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = f"{uid}.2.{number}"
    header = Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    for keyword, value in shared.items():
        setattr(header, keyword, value)
    header.SeriesInstanceUID, header.FrameOfReferenceUID = f"{uid}.2", f"{uid}.9"
    header.Modality, header.Manufacturer, header.ConvolutionKernel = "CT", "SIEMENS", "B30f"
    header.ImageType, header.SeriesNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], 2
    header.InstanceNumber, header.AcquisitionNumber, header.SliceThickness = number + 1, 1, 5.0
    y, x = np.mgrid[0:48, 0:48].astype(float) - 23.5
    outer, inner = (x / 22) ** 2 + (y / 15) ** 2, (x / 20) ** 2 + (y / 13) ** 2
    hu = np.full((48, 48), -1000.0)
    hu[outer < 1], hu[inner < 1] = -95.0, 45.0
    hu[x**2 + (y - 9) ** 2 < 6] = 350.0
    hu += generator.normal(0, 12, hu.shape)
    header.Rows, header.Columns, header.PixelSpacing = 48, 48, [5.0, 5.0]
    header.ImagePositionPatient, header.ImageOrientationPatient = [-117.5, -117.5, 5.0 * number], [1, 0, 0, 0, 1, 0]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 1, -1024, "HU"
    header.PixelData = (np.clip(np.round(hu), -1024, 3071) + 1024).astype("<u2").tobytes()
    return header


def _hide(header: Dataset, plants: Plants) -> None:
    """Plant in one slice, wherever a header may hold something."""
    for keyword in ("OperatorsName", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "OtherPatientNames"):
        setattr(header, keyword, plants.name("standard element"))
    for keyword in WORDS:
        setattr(header, keyword, plants.word("standard element"))
    header.OtherPatientIDs = [plants.number("standard element"), plants.number("standard element")]
    header.PatientTelephoneNumbers = f"+49{plants.number('standard element')}"
    request, inner = Dataset(), Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = (plants.number("nested element") for _ in "ab")
    request.RequestingPhysician, request.RequestedProcedureDescription = plants.name("nested element"), "CT"
    inner.PersonName, inner.TextValue = plants.name("nested element"), plants.word("nested element")
    request.ContentSequence = [inner]
    header.RequestAttributesSequence = [request]
    block = header.private_block(0x0029, plants.word("private element"), create=True)
    nested = Dataset()
    nested.PatientName, nested.PatientID = plants.name("private element"), plants.number("private element")
    block.add_new(0x01, "PN", plants.name("private element"))
    block.add_new(0x02, "LO", plants.word("private element"))
    block.add_new(0x03, "UN", plants.word("private element").encode())
    block.add_new(0x04, "SQ", [nested])
    header.add_new(0x60000010, "US", 8)
    header.add_new(0x60000011, "US", 16)
    header.add_new(0x60000022, "LO", plants.word("overlay"))
    header.add_new(0x60000040, "CS", "G")
    header.add_new(0x60001500, "LO", plants.word("overlay"))
    header.add_new(0x60003000, "OW", plants.word("overlay", 7).encode()[:16].ljust(16))
    header.add_new(0x50000030, "SH", plants.word("curve"))
    header.add_new(0xFFFCFFFC, "OB", plants.word("behind the pixels").encode() + b" ")
    header.file_meta.SourceApplicationEntityTitle = plants.word("standard element")[:16]


def _spoiled(folder: Path, shared: dict[str, str], uid: str, plants: Plants, generator: np.random.Generator) -> None:
    """Files that will be dropped: a name stands where a number or a code should, and a detail might repeat it."""
    place = "number or code"
    edits = (
        {"Modality": plants.word(place).upper()},
        {"ImageType": ["ORIGINAL", "PRIMARY", plants.word(place).upper()], "Manufacturer": plants.word(place)},
        {"PixelSpacing": plants.word(place)},
        {"RescaleSlope": plants.word(place)},
        {"ImagePositionPatient": plants.word(place)},
        {"PhotometricInterpretation": plants.word(place).upper()},
        {"InstanceNumber": plants.word(place), "SeriesNumber": plants.word(place)},
        {"RescaleType": plants.word(place), "BurnedInAnnotation": plants.word(place).upper()},
        {"ConvolutionKernel": plants.name(place), "PatientPosition": plants.word(place).upper()},
        {"StudyDate": plants.word(place), "PatientAge": plants.word(place), "PatientSex": plants.word(place)},
    )  # fmt: skip
    for number, edit in enumerate(edits):
        for slice_number in range(N_SLICES if number in (1, 7, 8) else 1):
            header = make_slice(shared, uid, slice_number, generator)
            header.SeriesInstanceUID = f"{uid}.{20 + number}"
            header.SOPInstanceUID = f"{uid}.{20 + number}.{slice_number}"
            header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
            path = folder / f"{plants.word('file name')}.dcm"
            header.save_as(path, enforce_file_format=True)
            _overwrite(path, header, edit)
    (folder / f"{plants.word('file name')}.txt").write_text(f"{plants.word('other file')} {plants.word('other file')}")


def _overwrite(path: Path, header: Dataset, edit: dict[str, object]) -> None:
    """Save with values that pydicom would not take for their VR."""
    from pydicom import config

    mode, config.settings.writing_validation_mode = config.settings.writing_validation_mode, config.IGNORE
    try:
        for keyword, value in edit.items():
            text = "\\".join(value) if isinstance(value, list) else str(value)
            if keyword in header:
                del header[keyword]
            header.add_new(keyword, "LO", text)  # the VR is what a bad writer wrote
        header.save_as(path, enforce_file_format=True)
    finally:
        config.settings.writing_validation_mode = mode


class Search:
    """Finds planted values in text and bytes, whatever their case; knows nothing of `curation.scan`."""

    def __init__(self, plants: Plants) -> None:
        self.starts: dict[str, list[str]] = {}
        for value in plants.placed:
            assert len(value) >= SHORTEST, value
            self.starts.setdefault(value[:SHORTEST], []).append(value)

    def in_text(self, text: str) -> set[str]:
        """Every planted value in `text`."""
        found = set()
        folded = text.casefold()
        for run in re.finditer(rf"[a-z0-9]{{{SHORTEST},}}", folded):
            for at in range(run.start(), run.end() - SHORTEST + 1):
                found |= {
                    value for value in self.starts.get(folded[at : at + SHORTEST], ()) if folded.startswith(value, at)
                }
        return found

    def in_file(self, path: Path) -> set[str]:
        """Every planted value in a file's name, its bytes and, of a table, its values."""
        found = self.in_text(str(path)) | self.in_text(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":
            found |= self.in_text(json.dumps(pq.read_table(path).to_pylist(), default=str))
        return found


def curate(export: Path, dataset: Path, log: Path) -> None:
    """Curate twice with two workers, verify, and fail in three ways; everything said goes to `log`."""
    run = [
        "run",
        export / "dicom",
        "--reports",
        export / "reports.csv",
        "--out",
        dataset,
        "--config",
        export / "config.toml",
    ]
    words: list[list[object]] = [[*run, "--workers", "2"], [*run, "--workers", "2"], ["verify", dataset]]
    words += [["run", export / "absent", *run[2:]], [*run, "--key", export / "reports.csv"], ["verify", export]]
    with open(log, "w", encoding="utf-8") as said:
        for number, line in enumerate(words):
            done = subprocess.run([sys.executable, "-m", "curation", *map(str, line)], stdout=said, stderr=said,
                                  cwd=REPOSITORY, check=False, env={**os.environ, "COLUMNS": "200"})  # fmt: skip
            assert (done.returncode == 0) == (number < 3), f"call {number} ended with {done.returncode}"


def task_keys(export: Path, dataset: Path) -> list[str]:
    """The keys under which a scheduler would know the tasks of a run, and what failures would say."""
    import curation.run
    from curation.config import read_config
    from curation.executor import SerialExecutor
    from t3dkit.progress import Progress

    keys: list[str] = []

    class Recording(SerialExecutor):
        def run(self, function, tasks):  # type: ignore[no-untyped-def]
            for key, outcome in super().run(function, tasks):
                keys.append(f"{function.__name__}-{key}")
                yield key, outcome

    from contextlib import nullcontext

    opened, curation.run.open_executor = curation.run.open_executor, lambda **_: nullcontext(Recording())  # type: ignore[assignment]
    try:
        options = curation.run.Options(export=export / "dicom", reports=export / "reports.csv", dataset=dataset)
        curation.run.run_curation(options, read_config(export / "config.toml"), Progress(quiet=True))
    finally:
        curation.run.open_executor = opened
    return keys


def survivors(root: Path, plants: Plants) -> Iterator[tuple[str, str, str]]:
    """(where found, place planted, value) of every planted value found in what a curation wrote or said."""
    search = Search(plants)
    curate(root, root / "set", root / "said.txt")
    keys = task_keys(root, root / "recorded")
    assert keys
    found = [("data set", search.in_file(path)) for path in sorted((root / "set").rglob("*")) if path.is_file()]
    found.append(("logs and errors", search.in_text((root / "said.txt").read_text(encoding="utf-8"))))
    found.append(("task keys", search.in_text("\n".join(keys))))
    for where, values in found:
        yield from ((where, plants.placed[value], value) for value in sorted(values))


def main(n_wanted: int = 30_000, seed: int = 1) -> int:
    """Plant, curate, search; prints a table by place, exit 1 where anything survived."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plants = plant(root, n_wanted, seed)
        left = list(survivors(root, plants))
        pairs = pq.read_table(root / "set" / "pairs.parquet").num_rows
    by_place, survived = Counter(plants.placed.values()), Counter(place for _where, place, _value in left)
    print("| planted in | identifiers | found again |\n| --- | ---: | ---: |")
    for place, n in sorted(by_place.items()):
        print(f"| {place} | {n:,} | {survived[place]} |")
    print(f"| all | {by_place.total():,} | {survived.total()} |")
    print(f"\n{pairs} pairs were released.")
    for where, place, value in left[:20]:
        print(f"survived: {value} (planted in {place}, found in {where})", file=sys.stderr)
    return int(bool(left))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    raise SystemExit(main(words.n, words.seed))
