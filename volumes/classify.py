"""Which images may become a volume at all, judged by their class, not by their geometry.

Enters: an instance's header. Leaves: nothing when it may, or the reason and what the header says. Refuses: to
drop a reformat or projection (they rank lower, see `volumes.select`), or phantoms and animals (the curation's door).
"""

from __future__ import annotations

import re
from datetime import datetime

from volumes.reasons import DropReason
from volumes.records import Instance

MODALITIES = ("CT", "MR")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""SOP class and prefix of the multi-frame secondary captures. DICOM PS3.4 B.5."""

LOCALIZER_WORDS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "REF_SURVIEW", "CT_SOM5 TOP", "SCANOGRAM"})
"""Values of ImageType that mean a localizer: PS3.3 C.8.2.1.1.1 has LOCALIZER; the others are vendors'."""

SECONDARY_WORDS = frozenset(
    {
        "SCREEN SAVE",
        "SCREEN_SAVE",
        "SCREENSAVE",
        "DOSE",
        "DOSE_INFO",
        "DOSE INFO",
        "CT_SOM5 PROT",
        "PROT",
        "VRT",
        "SSD",
        "VOLREN",
        "VOLUME_RENDERING",
        "SURFACE_RENDERING",
        "3D",
        "POSDISP",
        "KEY IMAGE",
    }
)
"""Values of ImageType of dose pages, protocol pages, screen saves and renderings, as vendors write them."""

NOT_HU_WORDS = frozenset(
    {
        "IODINE",
        "IODINE_MAP",
        "IODINE_NO_WATER",
        "WATER_IODINE",
        "ZEFF",
        "Z_EFF",
        "EFF_Z",
        "EFFECTIVE_Z",
        "ELECTRON_DENSITY",
        "RHO",
        "RHO_Z",
        "URIC_ACID",
        "CALCIUM_SUPP",
        "PERFUSION",
        "RCBF",
        "RCBV",
        "CBF",
        "CBV",
        "MTT",
        "TTP",
        "TMAX",
        "PBV",
        "COLORMAP",
    }
)
"""Values of ImageType of material, atomic number and perfusion maps: PS3.3 C.8.15.3.1 and vendors' own."""

HU_TYPES = frozenset({"", "HU", "HU_MOD", "US"})
"""RescaleType that may be Hounsfield units; US (unspecified) is what older scanners write for HU. PS3.3 C.11.1.1.2."""

BITS = (8, 16, 32)

BODY_PARTS = {
    "HEAD": "head", "BRAIN": "head", "SKULL": "head", "NECK": "neck", "CHEST": "chest", "THORAX": "chest",
    "LUNG": "chest", "HEART": "chest", "ABDOMEN": "abdomen", "ABDO": "abdomen", "ABD": "abdomen", "LIVER": "abdomen",
    "KIDNEY": "abdomen", "PELVIS": "pelvis", "PELV": "pelvis",
}  # fmt: skip
_PART = re.compile("|".join(sorted(BODY_PARTS, key=len, reverse=True)))

FIRST_CT = "19711001"
"""The first CT of a patient was made in October 1971; clocks that were never set say 1900 or 1970."""


def refuse(instance: Instance) -> tuple[DropReason, str] | None:
    """Why the images of `instance` cannot become a volume; None when they may.

    The order is that of the surest sign first, so that a secondary capture that claims to be CT is called one.
    """
    if instance.kind == "report":
        return DropReason.REPORT_OBJECT, ""
    if instance.kind != "image":
        return DropReason.NOT_IMAGE, ""
    words = image_type_words(instance)
    if instance.sop_class_uid.startswith(SECONDARY_CAPTURE) or words & SECONDARY_WORDS:
        return DropReason.SECONDARY, _shown("ImageType", words & SECONDARY_WORDS) or "secondary capture SOP class"
    if (instance.modality or "") not in MODALITIES:
        return DropReason.MODALITY_UNSUPPORTED, f"Modality {instance.modality or 'absent'}"
    if words & LOCALIZER_WORDS:
        return DropReason.LOCALIZER, _shown("ImageType", words & LOCALIZER_WORDS)
    if (instance.burned_in_annotation or "").strip().upper() == "YES":
        return DropReason.BURNED_IN, "BurnedInAnnotation YES"
    return _unusable_pixels(instance, words)


def image_type_words(instance: Instance) -> set[str]:
    """The values of ImageType, of the file and of its frames, in capitals."""
    values = set(instance.image_type)
    for frame in instance.frames:
        values.update(frame.image_type)
    return {value.strip().upper() for value in values}


def is_derived(instance: Instance) -> bool:
    """Whether the first value of ImageType says DERIVED."""
    return bool(instance.image_type) and instance.image_type[0].strip().upper() == "DERIVED"


def why_date_suspect(instance: Instance) -> str | None:
    """What is impossible about StudyDate, in words that do not tell it; None when nothing is.

    Whether it lies in the future is not asked: the same input would be judged otherwise another day.
    """
    day, birth = instance.study_date, instance.patient_birth_date
    if not day:
        return None
    if not _is_day(day):
        return "StudyDate is no day"
    if day < FIRST_CT:
        return "StudyDate is before there was CT or MR"
    return "StudyDate is before PatientBirthDate" if birth and _is_day(birth) and day < birth else None


def named_parts(instance: Instance) -> frozenset[str]:
    """The parts of the trunk and head that BodyPartExamined names; none where it has any word that is not known.

    PS3.16 annex L has terms of several parts written together (``NECKCHESTABDPELV``); vendors set them apart.
    """
    text = (instance.body_part_examined or "").upper()
    found = _PART.findall(text)
    return frozenset(BODY_PARTS[word] for word in found) if not _PART.sub("", text).strip(" _-/+,&") else frozenset()


def _is_day(text: str) -> bool:
    """Whether it is a day of the calendar, as YYYYMMDD (PS3.5 6.2, DA)."""
    try:
        return len(text) == 8 and text.isascii() and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False


def _unusable_pixels(instance: Instance, words: set[str]) -> tuple[DropReason, str] | None:
    photometric = (instance.photometric_interpretation or "").upper()
    if (instance.samples_per_pixel or 1) != 1 or photometric not in ("", "MONOCHROME1", "MONOCHROME2"):
        return DropReason.NOT_HU, f"PhotometricInterpretation {photometric or 'absent'}"
    if instance.modality == "CT":
        if words & NOT_HU_WORDS:
            return DropReason.NOT_HU, _shown("ImageType", words & NOT_HU_WORDS)
        if (instance.rescale_type or "").strip().upper() not in HU_TYPES:
            return DropReason.NOT_HU, "RescaleType is not HU"
    if not instance.has_pixels or not instance.rows or not instance.columns:
        return DropReason.NO_PIXELS, "no PixelData, Rows or Columns"
    if instance.bits_allocated not in BITS:
        return DropReason.BITS, f"BitsAllocated {instance.bits_allocated}, expected 8, 16 or 32"
    return None


def _shown(element: str, words: set[str]) -> str:
    """Only words of our own lists are shown: free values of a header may identify."""
    return f"{element} {', '.join(sorted(words))}" if words else ""
