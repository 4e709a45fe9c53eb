"""Section E: intensity. The phantom is a body, so that its histogram can tell what the header does not."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
from fault_rows import Wanted, body, body_hu, case, linear, stored_of
from fault_rows_geometry import _Raw, written
from phantom import Series, setter, write_series
from pydicom.dataset import Dataset

PADDING = {"PixelPaddingValue", "PixelPaddingRangeLimit"}


def restored(series: Series, values, dtype=np.uint16, **elements):
    """The series with other stored values: what an exporter made of them."""

    def edit(ds, k):
        ds.PixelData = values(stored_of(ds), k).astype(dtype).tobytes()
        ds["PixelData"].VR = "OW"
        for keyword in PADDING & set(elements):  # US even for signed pixels, as many writers have it
            ds.add_new(keyword, "US", elements[keyword])
        setter(**{keyword: value for keyword, value in elements.items() if keyword not in PADDING})(ds, k)

    return replace(series, edit=edit)


@case("E01", "R")
def rescale_missing_values_are_hu(folder, rng):
    series = restored(body(rng, intercept=0.0), lambda v, k: v, RescaleSlope=None, RescaleIntercept=None)
    yield written(folder, series, "RESCALE_ASSUMED")


@case("E01", "R")
def rescale_missing_values_are_shifted(folder, rng):
    series = restored(body(rng), lambda v, k: v, RescaleSlope=None, RescaleIntercept=None)
    yield written(folder, series, "RESCALE_ASSUMED")


@case("E01", "Q", HU_UNKNOWN=None)
def rescale_missing_without_evidence(folder, rng):
    series = restored(body(rng), lambda v, k: v // 3 + 700, RescaleSlope=None, RescaleIntercept=None)
    write_series(folder, series)
    return []


@case("E02", "R")
def rescale_differs_per_slice(folder, rng):
    series = body(rng)
    shifts = rng.integers(-60, 60, series.n)

    def edit(ds, k):
        ds.PixelData = (stored_of(ds) + shifts[k]).astype(np.int16).tobytes()
        ds.RescaleIntercept = int(-1024 - shifts[k])

    yield written(folder, replace(series, edit=edit), "RESCALE_PER_SLICE")


@case("E03", "Q", HU_SLOPE=None)
def slope_is_zero_or_negative(folder, rng):
    write_series(folder, body(rng, edit=setter(RescaleSlope=int(rng.choice([0, -1])))))
    return []


@case("E03", "Q", BAD_NUMBER=None)
def slope_is_no_number(folder, rng):
    def nan(ds, k):
        ds.RescaleSlope = 1
        ds["RescaleSlope"]._value = _Raw("NaN")

    write_series(folder, body(rng, edit=nan))
    return []


@case("E04", "R")
def signed_declared_unsigned(folder, rng):
    series = restored(body(rng, intercept=0.0), lambda v, k: v, dtype=np.int16, PixelRepresentation=0)
    yield written(folder, series, "PIXREP")


@case("E04", "R")
def unsigned_declared_signed(folder, rng):
    series = body(rng, hu=_with_metal)
    series = restored(series, lambda v, k: v & 0xFFF, BitsStored=12, HighBit=11, PixelRepresentation=1)
    yield written(folder, series, "PIXREP")


def _with_metal(points):
    """A body with a graded piece of metal, from 1100 to 2500 HU."""
    radius = np.hypot(points[..., 0] + 5, points[..., 1] + 12)
    return np.where(radius < 5, 2500 - 280 * radius, body_hu(points))


@case("E05", "R")
def wrapped_around_twelve_bits(folder, rng):
    series = restored(body(rng, intercept=0.0), lambda v, k: v % 4096, BitsStored=12, HighBit=11, PixelRepresentation=0)
    yield written(folder, series, "WRAP_12BIT")


def _circled(outside: float, base=body_hu):
    def hu(points):
        radius = np.hypot(points[..., 0], points[..., 1])
        return np.where(radius > 47, outside, base(points))

    return hu


def _padded(folder, rng, value: int, codes, *, signed=True, **elements):
    """Outside of a circle the stored value is `value`; the truth there is air."""
    series = body(rng, hu=_circled(-1024.0))
    beyond = [np.hypot(*series.points(k)[..., :2].reshape(-1, 2).T) > 47 for k in range(series.n)]
    dtype = np.int16 if signed else np.uint16
    edited = restored(series, lambda v, k: np.where(beyond[k], value, v), dtype=dtype, **elements)
    return written(folder, edited, *codes)


@case("E06", "R")
def padding_of_minus_2000(folder, rng):
    yield _padded(folder, rng, -2000, ["PADDING_TO_AIR"], PixelPaddingValue=63536)


@case("E06", "R")
def padding_of_63536_in_unsigned_pixels(folder, rng):
    yield _padded(folder, rng, 63536, ["PADDING_TO_AIR"], signed=False, PixelPaddingValue=63536, PixelRepresentation=0)


@case("E06", "R")
def padding_of_minus_3024_hu(folder, rng):
    yield _padded(folder, rng, -2000, ["PADDING_TO_AIR"], PixelPaddingValue=63536, RescaleIntercept=-1024)


@case("E07", "R")
def padding_that_nobody_declared(folder, rng):
    yield _padded(folder, rng, -2000, ["PADDING_UNDECLARED"])


@case("E08", "R")
def padding_range(folder, rng):
    series = body(rng, hu=_circled(-1024.0))
    noise = rng.integers(-2010, -1990, (series.n, series.rows * series.columns))
    beyond = [np.hypot(*series.points(k)[..., :2].reshape(-1, 2).T) > 47 for k in range(series.n)]

    def values(v, k):
        return np.where(beyond[k], noise[k], v)

    edited = restored(series, values, dtype=np.int16, PixelPaddingValue=63536 - 20, PixelPaddingRangeLimit=63536 + 20)
    yield written(folder, edited, "PADDING_TO_AIR")


@case("E08", "R", spacing=(1.1, 1.2, 1.3))
def padding_leaves_no_halo(folder, rng):
    """Air inside and outside: whatever padding blends into would show as less than air."""
    series = body(rng, hu=_air_in_a_circle)
    beyond = [np.hypot(*series.points(k)[..., :2].reshape(-1, 2).T) > 47 for k in range(series.n)]
    edited = restored(series, lambda v, k: np.where(beyond[k], -2000, v), dtype=np.int16, PixelPaddingValue=63536)
    yield replace(written(folder, edited, "PADDING_TO_AIR"), tolerance_hu=6.0)  # linear sampling of a curve


def _air_in_a_circle(points):
    """Air beyond 40 mm, exactly -1024; within, a hill so smooth that sampling hardly cuts it."""
    squared = points[..., 0] ** 2 + points[..., 1] ** 2
    return -1024 + 1100 * (np.maximum(0, 1600 - squared) / 1600) ** 2


@case("E09", "R")
def rubbish_above_bits_stored(folder, rng):
    rubbish = rng.integers(0, 16, (16, 80 * 80)) << 12
    series = restored(
        body(rng),
        lambda v, k: (v & 0xFFF) | rubbish[k][: len(v)],
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
    )
    yield written(folder, series, "HIGH_BITS_MASKED")


@case("E10", "Q", BITS=None)
def twelve_bits_allocated(folder, rng):
    write_series(folder, body(rng, edit=setter(BitsAllocated=12, BitsStored=12, HighBit=11)))
    return []


@case("E10", "R")
def thirty_two_bits_allocated(folder, rng):
    series = restored(body(rng), lambda v, k: v, dtype=np.int32, BitsAllocated=32, BitsStored=32, HighBit=31)
    yield written(folder, series)


@case("E10", "Q", BITS=None)
def thirty_two_bits_used(folder, rng):
    series = restored(body(rng), lambda v, k: v * 5000, dtype=np.int32, BitsAllocated=32, BitsStored=32, HighBit=31)
    write_series(folder, series)
    return []


@case("E11", "Q", HU_IMPLAUSIBLE=None)
def offset_applied_twice(folder, rng):
    write_series(folder, restored(body(rng), lambda v, k: v - 1024, dtype=np.int16))
    return []


@case("E11", "Q", HU_IMPLAUSIBLE=None)
def offset_never_applied(folder, rng):
    write_series(folder, body(rng, edit=setter(RescaleIntercept=0)))
    return []


@case("E12", "Q", WINDOWED=None)
def windowed_to_eight_bits(folder, rng):
    def values(v, k):
        return np.clip((v - 1024 + 160) / 400 * 255, 0, 255)

    series = restored(
        body(rng), values, dtype=np.uint8, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0
    )
    write_series(folder, replace(series, edit=_then(series.edit, RescaleSlope=400 / 255, RescaleIntercept=-160)))
    return []


def _then(edit, **elements):
    def both(ds, k):
        edit(ds, k)
        for keyword, value in elements.items():
            setattr(ds, keyword, f"{value:.6f}")
        if ds.BitsAllocated == 8:
            ds["PixelData"].VR = "OB"

    return both


@case("E12", "P")
def clipped_at_the_ends_of_twelve_bits(folder, rng):
    def clipped(points):
        return np.clip(_with_metal(points) * 1.4 + 20, -1024, 3071)

    yield written(folder, body(rng, hu=clipped))


@case("E13", "R")
def monochrome1(folder, rng):
    yield written(folder, body(rng, edit=setter(PhotometricInterpretation="MONOCHROME1")), "MONOCHROME1")


def _with_lut(series: Series, words) -> Series:
    """Stored values are HU + 1024, which a modality LUT turns into `words` of HU."""

    def lut(ds, k):
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [8192, 0, 16])
        item.ModalityLUTType = "HU"
        item.add_new("LUTData", "OW", words(np.arange(8192) - 1024).astype(np.uint16).tobytes())
        ds.PixelData = np.clip(stored_of(ds), 0, 8191).astype(np.uint16).tobytes()
        ds.PixelRepresentation = 0
        ds.ModalityLUTSequence = [item]
        del ds.RescaleSlope, ds.RescaleIntercept

    return replace(series, edit=lut)


@case("E14", "R")
def modality_lut_of_folded_words(folder, rng):
    yield written(folder, _with_lut(body(rng), lambda hu: hu % 65536), "MODALITY_LUT", "PIXREP")


@case("E14", "R")
def modality_lut_of_shifted_words(folder, rng):
    yield written(folder, _with_lut(body(rng), lambda hu: hu + 1024), "MODALITY_LUT", "RESCALE_ASSUMED")


@case("E14", "R")
def modality_lut_that_bends(folder, rng):
    """Stored values are twice HU + 1024: only the table can tell."""

    def double(ds, k):
        lutted(ds, k)
        ds.PixelData = (np.frombuffer(ds.PixelData, np.uint16) * 2).tobytes()

    lutted = _with_lut(body(rng), lambda hu: (hu + 1024) // 2 - 1024 & 0xFFFF).edit
    series = body(rng)
    yield written(folder, replace(series, edit=double), "MODALITY_LUT")


@case("E15", "X", NOT_HU=None)
def iodine_map(folder, rng):
    kinds = ["IODINE", "ZEFF", "RHO_Z", "CBF", "EFFECTIVE_Z"]
    kind = kinds[int(rng.integers(len(kinds)))]
    write_series(folder, body(rng, edit=setter(ImageType=["DERIVED", "PRIMARY", "AXIAL", kind])))
    return []


@case("E15", "X", NOT_HU=None)
def rescale_type_of_another_quantity(folder, rng):
    kind = str(rng.choice(["Z_EFF", "ED", "EDW", "HU_MOD_NO", "MGML", "PCT"]))
    write_series(folder, body(rng, edit=setter(RescaleType=kind)))
    return []


@case("E15", "S")
def monoenergetic_beside_mixed(folder, rng):
    series = body(rng)
    warmer = replace(series, hu=lambda points: body_hu(points) + 15, first_instance=300)
    write_series(folder / "a", replace(series, edit=setter(ImageType=["DERIVED", "PRIMARY", "AXIAL", "DE_MIX"])))
    write_series(folder / "b", replace(warmer, edit=setter(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MONO_E"])))
    yield Wanted(series, frozenset({"SPLIT"}))
    yield Wanted(warmer, frozenset({"SPLIT"}))


@case("E16", "P")
def rescale_type_unspecified(folder, rng):
    yield written(folder, body(rng, edit=setter(RescaleType=str(rng.choice(["US", ""])))))


@case("E17", "Q", BLANK=None)
def one_value_everywhere(folder, rng):
    value = int(rng.integers(0, 2000))
    write_series(folder, restored(body(rng), lambda v, k: np.full_like(v, value)))
    return []


@case("E18", "P")
def metal_beyond_the_scale(folder, rng):
    def metal(points):
        return np.where(np.hypot(points[..., 0] + 5, points[..., 1] + 12) < 4, 14000.0, body_hu(points))

    yield written(folder, body(rng, hu=metal), "CLIPPED")


@case("E19", "X", NOT_HU=None)
def colour_in_a_ct_series(folder, rng):
    def colour(ds, k):
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = bytes(3 * ds.Rows * ds.Columns)
        ds["PixelData"].VR = "OB"

    write_series(folder, body(rng, edit=colour))
    return []


@case("E19", "X", NOT_HU=None)
def palette_in_a_ct_series(folder, rng):
    write_series(folder, body(rng, edit=setter(PhotometricInterpretation="PALETTE COLOR")))
    return []


@case("E20", "S")
def tube_voltage_changes(folder, rng):
    series = linear(rng, n=14)

    def edit(ds, k):
        ds.KVP = 120 if k < 7 else 100

    write_series(folder, replace(series, edit=edit))
    yield Wanted(series, frozenset({"SPLIT"}), only=slice(0, 7))
    yield Wanted(series, frozenset({"SPLIT"}), only=slice(7, 14))


@case("E21", "Q", HU_UNKNOWN=1)
def nifti_without_its_intercept(folder, rng):
    _nifti(folder / "v.nii.gz", body(rng), 1024)
    return []


@case("E21", "P")
def nifti_with_hu(folder, rng):
    series = body(rng)
    _nifti(folder / "v.nii.gz", series, 0)
    yield Wanted(series)


def _nifti(path, series: Series, offset: int) -> None:
    """The series as another converter writes it: rows and columns of the picture, LPS turned to RAS."""
    data = np.stack([np.rint(series.hu(series.points(k))) + offset for k in range(series.n)])
    row, column, normal = series.directions
    affine = np.eye(4)
    affine[:3, 0] = row * series.pixel_spacing[1] * [-1, -1, 1]
    affine[:3, 1] = column * series.pixel_spacing[0] * [-1, -1, 1]
    affine[:3, 2] = normal * series.spacing * [-1, -1, 1]
    affine[:3, 3] = series.position(0) * [-1, -1, 1]
    image = nibabel.Nifti1Image(data.transpose(2, 1, 0).astype(np.int16), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nibabel.save(image, path)
