"""Series without a fault, and series that are odd but harmless: none of them may be dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dicom_files as files
import numpy as np
import phantom
from fault_rows import Case, Wanted, stored_of
from phantom import Series, setter, write_series
from pydicom.dataset import Dataset

KERNELS = ("B30f", "STANDARD", "FC08", "B", "Br40", "I30f\\3", "LUNG", "B70f")
VENDORS = ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "TOSHIBA", "Hitachi", "UIH")


def anatomy(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """HU of a random body: its size, what it holds and its noise, the same at the same place."""
    kind = str(rng.choice(["chest", "abdomen", "head", "leg", "lung window", "no air around"]))
    size = {"leg": 0.55, "head": 0.7, "no air around": 3.0}.get(kind, 1.0) * float(rng.uniform(0.85, 1.15))
    noise = float(rng.uniform(2, 45))
    waves = rng.normal(0, 2.0, (8, 3))
    phases = rng.uniform(0, 6.28, 8)
    air = float(rng.choice([-1000.0, -1024.0, -995.0]))
    tissue, contrast = float(rng.uniform(25, 70)), float(rng.uniform(0, 180))

    def hu(points: np.ndarray) -> np.ndarray:
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        radius = np.hypot(x / (44 * size), y / (36 * size))
        value = np.where(radius < 1, tissue + 0.2 * z, air)
        value = np.where((radius < 1) & (radius > 0.88), -100.0, value)
        if kind in ("chest", "lung window"):
            value = np.where(np.hypot((np.abs(x) - 20) / 14, y / 22) < 1, -840.0, value)
        if kind == "head":
            value = np.where((radius < 0.95) & (radius > 0.8), 1100.0, value)
        value = np.where(np.hypot(x + 4, y - 22) < 6, 700.0, value)
        value = np.where(np.hypot(x - 6, y - 8) < 5, tissue + contrast, value)
        texture = np.sin(points @ waves.T + phases).sum(axis=-1) * noise / 2
        return np.clip(value + texture, -1024, 3071)

    return hu


def clean_series(rng: np.random.Generator) -> Series:
    """A series as a scanner writes it: one of the usual grids, planes, slopes and kernels."""
    side = int(rng.integers(64, 90))
    pixel = round(float(rng.uniform(1.2, 1.6)), 4)
    corner = round(-pixel * (side - 1) / 2, 3)
    plane = phantom.AXIAL if rng.random() < 0.8 else (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    slope, intercept = ((1.0, -1024.0), (1.0, 0.0), (1.0, -1000.0), (0.5, -1024.0))[int(rng.integers(4))]
    return Series(
        n=int(rng.integers(6, 14)),
        rows=side,
        columns=side,
        pixel_spacing=(pixel, pixel),
        spacing=round(float(rng.choice([0.6, 0.75, 1.0, 1.25, 2.0, 2.5, 3.0, 5.0])), 3),
        orientation=plane,
        origin=(corner, corner if plane == phantom.AXIAL else -corner, round(float(rng.uniform(-400, 400)), 1)),
        tilt_deg=0.0 if rng.random() < 0.9 else round(float(rng.uniform(-20, 20)), 1),
        slope=slope,
        intercept=intercept,
        series_uid=f"{phantom.ROOT}.2.{int(rng.integers(1, 10**9))}",
        study_uid=f"{phantom.ROOT}.1.{int(rng.integers(1, 10**9))}",
        edit=setter(
            ConvolutionKernel=str(rng.choice(KERNELS)).split("\\"),
            Manufacturer=str(rng.choice(VENDORS)),
            KVP=int(rng.choice([80, 100, 120, 140])),
        ),
        hu=anatomy(rng),
    )


def _clean(folder: Path, rng: np.random.Generator):
    series = clean_series(rng)
    write_series(folder, series)
    yield Wanted(series)


def _private(ds: Dataset, k: int) -> None:
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", bytes(2000))
    block.add_new(0x20, "LO", f"slice {k}")


def _acquisitions(ds: Dataset, k: int) -> None:
    ds.AcquisitionNumber, ds.AcquisitionTime, ds.ContentTime = k + 1, f"1011{k:02d}.5", f"1012{k:02d}"


def _unsigned(ds: Dataset, k: int) -> None:
    stored = stored_of(ds)
    if stored.min() >= 0:
        ds.PixelRepresentation = 0
        ds.PixelData = stored.astype(np.uint16).tobytes()


ODDITIES: dict[str, Callable[[Dataset, int], None]] = {
    "no instance number": setter(InstanceNumber=None),
    "instance numbers run down": lambda ds, k: setattr(ds, "InstanceNumber", 500 - k),
    "thickness twice the usual": setter(SliceThickness=10),
    "no thickness": setter(SliceThickness=None),
    "no descriptions": setter(SeriesDescription=None, StudyDescription=None),
    "description in Latin-1 without a character set": setter(SeriesDescription="Schädel"),
    "private blocks": _private,
    "padding declared and not used": lambda ds, k: ds.add_new("PixelPaddingValue", "US", 63536),
    "no rescale type": setter(RescaleType=None),
    "image type in lower case": setter(ImageType=["original", "primary", "axial"]),
    "no image type": setter(ImageType=None),
    "no patient position": setter(PatientPosition=None),
    "no kernel": setter(ConvolutionKernel=None),
    "several windows": setter(WindowCenter=[40, -600], WindowWidth=[400, 1500]),
    "an acquisition number for each slice": _acquisitions,
    "unsigned pixels": _unsigned,
    "no birth date": setter(PatientBirthDate=""),
    "a maker of one's own": setter(Manufacturer="Härtig & Söhne 株式会社", SpecificCharacterSet="ISO_IR 192"),
    "slice location lies": lambda ds, k: setattr(ds, "SliceLocation", 7 * k),
    "spacing between slices lies": setter(SpacingBetweenSlices=99),
    "empty optional elements": setter(AcquisitionNumber=None, GantryDetectorTilt="", KVP="", AccessionNumber=""),
}
SYNTAXES = (files.EXPLICIT, files.IMPLICIT, files.BIG, files.DEFLATED, files.RLE, files.JPEG_LS, files.JPEG_LOSSLESS)


def _odd(folder: Path, rng: np.random.Generator):
    """A clean series with three oddities, in one of the transfer syntaxes, in folders of its own making."""
    series = clean_series(rng)
    names = [str(name) for name in rng.choice(list(ODDITIES), 3, replace=False)]
    syntax = SYNTAXES[int(rng.integers(len(SYNTAXES)))]
    for k in range(series.n):
        ds = series.dataset(k)
        for name in names:
            ODDITIES[name](ds, k)
        ds.file_meta, ds.preamble = files.FileMetaDataset(), bytes(128)
        ds["PixelData"].VR = "OW"
        path = folder / str(rng.choice(["a", "b/c", "DICOM"])) / f"{int(rng.integers(10**9)):x}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.encode(ds, syntax))
    (folder / "_SUCCESS.txt").write_text("done")
    yield Wanted(series)


CLEAN = Case("clean", "series", "P", _clean, {})
ODD = Case("odd", "series", "P", _odd, {"NOT_DICOM": 1})
