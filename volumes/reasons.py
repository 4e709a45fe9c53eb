"""The closed lists of `volumes`: why a thing is dropped, what was repaired, what deserves a flag.

The codes follow the fault catalogue; docs/reasons.md is made from these lines.
"""

from __future__ import annotations

from t3dkit.verdict import Code


class DropReason(Code):
    """Why a file, series or stack goes no further."""

    # files and containers
    EMPTY_FILE = "EMPTY_FILE", "the file has no bytes"
    NOT_DICOM = "NOT_DICOM", "the file is no DICOM, nor a container that holds any"
    DICOMDIR = "DICOMDIR", "a media directory; its files are read themselves, so it is ignored"
    SPECIAL_FILE = "SPECIAL_FILE", "a device, pipe, socket or link loop, never opened"
    READ_ERROR = "READ_ERROR", "the file is damaged or could not be read"
    UNSTABLE_INPUT = "UNSTABLE_INPUT", "the file changed or vanished while it was read"
    TRUNCATED = "TRUNCATED", "the file ends inside its pixel data"
    TRUNCATED_HEADER = "TRUNCATED_HEADER", "the file ends inside its header"
    PIXEL_LENGTH = "PIXEL_LENGTH", "the pixel data is much longer or shorter than the header says"
    TRAILING_DATA = "TRAILING_DATA", "data follows the end of the data set"
    TS_MISMATCH = "TS_MISMATCH", "the transfer syntax contradicts the bytes"
    HEADER_DAMAGED = "HEADER_DAMAGED", "the header cannot be parsed"
    CONTAINER_UNSUPPORTED = "CONTAINER_UNSUPPORTED", "a container of a kind that is not read (7z, rar, ISO image)"
    ARCHIVE_DAMAGED = "ARCHIVE_DAMAGED", "an archive or one of its members cannot be read"
    ARCHIVE_LIMIT = "ARCHIVE_LIMIT", "an archive exceeds the limits on size, ratio, depth or number of members"
    ARCHIVE_ESCAPE = "ARCHIVE_ESCAPE", "an archive member names a place outside the archive"
    ENCRYPTED = "ENCRYPTED", "the archive or member is encrypted"
    EXPORT_INCOMPLETE = "EXPORT_INCOMPLETE", "a media directory lists images of the series that are not there"
    DUPLICATE_IMAGE = "DUPLICATE_IMAGE", "the same place and pixels as another image of the series, which is kept"
    DUPLICATE_FILE = "DUPLICATE_FILE", "the same bytes were found before under another name"
    # identity
    NO_PATIENT = "NO_PATIENT", "the file names no patient"
    NO_UID = "NO_UID", "study, series or instance UID is missing, and nothing shows which images belong together"
    PATIENT_CONFLICT = "PATIENT_CONFLICT", "several patients claim one study, series, accession or report number"
    UID_COLLISION = "UID_COLLISION", "two different images share one instance UID"
    # encoding and pixels
    BAD_NUMBER = "BAD_NUMBER", "a number in the header cannot be read"
    BAD_VM = "BAD_VM", "an element has the wrong number of values"
    CODEC_MISSING = "CODEC_MISSING", "no decoder is installed for the transfer syntax"
    DECODE_FAIL = "DECODE_FAIL", "the compressed pixels cannot be decoded"
    DECOMP_LIMIT = "DECOMP_LIMIT", "decompression exceeds the size limit"
    RESOURCE_LIMIT = "RESOURCE_LIMIT", "decoding exceeded its memory or time limit, or killed its process"
    BITS = "BITS", "bits allocated or stored are not supported"
    NO_PIXELS = "NO_PIXELS", "an image object without pixel data"
    # class
    NOT_IMAGE = "NOT_IMAGE", "a DICOM object that is no image (structure set, presentation state, waveform, ...)"
    REPORT_OBJECT = "REPORT_OBJECT", "a report or document; read as a report, not as a volume"
    LOCALIZER = "LOCALIZER", "a scout or localizer image"
    SECONDARY = "SECONDARY", "a secondary capture, dose page or screen save; may carry burned-in text"
    BURNED_IN = "BURNED_IN", "the header says that identifying text is burned into the pixels"
    MODALITY_UNSUPPORTED = "MODALITY_UNSUPPORTED", "neither CT nor MR"
    NOT_HU = "NOT_HU", "colour or palette images, or values that are no HU (iodine map, Zeff, ...)"
    TEST_DATA = "TEST_DATA", "a phantom, quality-assurance or animal scan"
    # geometry
    TOO_FEW_SLICES = "TOO_FEW_SLICES", "fewer slices than make a volume"
    GEOM_NO_ORIENTATION = "GEOM_NO_ORIENTATION", "ImageOrientationPatient is missing"
    GEOM_NO_POSITION = "GEOM_NO_POSITION", "ImagePositionPatient is missing or the same everywhere"
    GEOM_ORIENTATION = "GEOM_ORIENTATION", "row and column directions are not perpendicular unit vectors"
    GEOM_SPACING = "GEOM_SPACING", "PixelSpacing is missing, zero or absurd"
    GEOM_MIXED_SPACING = "GEOM_MIXED_SPACING", "pixel spacing differs within one stack"
    GEOM_MISSING_SLICE = "GEOM_MISSING_SLICE", "slices are missing inside the stack"
    GEOM_IRREGULAR = "GEOM_IRREGULAR", "slice spacing is irregular and follows no pattern"
    PHASE_AMBIGUOUS = "PHASE_AMBIGUOUS", "several images at the same place and nothing tells them apart"
    BOLUS_TRACKING = "BOLUS_TRACKING", "repeated images at one place: bolus tracking or perfusion"
    ENHANCED_BAD = "ENHANCED_BAD", "a multi-frame image lacks the per-frame geometry"
    # intensity
    HU_UNKNOWN = "HU_UNKNOWN", "rescale is missing and the values do not show what they are"
    HU_SLOPE = "HU_SLOPE", "rescale slope is zero, negative or no number"
    HU_SIGN = "HU_SIGN", "the sign of the pixel values contradicts the header"
    HU_IMPLAUSIBLE = "HU_IMPLAUSIBLE", "air and soft tissue are not where Hounsfield units have them"
    WINDOWED = "WINDOWED", "values were windowed to a few grey levels before export"
    BLANK = "BLANK", "the volume is constant"
    # NIfTI input
    NIFTI_DAMAGED = "NIFTI_DAMAGED", "the NIfTI file cannot be read or has no usable geometry"
    # selection
    NOT_SELECTED = "NOT_SELECTED", "a usable stack, ranked below the one chosen for its study"


class RepairCode(Code):
    """What was put right, with evidence."""

    ASSUME_IMPLICIT_LE = "ASSUME_IMPLICIT_LE", "no file meta: read as the syntax that parses to the end"
    META_LENGTH = "META_LENGTH", "the file meta group length was wrong"
    TS_GUESSED = "TS_GUESSED", "the transfer syntax was found by parsing"
    UID_SYNTHESISED = "UID_SYNTHESISED", "a missing UID was taken from neighbours or made from content and folder"
    DECIMAL_COMMA = "DECIMAL_COMMA", "a decimal comma was read as a point"
    VR_BY_DICTIONARY = "VR_BY_DICTIONARY", "a wrong or unknown VR was replaced by the dictionary's"
    ZIP_SALVAGED = "ZIP_SALVAGED", "readable members of a damaged archive were kept"
    DEDUP_IDENTICAL = "DEDUP_IDENTICAL", "identical copies of a slice were dropped"
    SORTED_BY_POSITION = "SORTED_BY_POSITION", "instance numbers contradict positions; positions win"
    SPACING_FROM_POSITIONS = "SPACING_FROM_POSITIONS", "slice spacing comes from positions, not from its tag"
    TILT_RESAMPLED = "TILT_RESAMPLED", "a tilted gantry's sheared grid was resampled to a straight one"
    ORIENTATION_AVERAGED = "ORIENTATION_AVERAGED", "tiny drift between slice orientations was averaged"
    SPLIT = "SPLIT", "the series holds several stacks and was split"
    LOCALIZER_REMOVED = "LOCALIZER_REMOVED", "localizer images inside the series were set aside"
    IRREGULAR_RESAMPLED = "IRREGULAR_RESAMPLED", "unequal slice spacing was resampled to a regular grid"
    RESCALE_PER_SLICE = "RESCALE_PER_SLICE", "rescale differs between slices and was applied slice by slice"
    RESCALE_ASSUMED = (
        "RESCALE_ASSUMED",
        "rescale was missing; air shows that the values are HU already or offset by 1024",
    )
    PIXREP = "PIXREP", "signed values were declared unsigned, or the reverse"
    WRAP_12BIT = "WRAP_12BIT", "values had wrapped around 12 bits"
    PADDING_TO_AIR = "PADDING_TO_AIR", "padding values were set to air"
    PADDING_UNDECLARED = "PADDING_UNDECLARED", "an undeclared constant outside the field of view was set to air"
    HIGH_BITS_MASKED = "HIGH_BITS_MASKED", "bits above BitsStored were masked"
    MODALITY_LUT = "MODALITY_LUT", "a modality lookup table was applied"
    FRAGMENTS_JOINED = "FRAGMENTS_JOINED", "a frame in several fragments was joined"
    CODESTREAM_WINS = "CODESTREAM_WINS", "the compressed stream's sign and bits replaced the header's"
    NIFTI2 = "NIFTI2", "written as NIfTI-2 because of its size"
    CLIPPED = "CLIPPED", "values outside the HU range were clipped"


class Flag(Code):
    """Nothing was changed, but somebody may want to know."""

    LOSSY = "LOSSY", "the pixels went through lossy compression"
    POSSIBLY_CROPPED = "POSSIBLY_CROPPED", "fewer slices than the acquisition announces"
    TILTED = "TILTED", "the affine carries the shear of a tilted gantry"
    DATE_SUSPECT = "DATE_SUSPECT", "a date in the header is impossible"
    MONOCHROME1 = "MONOCHROME1", "declared MONOCHROME1; HU were not inverted"
    DERIVED = "DERIVED", "a derived series (reformat, projection, subtraction)"
    LATERALITY_SUSPECT = "LATERALITY_SUSPECT", "organ sides suggest a mirrored volume"
    BODYPART_MISMATCH = "BODYPART_MISMATCH", "the header's body part contradicts the anatomy"
    HU_SHIFT = "HU_SHIFT", "air or soft tissue is off its usual HU"
