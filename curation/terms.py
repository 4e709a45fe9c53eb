"""What of a header's words may be shown: terms of closed lists, for a field called Modality may hold a name.

Enters: the header of an image. Leaves: the same with words that are no defined term replaced. Refuses: to show a word
because of where it stands.
"""

from __future__ import annotations

import re
from dataclasses import replace

from t3dkit.verdict import Repair
from volumes.records import Instance

UNKNOWN = "UNKNOWN"

_MODALITIES = (
    "CT MR PT NM US XA RF CR DX MG DR IO PX XC ES GM SM OP OPT OPM OPV OCT IVUS IVOCT OAM AR KER VA SRF LEN OSS BMD "
    "BDUS EPS ECG EEG EMG EOG HD HC RESP POS TG SR DOC PR KO SEG REG FID RTIMAGE RTDOSE RTSTRUCT RTPLAN RTRECORD "
    "RWV M3D ASMT ANN SC OT TEXTUREMAP STAIN PLAN AU BI CTPROTOCOL MRPROTOCOL PTPROTOCOL CFM DMS EC CD CF CP CS DD DF "
    "DG DS FA FS LP LS MA MS ST TL TR VF "
)
MODALITIES = frozenset(_MODALITIES.split())
"""Defined terms of Modality, retired ones included: DICOM PS3.3 C.7.3.1.1.1."""

PHOTOMETRIC = frozenset(
    (
        "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422",
        "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB",
    )
)  # fmt: skip
"""Defined terms of PhotometricInterpretation, retired ones included: DICOM PS3.3 C.7.6.3.1.2."""

_VENDOR_WORDS = (
    "ge medical systems healthcare siemens healthineers philips toshiba canon hitachi fujifilm fuji film neusoft "
    "united imaging uih shanghai shimadzu samsung neurologica electronics carestream hologic mindray "
    "picker elscint marconi imatron varian accuray elekta agfa gevaert anke international corporation corp company "
    "co inc ltd limited llc ag gmbh nv bv as kg technologies technology health group and of europe usa japan "
)
VENDOR_WORDS = frozenset(_VENDOR_WORDS.split())
"""Makers of scanners, and the words of their legal forms."""

_KERNEL_WORDS = (
    "standard std soft detail bone boneplus bone+ std+ chst chest lung edge ultra body head brain smooth sharp medium "
    "very sharpest smoothest normal high res hr body_sharp body_soft bodyfilter filter axial a b c d e f l ua ub uc ya "
    "yb yc yd xcb xcc ec sm neuro vascular angio cardiac ear sinus spine extremity inner asir veo recon sft shp hires "
    "b_very_sharp soft_tissue f_soft f_sharp "
)
KERNEL_WORDS = frozenset(_KERNEL_WORDS.split())
"""Kernels that are words, of GE, Philips, Canon, United Imaging and Neusoft."""
_KERNEL_CODE = re.compile(r"[A-Za-z]{1,3}\d{1,3}[a-z]{0,2}(-[A-Z0-9])?|\d{1,2}")
"""Kernels that are codes: Siemens' B30f, Br38f, I70f 3; Canon's FC08, FC51-H; Shimadzu's and Hitachi's numbers."""
_QUOTED_UID = re.compile(r"(?<=TransferSyntaxUID )\S+(?=, the bytes)")
_STANDARD_UID = re.compile(r"1\.2\.840\.10008(\.\d+)+")


def with_known_terms(instance: Instance) -> Instance:
    """The instance, with UNKNOWN for a modality or photometric interpretation that DICOM does not define."""
    return replace(
        instance,
        modality=_term(instance.modality, MODALITIES),
        photometric_interpretation=_term(instance.photometric_interpretation, PHOTOMETRIC),
        repairs=tuple(Repair(repair.code, _known_uids(repair.detail)) for repair in instance.repairs),
    )


def known_vendor(text: str | None) -> str | None:
    """A manufacturer as it stands, where each of its words is known; "other" where not."""
    words = re.findall(r"[^\W_]+", (text or "").casefold())
    if not words:
        return None
    return " ".join(str(text).split()) if VENDOR_WORDS.issuperset(words) else "other"


def known_kernel(text: str | None) -> str | None:
    """A convolution kernel as it stands, where each of its words is a known one or a code; "other" where not."""
    words = re.split(r"[\s\\,/]+", (text or "").strip())
    if not any(words):
        return None
    is_known = all(word.casefold() in KERNEL_WORDS or _KERNEL_CODE.fullmatch(word) for word in words if word)
    return " ".join(words) if is_known else "other"


def _term(value: str | None, known: frozenset[str]) -> str | None:
    return value if not value or value.strip().upper() in known else UNKNOWN


def _known_uids(detail: str) -> str:
    """A detail that quotes a transfer syntax, without one that is not DICOM's."""
    return _QUOTED_UID.sub(lambda uid: uid[0] if _STANDARD_UID.fullmatch(uid[0]) else UNKNOWN, detail)
