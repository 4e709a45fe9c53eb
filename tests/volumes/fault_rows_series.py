"""Section F: what a series is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import phantom
from fault_rows import Wanted, body, case, control, linear
from fault_rows_geometry import written
from phantom import ROOT, linear_hu, save, setter, write_series

from t3dkit.progress import Progress
from t3dkit.tables import read_rows

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


@case("F01", "X", LOCALIZER=None)
def a_localizer_series(folder, rng):
    kind = ["LOCALIZER", "SCOUT", "CT_SOM5 TOP", "REF_SURVIEW"][int(rng.integers(4))]
    scout = setter(ImageType=["ORIGINAL", "PRIMARY", kind])
    write_series(folder / "scout", linear(rng, n=int(rng.integers(1, 4)), edit=scout, orientation=phantom.CORONAL))
    yield control(folder / "ct", rng)


@case("F02", "X", SECONDARY=None)
def dose_pages_screen_saves_and_renderings(folder, rng):
    kinds = ["SCREEN SAVE", "DOSE_INFO", "VRT", "CT_SOM5 PROT", "3D", "POSDISP", "VOLREN"]
    for number, kind in enumerate(kinds):
        edit = setter(ImageType=["DERIVED", "SECONDARY", "OTHER", kind])
        write_series(folder / str(number), linear(rng, n=3, edit=edit))
    write_series(folder / "capture", linear(rng, edit=setter(SOPClassUID=SECONDARY)))
    yield control(folder / "ct", rng)


@case("F02", "X", BURNED_IN=None)
def text_burned_in(folder, rng):
    write_series(folder, linear(rng, edit=setter(BurnedInAnnotation="YES")))
    return []


@case("F03", "X", REPORT_OBJECT=2, NOT_IMAGE=3, MODALITY_UNSUPPORTED=None)
def objects_that_are_no_images(folder, rng):
    study = f"{ROOT}.1.{int(rng.integers(1, 10**9))}"
    classes = {
        "sr": ("1.2.840.10008.5.1.4.1.1.88.33", "SR"),
        "pdf": ("1.2.840.10008.5.1.4.1.1.104.1", "DOC"),
        "pr": ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
        "rtstruct": ("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT"),
        "seg": ("1.2.840.10008.5.1.4.1.1.66.4", "SEG"),
    }
    for number, (name, (uid, modality)) in enumerate(classes.items()):
        ds = linear(rng, study_uid=study, series_uid=f"{study}.{number}").dataset(0)
        ds.SOPClassUID, ds.Modality = uid, modality
        del ds.PixelData, ds.Rows, ds.Columns
        save(ds, folder / name)
    pet = setter(SOPClassUID="1.2.840.10008.5.1.4.1.1.128", Modality="PT")
    write_series(folder / "pet", linear(rng, study_uid=study, edit=pet))
    yield control(folder / "ct", rng, study_uid=study)


@case("F03", "X", NO_PIXELS=None)
def images_without_pixels(folder, rng):
    write_series(folder / "headers", linear(rng, edit=setter(PixelData=None)))
    yield control(folder / "ct", rng)


@case("F03", "R")
def mr_beside_ct(folder, rng):
    series = linear(rng, modality="MR", intercept=0.0, hu=_positive)
    write_series(folder / "mr", series)
    yield Wanted(series, high=32767, low=-32768)
    yield control(folder / "ct", rng, study_uid=series.study_uid)


def _positive(points):
    return linear_hu(points) + 700


def _ranks(folder: Path, out: Path):
    """Kept rows of the series table by description."""
    from volumes.batch import convert_source
    from volumes.records import Grid

    convert_source(folder, out, grid=Grid(spacing_mm=None), suffix=".nii", workers=1, progress=Progress(quiet=True))
    return {row["series_description"]: row["rank"] for row in read_rows(out / "series.parquet")}


@case("F04", "P")
def derived_series_rank_lower(folder, rng):
    axial = linear(rng, n=18, spacing=2.5, orientation=phantom.AXIAL, edit=setter(SeriesDescription="axial"))
    study = axial.study_uid
    write_series(folder / "axial", axial)
    yield Wanted(axial)
    kinds = {
        "reformat": (phantom.CORONAL, ["DERIVED", "SECONDARY", "MPR"], 2.0),
        "projection": (phantom.AXIAL, ["DERIVED", "SECONDARY", "MIP"], 5.0),
        "thick": (phantom.AXIAL, ["ORIGINAL", "PRIMARY", "AXIAL"], 6.0),
        "subtraction": (phantom.AXIAL, ["DERIVED", "PRIMARY", "SUBTRACTION"], 2.0),
    }
    for name, (orientation, kind, spacing) in kinds.items():
        edit = setter(SeriesDescription=name, ImageType=kind)
        series = linear(rng, n=16, spacing=spacing, orientation=orientation, study_uid=study, edit=edit)
        write_series(folder / name, series)
        yield Wanted(series)
    ranks = _ranks(folder, folder.parent / "ranks")
    if ranks["axial"] != 1:
        raise AssertionError(f"the thin axial original is not the first: {ranks}")


@case("F05", "P")
def phases_in_series_of_their_own(folder, rng):
    series = linear(rng, edit=setter(ContrastBolusAgent="IOMERON", AcquisitionTime="101010"))
    late = replace(series, series_uid=series.series_uid + ".1", hu=_brighter)
    write_series(folder / "a", series)
    write_series(folder / "b", replace(late, edit=setter(ContrastBolusAgent="IOMERON", AcquisitionTime="101100")))
    yield Wanted(series)
    yield Wanted(late)


def _brighter(points):
    return linear_hu(points) + 60


@case("F06", "S")
def interleaved_phases(folder, rng):
    """Slice by slice one phase, then the other, numbered through."""
    series = linear(rng)
    late = replace(series, hu=_brighter)
    for phase, one in enumerate((series, late)):
        for k in range(series.n):
            ds = one.dataset(k)
            ds.SOPInstanceUID = f"{series.series_uid}.{2 * k + phase + 1}"
            ds.InstanceNumber, ds.AcquisitionNumber = 2 * k + phase + 1, phase + 1
            save(ds, folder / f"{2 * k + phase:03d}")
    yield Wanted(series, frozenset({"SPLIT"}))
    yield Wanted(late, frozenset({"SPLIT"}))


@case("F07", "X", BOLUS_TRACKING=None)
def bolus_tracking(folder, rng):
    n = int(rng.integers(4, 15))

    def edit(ds, k):
        ds.ImagePositionPatient = [0, 0, 50]
        ds.AcquisitionTime = f"1010{k:02d}"
        ds.AcquisitionNumber = k

    write_series(folder / "bolus", linear(rng, n=n, edit=edit))
    yield control(folder / "ct", rng)


@case("F08", "P")
def two_body_parts_in_one_series(folder, rng):
    series = linear(rng, n=24)

    def edit(ds, k):
        ds.BodyPartExamined = "CHEST" if k < 12 else "ABDOMEN"

    yield written(folder, replace(series, edit=edit))


@case("F09", "S")
def repeated_after_motion(folder, rng):
    """The first acquisition stopped early; the second is complete and lies elsewhere by a fraction of a slice."""
    first = linear(rng, n=8)
    shift = 0.4 * first.spacing * first.directions[2]
    again = replace(first, n=12, origin=tuple(np.round(first.position(0) + shift, 3).tolist()), first_instance=100)
    write_series(folder / "a", replace(first, edit=setter(AcquisitionNumber=1, AcquisitionTime="101000")))
    write_series(folder / "b", replace(again, edit=setter(AcquisitionNumber=2, AcquisitionTime="101500")))
    yield Wanted(first, frozenset({"SPLIT"}))
    yield Wanted(again, frozenset({"SPLIT"}))


@case("F10", "Q", GEOM_MISSING_SLICE=None)
def half_of_a_series_has_arrived(folder, rng):
    series = linear(rng, n=14)
    arrived = set(rng.permutation(14)[:9].tolist()) | {0, 1, 13}
    arrived -= {int(rng.integers(5, 9))}
    write_series(folder, series, skip=tuple(k for k in range(14) if k not in arrived))
    return []


@case("F10", "R")
def the_other_half_arrives_in_another_folder(folder, rng):
    series = linear(rng, n=14)
    late = tuple(sorted(rng.permutation(14)[:6].tolist()))
    write_series(folder / "monday", series, skip=late)
    write_series(folder / "tuesday", series, skip=tuple(k for k in range(14) if k not in late))
    yield Wanted(series)


@case("F11", "S")
def perfusion_over_time(folder, rng):
    series = linear(rng, n=6)
    for phase in range(4):
        one = replace(series, hu=[linear_hu, _brighter, _shifted, _darker][phase], first_instance=1 + 6 * phase)
        edit = setter(TemporalPositionIdentifier=phase + 1, NumberOfTemporalPositions=4)
        write_series(folder / str(phase), replace(one, edit=edit))
        yield Wanted(one, frozenset({"SPLIT"}))


def _shifted(points):
    return linear_hu(points) + 30


def _darker(points):
    return linear_hu(points) - 25


@case("F12", "P")
def cone_beam_and_attenuation_correction(folder, rng):
    cone = setter(Manufacturer="Imaging Sciences", ManufacturerModelName="CBCT", ConvolutionKernel=None)
    yield written(folder / "cbct", body(rng, edit=cone))
    low_dose = setter(SeriesDescription="CT AC 3.0 HD FoV", ProtocolName="PET WB")
    yield written(folder / "ac", body(rng, edit=low_dose))


@case("F13", "P")
def header_words_are_wrong(folder, rng):
    yield written(folder, body(rng, edit=setter(BodyPartExamined="KNEE", SeriesDescription="Thorax 5.0 B31f")))


@case("F14", "P")
def a_lossy_copy_beside_the_original(folder, rng):
    series = linear(rng, edit=setter(SeriesDescription="original"))
    write_series(folder / "a", series)
    lossy = setter(SeriesDescription="copy", LossyImageCompression="01", ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    copy = replace(series, series_uid=series.series_uid + ".1", edit=lossy)
    write_series(folder / "b", copy)
    yield Wanted(series)
    yield Wanted(copy, frozenset({"LOSSY", "DERIVED"}))
    ranks = _ranks(folder, folder.parent / "ranks")
    if not ranks["original"] < ranks["copy"]:
        raise AssertionError(f"the copy ranks before the original: {ranks}")
