"""How fast a series becomes a volume, beside the tools in use: ratios within one run.

``python -m benchmarks.volumes_speed [--rounds N] [--out docs/volumes_speed.md]``, or ``make bench-volumes``.

A series of 300 x 512 x 512 with the noise of a real one is written uncompressed, RLE, JPEG lossless and JPEG-LS. Every
tool reads it, resamples it and writes NIfTI, each in a process of its own, in turn, `--rounds` times. Two times are
taken: of the whole process, start and imports included, and of a worker that did the same before (the best of three).
Processor seconds (user and system, children included) are compared, since wall time on a shared machine says more about
the others. Each tool has one thread, unless it says two.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.pages import publish

ROOT = Path(__file__).resolve().parents[1]
N_SLICES, SIDE, PIXEL_MM, SLICE_MM = 300, 512, 0.7, 1.0
WARM_RUNS = 3
SYNTAXES = {"uncompressed": "EXPLICIT", "RLE": "RLE", "JPEG lossless": "JPEG_LOSSLESS_SV1", "JPEG-LS": "JPEG_LS"}
BARS = {
    ("uncompressed", 1.5, "SimpleITK"): 3.0,
    ("uncompressed", 1.5, "dcm2niix + SimpleITK"): 4.0,
    ("uncompressed", 1.0, "SimpleITK"): 3.0,
    ("RLE", 1.5, "SimpleITK"): 10.0,
    ("JPEG lossless", 1.5, "SimpleITK"): 1.4,
    ("JPEG-LS", 1.5, "SimpleITK"): 1.4,
}
FOR_THE_RECORD = ("TorchIO", "MONAI")
"""Several times slower than the others: one round shows it."""
EXPORTS = (("uncompressed", 4), ("uncompressed", 24), ("JPEG-LS", 24))
"""Series in an export, for one process against two: a small one, and one that is large enough to matter."""
HEADER_BYTES = 4096
INDEX_BAR, MEMORY_BAR_GB, WORKERS_BAR = 5.0, 0.6, 1.8
REAL = ("tcia_tcga_coad_AY-4070A", "tcia_lidc_0314_jpegls", "tcia_crlm_1004", "tcia_cptac_pda_C3L-00189")


def _real_data() -> Path:
    """The folder of real data beside this checkout, or somewhere above it."""
    folders = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    return next((folder for folder in folders if folder.is_dir()), folders[1])


# ------------------------------------------------------------------------------------------------------ the series


def write_series(folder: Path, syntax: str, *, seed: int = 0) -> None:
    """Write the series in the transfer syntax that dicom_files.py calls `syntax`."""
    import pydicom

    sys.path.insert(0, str(ROOT / "tests" / "volumes"))
    import dicom_files as files

    folder.mkdir(parents=True)
    uid = f"1.2.826.0.1.3680043.8.498.{abs(hash(folder.name)) % 10**9}"
    for k, hu in enumerate(slices_hu(seed)):
        stored = (hu + 1024).astype(np.uint16)
        ds = files.ct(stored, number=k + 1, series=uid, SOPInstanceUID=f"{uid}.{k + 1}", RescaleIntercept=-1024)
        ds.ImagePositionPatient = [-PIXEL_MM * SIDE / 2, -PIXEL_MM * SIDE / 2, k * SLICE_MM]
        ds.PixelSpacing, ds.SliceThickness = [PIXEL_MM, PIXEL_MM], SLICE_MM
        if syntax == "RLE":
            from rle.utils import encode_pixel_data

            ds.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
            ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            packed = encode_pixel_data(
                stored.tobytes(), byteorder="<", rows=SIDE, columns=SIDE, samples_per_pixel=1, bits_allocated=16
            )
            ds.PixelData = pydicom.encaps.encapsulate([packed])
            ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
            ds.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)
        else:
            (folder / f"{k:04d}.dcm").write_bytes(files.encode(ds, getattr(files, syntax)))


def slices_hu(seed: int) -> Any:
    """HU of one slice after the other: a trunk with lungs, vessels and spine, and noise as a soft kernel leaves it."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    noise = [gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 0.9) for _ in range(8)]
    noise = [field / field.std() for field in noise]
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL_MM - PIXEL_MM * SIDE / 2
    radius = np.hypot(x / 155, y / 112)
    for k in range(N_SLICES):
        z = k * SLICE_MM
        hu = np.where(radius < 1, 45.0, -1000.0)
        hu = np.where((radius < 1) & (radius > 0.87), -100.0, hu)
        lung = np.hypot((np.abs(x) - 66) / 46, y / 72) < 1 - 0.2 * np.sin(z / 60)
        vessels = 500 * (np.sin(x / 5 + z / 9) * np.sin(y / 6 - z / 11) > 0.93)
        hu = np.where(lung, -860 + vessels, hu)
        hu = np.where(np.hypot(x, y - 76) < 17, 350 + 250 * np.sin(x * 1.1) * np.sin(z), hu)
        field = np.roll(noise[k % 8], (13 * k, 29 * k), (0, 1))
        yield np.clip(np.rint(hu + field * (14 if k % 2 else 17)), -1024, 3071)


# ------------------------------------------------------------------------------------------------------- the tools


def run_t3dkit(folder: Path, spacing: float, out: Path, threads: int) -> None:
    """Index, stack, read, resample and write with our own functions."""
    from volumes.convert import convert_stack
    from volumes.index import read_instance
    from volumes.nifti import write_volume
    from volumes.records import FileRef, Grid, Instance
    from volumes.sources import iter_files
    from volumes.stacks import build_stacks

    found = [read_instance(ref) for ref in iter_files(folder) if isinstance(ref, FileRef)]
    (stack,) = build_stacks([item for item in found if isinstance(item, Instance)]).stacks
    answer = convert_stack(stack, Grid(spacing_mm=(spacing,) * 3), threads=threads)
    write_volume(answer.value, out)  # type: ignore[union-attr]


def run_simpleitk(folder: Path, spacing: float, out: Path, threads: int) -> None:
    """Read the series with GDCM, resample linearly, write."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    _sitk_resample(reader.Execute(), spacing, out)


def _sitk_resample(image: Any, spacing: float, out: Path) -> None:
    import SimpleITK as sitk

    size = [round(n * own / spacing) for n, own in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    placed = (sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), (spacing,) * 3, image.GetDirection(), -1024)
    sitk.WriteImage(sitk.Resample(image, size, *placed, sitk.sitkInt16), str(out))


def run_dcm2niix(folder: Path, spacing: float, out: Path, threads: int) -> None:
    """dcm2niix to NIfTI, SimpleITK to the new spacing."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    program = Path(sys.executable).with_name("dcm2niix")
    with tempfile.TemporaryDirectory() as scratch:
        words = [str(program), "-z", "n", "-b", "n", "-f", "v", "-o", scratch, str(folder)]
        subprocess.run(words, check=True, capture_output=True)
        _sitk_resample(sitk.ReadImage(f"{scratch}/v.nii", sitk.sitkInt16), spacing, out)


def run_torchio(folder: Path, spacing: float, out: Path, threads: int) -> None:
    """TorchIO's ScalarImage and Resample."""
    import torch
    import torchio as tio

    torch.set_num_threads(threads)
    tio.Resample(spacing)(tio.ScalarImage(folder)).save(out)


def run_monai(folder: Path, spacing: float, out: Path, threads: int) -> None:
    """MONAI's LoadImage (pydicom), Spacing and SaveImage."""
    import torch
    from monai.transforms import LoadImage, SaveImage, Spacing

    torch.set_num_threads(threads)
    image = LoadImage(reader="PydicomReader", image_only=True, ensure_channel_first=True)(str(folder))
    spaced = Spacing(pixdim=(spacing,) * 3, mode="bilinear", padding_mode="border")(image)
    save = SaveImage(output_dir=str(out.parent), output_postfix="monai", separate_folder=False, print_log=False)
    save(spaced)


TOOLS: dict[str, Callable[[Path, float, Path, int], None]] = {
    "t3dkit": run_t3dkit,
    "SimpleITK": run_simpleitk,
    "dcm2niix + SimpleITK": run_dcm2niix,
    "TorchIO": run_torchio,
    "MONAI": run_monai,
}

# -------------------------------------------------------------------------------------------------------- measuring


def cpu_seconds() -> float:
    """User and system time of this process, of the children that it waited for, and of those that live."""
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + waited.ru_utime + waited.ru_stime
    tick = os.sysconf("SC_CLK_TCK")
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / tick
    return total


def work(tool: str, folder: Path, spacing: float, threads: int, runs: int) -> dict[str, float]:
    """Run a tool in this process: best times and peak memory."""
    walls, processor = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(runs):
            wall, used = time.perf_counter(), cpu_seconds()
            TOOLS[tool](folder, spacing, Path(scratch) / "out.nii", threads)
            walls.append(time.perf_counter() - wall)
            processor.append(cpu_seconds() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"wall_s": min(walls), "cpu_s": min(processor), "peak_gb": peak}


def measure(tool: str, folder: Path, spacing: float, threads: int, runs: int) -> dict[str, float]:
    """Run a tool in a process of its own; with one run, times of the whole process."""
    words = [sys.executable, "-m", "benchmarks.volumes_speed", "--work", tool, str(folder), str(spacing)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*words, str(threads), str(runs)], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    inside: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if runs > 1:
        return inside
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": used, "peak_gb": inside["peak_gb"]}


def compare(folder: Path, spacing: float, tools: list[tuple[str, int]], rounds: int, runs: int) -> dict[Any, Any]:
    """Best processor and median wall seconds of each (tool, threads), the tools taking turns."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {tool: [] for tool in tools}
    for number in range(rounds):
        for tool in tools:
            if number and tool[0] in FOR_THE_RECORD:
                continue
            found[tool].append(measure(tool[0], folder, spacing, tool[1], runs))
            print(f"  {folder.name} {spacing} mm {tool}: {found[tool][-1]}", file=sys.stderr, flush=True)
    return {
        tool: {
            "cpu_s": min(one["cpu_s"] for one in ones),
            "wall_s": median(one["wall_s"] for one in ones),
            "peak_gb": max(one["peak_gb"] for one in ones),
        }
        for tool, ones in found.items()
    }


def measure_index(folder: Path) -> tuple[float, float]:
    """Files per processor second: ours with all its values typed, pydicom's with the tags that these come from."""
    import pydicom

    from volumes.index import SHARED_KEYWORDS, read_instance
    from volumes.records import FileRef, Instance
    from volumes.sources import iter_files

    tags = [
        *SHARED_KEYWORDS.split(),
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
        *("InstanceNumber", "AcquisitionNumber", "AcquisitionTime", "ImagePositionPatient", "NumberOfFrames"),
    ]
    found = [ref for ref in iter_files(folder) if isinstance(ref, FileRef)]
    refs = [ref for ref in found if isinstance(read_instance(ref), Instance)]
    ours, theirs = [], []
    for _ in range(5):
        start = time.process_time()
        for ref in iter_files(folder):
            if isinstance(ref, FileRef):
                read_instance(ref)
        ours.append(time.process_time() - start)
        start = time.process_time()
        for ref in refs:
            ds = pydicom.dcmread(ref.path, stop_before_pixels=True, specific_tags=tags)
            for tag in tags:
                ds.get(tag)  # values are converted when they are asked for
        theirs.append(time.process_time() - start)
    return len(refs) / min(ours), len(refs) / min(theirs)


def write_copies(series: Path, export: Path, n_copies: int) -> None:
    """Copies of a written series under UIDs of their own, which are as long as the first's."""
    import pydicom

    paths = sorted(series.iterdir())
    uid = str(pydicom.dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID).encode()
    for number in range(n_copies):
        folder = export / f"{number:02d}"
        folder.mkdir(parents=True)
        for path in paths:
            data = path.read_bytes()
            head = data[:HEADER_BYTES].replace(uid, uid[:-2] + b"%02d" % number)
            (folder / path.name).write_bytes(head + data[HEADER_BYTES:])


def convert_wall_s(sources: list[Path], out: Path, workers: int) -> float:
    """Wall seconds of whole programs, one a source, started together, one thread a process."""
    start = time.perf_counter()
    programs = []
    for number, source in enumerate(sources):
        words = [sys.executable, "-m", "volumes", "convert", str(source), "--out", str(out / str(number))]
        words += ["--spacing", "1.5", "--workers", str(workers), "--threads", "1", "--quiet"]
        programs.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=ROOT))
    if any([program.wait() for program in programs]):
        raise RuntimeError("a conversion failed")
    return time.perf_counter() - start


def measure_workers(series: Path, scratch: Path, n_series: int, rounds: int) -> tuple[float, float, float]:
    """Best wall seconds for `n_series` copies: one worker, two workers, two programs with half of the series each."""
    whole, halves = scratch / "whole", [scratch / "half0", scratch / "half1"]
    write_copies(series, whole, n_series)
    for number, folder in enumerate(sorted(whole.iterdir())):
        half = halves[number % 2]
        half.mkdir(exist_ok=True)
        subprocess.run(["cp", "-al", str(folder), str(half)], check=True)
    found: list[list[float]] = [[], [], []]
    for number in range(rounds):
        out = scratch / f"out{number}"
        for times, sources, workers in ((0, [whole], 1), (1, [whole], 2), (2, halves, 1)):
            found[times].append(convert_wall_s(sources, out / str(times), workers))
            print(f"  {n_series} series: {found}", file=sys.stderr, flush=True)
        shutil.rmtree(out)
    return min(found[0]), min(found[1]), min(found[2])


# ------------------------------------------------------------------------------------------------------------ page

HEADER = """# Speed beside the tools in use

Written by `make bench-volumes` (`python -m benchmarks.volumes_speed`) on {date}: {cpu}, {n_cpus} processors, Python
{python}; load average {load} at the start. The series: {n} slices of {side} x {side},
{pixel} x {pixel} x {slice} mm, 12 bits, noise of 14 to 17 HU; files in the page cache. Times are processor seconds
(user and system, children included), the best of {rounds} rounds in which the tools took turns (of one round for
TorchIO, MONAI and the compressed series); wall seconds are medians and depend on the load. *Warm* is a worker that did
the same before (best of three), *whole* a process from its start to its end. Ratios are times of the other tool by
ours. We also compute a SHA-256 of the file, HU statistics and checks, and an antialiasing kernel; the others do not.

| series | to | tool | threads | warm cpu s | ratio | bar | warm wall s | ratio | whole cpu s | ratio | peak GB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


WORKERS_HEADER = """
## Two processes

`python -m volumes convert EXPORT --spacing 1.5 --threads 1` on an export of copies of the series, whole program from
its start to its end, best wall seconds of the rounds. *Apart* are two programs that know nothing of each other, started
together, each with half of the series: what two processes can reach on this machine at this load.

| series | one process, s | two, s | ratio | bar | apart, s | ratio of one to apart |
| --- | --- | --- | --- | --- | --- | --- |
"""


def cells(series: str, spacing: float, warm: dict[Any, Any], whole: dict[Any, Any]) -> list[str]:
    """Rows of the table for one series and spacing."""
    rows = []
    for tool, threads in warm:
        key, mine = (tool, threads), ("t3dkit", threads)
        by_cpu, by_wall = (warm[key][name] / warm[mine][name] for name in ("cpu_s", "wall_s"))
        bar = BARS.get((series, spacing, tool)) if threads == 1 else None
        words = [series, f"{spacing:g} mm", tool, str(threads)]
        words += [f"{warm[key]['cpu_s']:.2f}", f"{by_cpu:.2f}", "" if bar is None else f"{bar:g} {_met(by_cpu >= bar)}"]
        words += [f"{warm[key]['wall_s']:.2f}", f"{by_wall:.2f}"]
        if key in whole:
            words += [f"{whole[key]['cpu_s']:.2f}", f"{whole[key]['cpu_s'] / whole[mine]['cpu_s']:.2f}"]
        else:
            words += ["", ""]
        rows.append("| " + " | ".join([*words, f"{warm[key]['peak_gb']:.2f}"]) + " |")
    return rows


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def page(scratch: Path, rounds: int, data: Path) -> str:
    """Measure everything."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    text = HEADER.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}", cpu=cpu, n_cpus=os.cpu_count(), python=platform.python_version(),
        load=f"{os.getloadavg()[0]:.1f}", n=N_SLICES, side=SIDE, pixel=PIXEL_MM, slice=SLICE_MM, rounds=rounds,
    )  # fmt: skip
    for name, syntax in SYNTAXES.items():
        write_series(scratch / name.replace(" ", "_"), syntax)
    both = [("t3dkit", 1), ("SimpleITK", 1), ("t3dkit", 2), ("SimpleITK", 2)]
    everyone = [*both, ("dcm2niix + SimpleITK", 1), ("TorchIO", 1), ("MONAI", 1)]
    peak = 0.0
    for name, spacing, tools in (
        ("uncompressed", 1.5, everyone),
        ("uncompressed", 1.0, everyone),
        *((name, 1.5, both) for name in SYNTAXES if name != "uncompressed"),
    ):
        folder = scratch / name.replace(" ", "_")
        warm = compare(folder, spacing, tools, rounds if name == "uncompressed" else 1, WARM_RUNS)
        whole = compare(folder, spacing, tools, rounds, 1) if (name, spacing) == ("uncompressed", 1.5) else {}
        peak = max(peak, warm["t3dkit", 1]["peak_gb"])
        text += "\n".join(cells(name, spacing, warm, whole)) + "\n"
    text += f"\nPeak memory of one series, in any row above: {peak:.2f} GB (bar {MEMORY_BAR_GB} GB: "
    text += f"{_met(peak <= MEMORY_BAR_GB)}).\n"
    text += "\n## Header scan\n\nFiles per processor second, all values typed; pydicom's `dcmread(specific_tags=...)` "
    text += f"with the same tags, values asked for. Bar: {INDEX_BAR:g} times as fast.\n\n"
    text += "| files | ours | pydicom | ratio |\n| --- | --- | --- | --- |\n"
    for folder in (scratch / "uncompressed", *(data / name for name in REAL)):
        if folder.is_dir():
            ours, theirs = measure_index(folder)
            text += f"| {folder.name} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.1f} |\n"
    text += WORKERS_HEADER
    for name, n_series in EXPORTS:
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            one, two, apart = measure_workers(scratch / name.replace(" ", "_"), Path(place), n_series, rounds)
        text += f"| {n_series} {name} | {one:.2f} | {two:.2f} | {one / two:.2f} | {WORKERS_BAR:g} "
        text += f"{_met(one / two >= WORKERS_BAR)} | {apart:.2f} | {one / apart:.2f} |\n"
    return text


def main(words: list[str] | None = None) -> int:
    """Print the page, or do one tool's work in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=_real_data())
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", nargs=5, metavar=("TOOL", "FOLDER", "SPACING", "THREADS", "RUNS"))
    arguments = parser.parse_args(words if words is not None else [])
    if arguments.work:
        tool, folder, spacing, threads, runs = arguments.work
        print(json.dumps(work(tool, Path(folder), float(spacing), int(threads), int(runs))))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        text = page(Path(scratch), arguments.rounds, arguments.data)
    publish(text, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
