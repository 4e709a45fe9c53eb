"""Mutated files: nothing but a verdict may come of them.

``python -m benchmarks.volumes_fuzz [--inputs 100000] [--first 0] [--out docs/volumes_fuzz.md]``

Input number n is a pure function of n: one of the seeds (DICOM in every transfer syntax, Enhanced CT, pydicom's own
test files, NIfTI, zip, tar, gzip) with a few mutations. It is found, indexed, stacked and decoded as `volumes convert`
does it. A worker process does the work and this one watches it: a death, an exception that is no verdict, or more than
30 s without an answer is counted with its number, and the work goes on behind it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import resource
import select
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import publish

ROOT = Path(__file__).resolve().parents[1]
HANG_S = 30.0
START_S = 300.0
"""Imports, compilation and the unharmed seeds before the first input."""
MEMORY_BAR_GB = 1.5
MAX_SEED_BYTES = 60_000
INTERESTING = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0", b"\xfe\xff\0\xe0")

# ------------------------------------------------------------------------------------------------------- the inputs


@lru_cache(maxsize=1)
def seeds() -> tuple[bytes, ...]:
    """Small files of every kind that is read."""
    import warnings

    import nibabel
    from pydicom.data import get_testdata_files

    sys.path.insert(0, str(ROOT / "tests" / "volumes"))
    import dicom_files as files

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = [files.encode(files.ct(files.pixels(64, 64)), syntax) for syntax in files.NATIVE + files.COMPRESSED]
        plain += [files.encode(files.ct(files.pixels(is_signed=True)), files.EXPLICIT)]
        plain += [files.without_meta(plain[0]), files.without_meta(plain[1])]
        frames = np.stack([files.pixels(seed=k) for k in range(4)])
        plain += [files.encode(files.enhanced_ct(frames), syntax) for syntax in (files.EXPLICIT, files.JPEG_LS)]
    image = nibabel.Nifti1Image(np.arange(30 * 30 * 12, dtype=np.int16).reshape(30, 30, 12) % 900 - 500, np.eye(4))
    second = nibabel.Nifti2Image(np.asarray(image.dataobj), np.eye(4))
    found = [*plain * 4, image.to_bytes(), second.to_bytes(), gzip.compress(image.to_bytes()), *_archives(plain)]
    for name in sorted(get_testdata_files()):
        path = Path(name)
        if path.is_file() and path.stat().st_size <= MAX_SEED_BYTES:
            found.append(path.read_bytes())
    return tuple(found)


def _archives(members: list[bytes]) -> list[bytes]:
    zipped, packed = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(members[:4]):
            archive.writestr(zipfile.ZipInfo(f"d/{number}.dcm"), data)
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number, data in enumerate(members[:4]):
            info = tarfile.TarInfo(f"d/{number}.dcm")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return [zipped.getvalue(), packed.getvalue(), gzip.compress(packed.getvalue()), gzip.compress(members[1])]


def mutated(number: int) -> bytes:
    """Input `number`."""
    rng = np.random.default_rng([20_26, number])
    known = seeds()
    data = bytearray(known[int(rng.integers(len(known)))])
    for _ in range(int(rng.geometric(0.6))):
        MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
    return bytes(data)


def _at(data: bytearray, rng: np.random.Generator) -> int:
    """A place; often in the first kilobyte, where headers are."""
    limit = len(data) if rng.random() < 0.7 else min(len(data), 1024)
    return int(rng.integers(max(limit, 1)))


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        if data:
            data[_at(data, rng) % len(data)] ^= 1 << int(rng.integers(8))


def _interesting(data: bytearray, rng: np.random.Generator) -> None:
    at, value = _at(data, rng), INTERESTING[int(rng.integers(len(INTERESTING)))]
    size = int(rng.choice([1, 2, 4]))
    data[at : at + size] = value[:size]


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[_at(data, rng) :]


def _remove(data: bytearray, rng: np.random.Generator) -> None:
    at = _at(data, rng)
    del data[at : at + int(rng.integers(1, 64))]


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    at = _at(data, rng)
    data[at:at] = rng.integers(0, 256, int(rng.integers(1, 64)), dtype=np.uint8).tobytes()


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    at, size = _at(data, rng), int(rng.integers(1, 512))
    data[at:at] = data[at : at + size] * int(rng.integers(1, 8))


def _splice(data: bytearray, rng: np.random.Generator) -> None:
    other = seeds()[int(rng.integers(len(seeds())))]
    at, start = _at(data, rng), int(rng.integers(len(other)))
    data[at : at + 256] = other[start : start + int(rng.integers(1, 512))]


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip,
    _flip,
    _flip,
    _interesting,
    _interesting,
    _cut,
    _remove,
    _insert,
    _repeat,
    _splice,
)

# ------------------------------------------------------------------------------------------------------- the worker


def digest(path: Path) -> list[str]:
    """What becomes of the file at `path`: one word per file in it, and one per decoded frame."""
    from volumes import decode
    from volumes.errors import VolumeError
    from volumes.index import read_instance
    from volumes.missing_uids import fill_uids
    from volumes.nifti_input import NiftiImage, check_nifti, read_nifti_header
    from volumes.records import FileDrop, Instance
    from volumes.sources import close_archives, iter_files
    from volumes.stacks import build_stacks

    decode.forgive()  # all inputs come under one name, and one of them may have killed its decoder
    words: list[str] = []
    instances: list[Instance] = []
    for found in iter_files(path):
        answer = found if isinstance(found, FileDrop) else read_instance(found, may_lack_uids=True)
        if isinstance(answer, FileDrop) and answer.detail == "NIfTI":
            image = read_nifti_header(answer.file)
            if isinstance(image, NiftiImage):
                problem = check_nifti(image)
                words.append("NIfTI kept" if problem is None else str(problem.reason))
                continue
            answer = image
        if isinstance(answer, FileDrop):
            words.append(str(answer.reason))
        else:
            instances.append(answer)
    instances, dropped = fill_uids(instances)
    words += [str(drop.reason) for drop in dropped]
    for instance in instances:
        try:
            build_stacks([instance])
            decode.read_slice(instance, 0)
            words.append("decoded")
        except VolumeError as error:
            words.append(str(error.reason))
    close_archives()
    return words


def serve(first: int, last: int) -> None:
    """Do inputs `first` .. `last`; one line of JSON before and after each."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        path = Path(folder) / "input"
        for seed in seeds():  # what is compiled or loaded with its first use is no hang
            path.write_bytes(seed)
            digest(path)
        for number in range(first, last):
            path.write_bytes(mutated(number))
            print(json.dumps({"start": number}), flush=True)
            start = time.monotonic()
            try:
                answer: dict[str, Any] = {"words": digest(path)}
            except Exception as error:  # whatever it is, it is no verdict
                frame = error.__traceback__
                while frame is not None and frame.tb_next is not None:
                    frame = frame.tb_next
                place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
                answer = {"error": f"{type(error).__name__} at {place}"}
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(json.dumps({"end": number, "s": time.monotonic() - start, "gb": peak, **answer}), flush=True)


# ------------------------------------------------------------------------------------------------------ the watcher


def watch(first: int, last: int) -> dict[str, Any]:
    """Run workers until all inputs are done; counts, and the numbers of those that failed."""
    outcome: dict[str, Any] = {"words": Counter(), "deaths": [], "hangs": [], "errors": [], "slowest_s": 0.0, "gb": 0.0}
    number = first
    while number < last:
        number = _watch_one(number, last, outcome)
    return outcome


def _watch_one(first: int, last: int, outcome: dict[str, Any]) -> int:
    """Watch one worker until it ends, dies or hangs; answers the next number to do."""
    words = [sys.executable, "-m", "benchmarks.volumes_fuzz", "--serve", str(first), str(last)]
    worker = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    assert worker.stdout is not None
    running, rest, grace = first, b"", START_S
    while True:
        ready, _, _ = select.select([worker.stdout], [], [], grace)
        if not ready:
            outcome["hangs"].append(running)
            worker.kill()
            worker.wait()
            return running + 1
        chunk = os.read(worker.stdout.fileno(), 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "start" in answer:
                running, grace = answer["start"], HANG_S
            else:
                _note(answer, outcome)
                running += 1
    if worker.wait() != 0 or running < last:
        outcome["deaths"].append(running)
        return running + 1
    return last


def _note(answer: dict[str, Any], outcome: dict[str, Any]) -> None:
    outcome["slowest_s"] = max(outcome["slowest_s"], answer["s"])
    outcome["gb"] = max(outcome["gb"], answer["gb"])
    if "error" in answer:
        outcome["errors"].append((answer["end"], answer["error"]))
    outcome["words"].update(answer.get("words", ()))
    if answer["end"] % 5000 == 0:
        print(f"  input {answer['end']:,}, {outcome['gb']:.2f} GB", file=sys.stderr, flush=True)


PAGE = """# Mutated files

Written by `python -m benchmarks.volumes_fuzz --first {first} --inputs {n} --out docs/volumes_fuzz.md` on {date}: {n:,}
mutated files from {n_seeds} seeds (DICOM in every transfer syntax, Enhanced CT, pydicom's test files, NIfTI, archives),
each found, indexed, stacked and decoded.

| what | count | bar |
| --- | --- | --- |
| deaths of the process (outside of the decoding child) | {deaths} | 0 |
| exceptions that are no verdict | {errors} | 0 |
| more than {hang:g} s for one input | {hangs} | 0 |
| slowest input | {slowest:.1f} s | {hang:g} s |
| peak memory | {gb:.2f} GB | {bar} GB |

## What became of the files and frames

| verdict | count |
| --- | --- |
"""


def main(words: list[str] | None = None) -> int:
    """Watch, print the page; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", nargs=2, type=int, metavar=("FIRST", "LAST"))
    arguments = parser.parse_args(words if words is not None else [])
    if arguments.serve:
        serve(*arguments.serve)
        return 0
    outcome = watch(arguments.first, arguments.first + arguments.inputs)
    text = PAGE.format(
        first=arguments.first, n=arguments.inputs, date=f"{datetime.now(UTC):%Y-%m-%d}", n_seeds=len(seeds()),
        deaths=len(outcome["deaths"]), errors=len(outcome["errors"]), hangs=len(outcome["hangs"]), hang=HANG_S,
        slowest=outcome["slowest_s"], gb=outcome["gb"], bar=MEMORY_BAR_GB,
    )  # fmt: skip
    text += "".join(f"| {word} | {count:,} |\n" for word, count in sorted(outcome["words"].items()))
    failed = [*outcome["deaths"], *outcome["hangs"], *outcome["errors"]]
    if failed:
        text += f"\nFailed: {failed[:50]}\n"
    publish(text, arguments.out)
    return int(bool(failed) or outcome["gb"] > MEMORY_BAR_GB)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
