"""One file to one typed `Instance`, header only.

Enters: a file of a source. Leaves: an `Instance`, or a `FileDrop` with its reason. Refuses: to look at pixels (a
truncated or damaged image is found by `volumes.decode`, so that its series is held back instead of silently shortened).
"""

from __future__ import annotations

from functools import lru_cache

from t3dkit.verdict import Repair
from volumes.codecs import LOSSY
from volumes.dictionary import tag_of
from volumes.elements import PIXEL_DATA
from volumes.errors import HeaderError, VolumeError
from volumes.functional_groups import PER_FRAME, SHARED, pair, read_frames, shared_item, triple
from volumes.headers import META_SOP_CLASS_UID, META_SOP_INSTANCE_UID, Header, TruncatedHeaderError, read_header
from volumes.identifiers import read_identifiers
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import FileDrop, FileRef, Instance, InstanceKind
from volumes.sources import open_file
from volumes.values import Values

DICOMDIR_SOP_CLASS = "1.2.840.10008.1.3.10"

REPORT_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated PDF, CDA (and 3-D models, which have no text)
)
NOT_REPORT_SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
        "1.2.840.10008.5.1.4.1.1.104.3",  # Encapsulated STL
        "1.2.840.10008.5.1.4.1.1.104.4",  # Encapsulated OBJ
        "1.2.840.10008.5.1.4.1.1.104.5",  # Encapsulated MTL
    }
)
PIXELS_BUT_NO_IMAGE_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.66.",  # Segmentation, registration, fiducials
    "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy: dose grids
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.9.",  # waveforms
)
IMAGE_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT, Enhanced CT, Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR, Enhanced MR, colour MR, Legacy Converted Enhanced MR
    "1.2.840.10008.5.1.4.1.1.128",  # PET
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture and its multi-frame kin
)
"""Images even when their pixels are missing. DICOM PS3.4 B.5; spectroscopy (4.2) has no pixels and is left out."""
SPECTROSCOPY_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.4.2"


BY_FRAME_TAGS = frozenset(map(tag_of, (SHARED, PER_FRAME, "ModalityLUTSequence")))
"""Sequences that `_type_shared` looks into; where one is there, nothing is remembered."""
SHARED_KEYWORDS = (
    # _patient
    "Modality PatientID IssuerOfPatientID PatientBirthDate PatientSex PatientAge AccessionNumber StudyDate StudyTime "
    # _series
    "SeriesNumber StudyDescription SeriesDescription ProtocolName BodyPartExamined ImageType Manufacturer "
    "ManufacturerModelName BurnedInAnnotation PatientPosition FrameOfReferenceUID "
    # _acquisition
    "ImagesInAcquisition ConvolutionKernel KVP ContrastBolusAgent SliceThickness GantryDetectorTilt "
    # _pixels
    "PixelRepresentation Rows Columns SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored "
    "PixelSpacing ImageOrientationPatient RescaleSlope RescaleIntercept RescaleType PixelPaddingValue "
    "PixelPaddingRangeLimit HighBit"
)
"""Every element that `_type_shared` reads, but for sequences; a test holds the two together."""
SHARED_TAGS = tuple(map(tag_of, SHARED_KEYWORDS.split()))
MAX_REMEMBERED = 4096


def read_instance(ref: FileRef, *, may_lack_uids: bool = False) -> Instance | FileDrop:
    """The typed header of `ref`, or why it has none.

    An instance without all of its UIDs is a drop (NO_UID), unless it `may_lack_uids`, since the caller knows its
    neighbours and will fill them (`volumes.missing_uids`).

    Never raises for a bad file. A drop names the series where the header still tells it, so that the rest of that
    series is not mistaken for the whole.
    """
    try:
        with open_file(ref) as stream:
            header = read_header(stream)
    except TruncatedHeaderError as error:
        return FileDrop(ref, error.reason, error.detail, _series_uid(Values(error.elements)))
    except VolumeError as error:
        return FileDrop(ref, error.reason, error.detail)
    return instance_of(ref, header, may_lack_uids=may_lack_uids)


def instance_of(ref: FileRef, header: Header, *, may_lack_uids: bool = False) -> Instance | FileDrop:
    """Type the values of a parsed header."""
    repairs = list(header.repairs)
    if ref.is_salvaged:
        repairs.append(Repair(RepairCode.ZIP_SALVAGED, "from an archive whose directory is damaged"))
    values = Values(header.elements, little=header.encoding.little, repairs=repairs)
    sop_class = values.uid("SOPClassUID") or _meta_uid(header, META_SOP_CLASS_UID)
    if sop_class == DICOMDIR_SOP_CLASS or (not sop_class and tag_of("DirectoryRecordSequence") in header.elements):
        return FileDrop(ref, DropReason.DICOMDIR)
    uids = {
        "SOPInstanceUID": values.uid("SOPInstanceUID") or _meta_uid(header, META_SOP_INSTANCE_UID),
        "StudyInstanceUID": values.uid("StudyInstanceUID"),
        "SeriesInstanceUID": values.uid("SeriesInstanceUID"),
    }
    missing = [keyword for keyword, uid in uids.items() if not uid]
    if missing and not (may_lack_uids and _could_be_image(values)):
        return FileDrop(ref, DropReason.NO_UID, " ".join(missing), uids["SeriesInstanceUID"])
    kind = _kind(sop_class, header.bulk is not None and header.bulk.tag == PIXEL_DATA)
    try:
        return _instance(ref, header, values, kind, sop_class, uids)
    except HeaderError as error:
        return FileDrop(ref, error.reason, error.detail, uids["SeriesInstanceUID"])


def _instance(
    ref: FileRef, header: Header, values: Values, kind: InstanceKind, sop_class: str, uids: dict[str, str]
) -> Instance:
    is_image = kind == "image"
    if is_image and (values.text("LossyImageCompression") == "01" or header.transfer_syntax_uid in LOSSY):
        values.repairs.append(Repair(Flag.LOSSY, f"transfer syntax {header.transfer_syntax_uid}"))
    number_of_frames = values.integer("NumberOfFrames", needed=is_image) or 1
    return Instance(
        file=ref,
        kind=kind,
        sop_class_uid=sop_class,
        sop_instance_uid=uids["SOPInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=header.transfer_syntax_uid,
        identifiers=read_identifiers(header.elements),
        number_of_frames=number_of_frames,
        has_pixels=header.bulk is not None and header.bulk.tag == PIXEL_DATA,
        **_place_of_pixels(header),
        frames=read_frames(values, number_of_frames) if is_image else (),
        **_shared(values, is_image=is_image),
        **_own(values, is_image=is_image),
        repairs=tuple(values.repairs),
    )


def _place_of_pixels(header: Header) -> dict:
    bulk = header.bulk
    if bulk is None or bulk.tag != PIXEL_DATA or header.deflated_from is not None:
        return {}
    return {"pixel_offset": bulk.offset, "pixel_length": bulk.length}


def _own(values: Values, *, is_image: bool) -> dict:
    """What differs from slice to slice."""
    order = values.item("IssuerOfAccessionNumberSequence")
    issuer = (order.text("LocalNamespaceEntityID") or order.text("UniversalEntityID")) if order else None
    return {
        "issuer_of_accession": issuer,
        "instance_number": values.integer("InstanceNumber"),
        "acquisition_number": values.integer("AcquisitionNumber"),
        "acquisition_time": values.text("AcquisitionTime") or values.text("AcquisitionDateTime"),
        "temporal_position": values.integer("TemporalPositionIdentifier"),
        "image_position_lps": triple(values, "ImagePositionPatient") if is_image else None,
    }


def _shared(values: Values, *, is_image: bool) -> dict:
    """What the slices of a series mostly share: typed once, and found again by the bytes that it was typed from."""
    get = values.elements.get
    if not BY_FRAME_TAGS.isdisjoint(values.elements):
        return _type_shared(values, is_image=is_image)
    key = (is_image, values.little, values.charset, tuple([get(tag) for tag in SHARED_TAGS]))
    known = _remembered.get(key)
    if known is None:
        noted = Values(values.elements, little=values.little, charset=values.charset)
        known = (_type_shared(noted, is_image=is_image), tuple(noted.repairs))
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.clear()
        _remembered[key] = known
    fields, repairs = known
    values.repairs += [repair for repair in repairs if repair not in values.repairs]
    return fields


_remembered: dict[tuple, tuple[dict, tuple[Repair, ...]]] = {}


def _type_shared(values: Values, *, is_image: bool) -> dict:
    return {
        **_patient(values),
        **_series(values),
        **_acquisition(values),
        **(_pixels(values) if is_image else {}),
    }


def _patient(values: Values) -> dict:
    return {
        "modality": values.text("Modality"),
        "patient_id": values.text("PatientID"),
        "issuer_of_patient_id": values.text("IssuerOfPatientID"),
        "patient_birth_date": _date(values, "PatientBirthDate"),
        "patient_sex": values.text("PatientSex"),
        "patient_age_years": _age_years(values.text("PatientAge")),
        "accession_number": values.text("AccessionNumber"),
        "study_date": _date(values, "StudyDate"),
        "study_time": values.text("StudyTime"),
    }


def _series(values: Values) -> dict:
    return {
        "series_number": values.integer("SeriesNumber"),
        "study_description": values.text("StudyDescription"),
        "series_description": values.text("SeriesDescription"),
        "protocol_name": values.text("ProtocolName"),
        "body_part_examined": values.text("BodyPartExamined"),
        "image_type": values.texts("ImageType"),
        "manufacturer": values.text("Manufacturer"),
        "model_name": values.text("ManufacturerModelName"),
        "burned_in_annotation": values.text("BurnedInAnnotation"),
        "patient_position": values.text("PatientPosition"),
        "frame_of_reference_uid": values.uid("FrameOfReferenceUID") or None,
    }


def _acquisition(values: Values) -> dict:
    """Acquisition values; an Enhanced CT keeps kernel and voltage in functional groups (PS3.3 C.8.15.3)."""
    reconstruction = shared_item(values, "CTReconstructionSequence") or values
    x_ray = shared_item(values, "CTXRayDetailsSequence") or values
    return {
        "images_in_acquisition": values.integer("ImagesInAcquisition"),
        "convolution_kernel": "\\".join(reconstruction.texts("ConvolutionKernel")) or None,
        "contrast_bolus_agent": values.text("ContrastBolusAgent"),
        "kvp": x_ray.number("KVP"),
        "slice_thickness_mm": values.number("SliceThickness"),
        "gantry_tilt_deg": values.number("GantryDetectorTilt"),
    }


def _pixels(values: Values) -> dict:
    """What geometry and intensity stand on: a value that cannot be read drops the file."""
    representation = values.integer("PixelRepresentation", needed=True)
    return {
        "rows": values.integer("Rows", needed=True),
        "columns": values.integer("Columns", needed=True),
        "samples_per_pixel": values.integer("SamplesPerPixel", needed=True),
        "photometric_interpretation": values.text("PhotometricInterpretation"),
        "bits_allocated": values.integer("BitsAllocated", needed=True),
        "bits_stored": values.integer("BitsStored", needed=True),
        "pixel_representation": representation,
        "pixel_spacing_mm": pair(values, "PixelSpacing"),
        "image_orientation_lps": values.numbers("ImageOrientationPatient", count=6),
        "rescale_slope": values.number("RescaleSlope", needed=True),
        "rescale_intercept": values.number("RescaleIntercept", needed=True),
        "rescale_type": values.text("RescaleType"),
        "has_modality_lut": values.item("ModalityLUTSequence") is not None,
        "high_bit": values.integer("HighBit"),
        "pixel_padding_value": padding_value(values, "PixelPaddingValue", is_signed=representation == 1),
        "pixel_padding_limit": padding_value(values, "PixelPaddingRangeLimit", is_signed=representation == 1),
    }


def padding_value(values: Values, keyword: str, *, is_signed: bool) -> int | None:
    """A padding value with the sign of the pixels; writers often choose US for signed pixels (PS3.3 C.7.5.1.1.2)."""
    value = values.integer(keyword)
    if value is None:
        return None
    if is_signed and 0x8000 <= value <= 0xFFFF:
        return value - 0x10000
    if not is_signed and -0x8000 <= value < 0:
        return value + 0x10000
    return value


@lru_cache(maxsize=256)
def _kind(sop_class: str, has_pixels: bool) -> InstanceKind:
    if sop_class.startswith(REPORT_SOP_CLASSES):
        return "other" if sop_class in NOT_REPORT_SOP_CLASSES else "report"
    if sop_class.startswith(PIXELS_BUT_NO_IMAGE_SOP_CLASSES) or sop_class == SPECTROSCOPY_SOP_CLASS:
        return "other"
    known = any(sop_class == root or sop_class.startswith(root + ".") for root in IMAGE_SOP_CLASSES)
    return "image" if has_pixels or known else "other"


def _could_be_image(values: Values) -> bool:
    """Whether it is worth to look for the UIDs of an instance: it has a modality and a matrix."""
    return bool(values.text("Modality")) and values.integer("Rows") is not None


def _date(values: Values, keyword: str) -> str | None:
    """A date as YYYYMMDD; the older YYYY.MM.DD (PS3.5 6.2, note) is brought to it."""
    text = values.text(keyword)
    if text and len(text) == 10 and text[4] == text[7] and text[4] in ".-/":
        text = text[:4] + text[5:7] + text[8:]
    return text


def _age_years(text: str | None) -> float | None:
    """PatientAge (nnnD, nnnW, nnnM, nnnY) in years."""
    per_year = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}
    if not text or not text[:-1].isdecimal() or text[-1] not in per_year:
        return None
    return int(text[:-1]) / per_year[text[-1]]


def _meta_uid(header: Header, tag: int) -> str:
    element = header.meta.get(tag)
    return element.value.decode("ascii", "backslashreplace").strip("\0 ") if element else ""


def _series_uid(values: Values) -> str:
    return values.uid("SeriesInstanceUID")
