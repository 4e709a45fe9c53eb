"""The closed lists of `curation`: why a study, report or pair is dropped, and what makes a pair suspicious.

Files, series and stacks are dropped with `volumes.reasons.DropReason`, reports on their own account with
`reports.reasons.DropReason`; what is here concerns how the two belong together.
"""

from __future__ import annotations

from t3dkit.verdict import Code


class DropReason(Code):
    """Why a study, a report or a pair goes no further."""

    # identity
    ALREADY_DEID = (
        "ALREADY_DEID",
        "the file says that its identity was removed, and the configuration refuses such files",
    )
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN", "the patient took the consent back (`curation withdraw`)"
    # linking
    UNMATCHED_REPORT = "UNMATCHED_REPORT", "no study of the export belongs to this report"
    UNMATCHED_STUDY = "UNMATCHED_STUDY", "no report belongs to this study"
    LINK_AMBIGUOUS = "LINK_AMBIGUOUS", "several studies or several reports fit equally well; none is chosen"
    LINK_CONFLICT = (
        "LINK_CONFLICT",
        "one piece of evidence links, another contradicts it (patient, sex, birth date, study)",
    )
    FACE_VISIBLE = (
        "FACE_VISIBLE",
        "the volume shows a face, which the configuration or a doubtful place forbids to release",
    )
    # pairs
    OTHER_PATIENT_NAMED = (
        "OTHER_PATIENT_NAMED",
        "the text holds a number or full name of another patient of the export, none of its own (`link.other_patient`)",
    )
    NO_VOLUME = "NO_VOLUME", "no series of the study became a volume"
    NO_SENTENCES = "NO_SENTENCES", "the report holds no sentence"
    DEID_LEAK = "DEID_LEAK", "an identifier is still in the text after de-identification; the report is withheld"
    DUPLICATE_VOLUME = "DUPLICATE_VOLUME", "the same voxels are already in the data set under another study"
    DUPLICATE_REPORT = (
        "DUPLICATE_REPORT",
        "the same text is in another split; this copy is left out so that it cannot leak",
    )
    STAGE_FAILED = "STAGE_FAILED", "the program failed on this item; the detail names the kind of error and its place"


class PairFlag(Code):
    """What makes a pair worth a look; each adds to its suspicion."""

    # the data set as a whole
    ROW_SHIFT = "ROW_SHIFT", "part of a block of reports that fit the study of another row better than their own"
    SAME_TEXT = "SAME_TEXT", "the same findings, word for word, are reported of another patient"
    SAME_VOLUME = "SAME_VOLUME", "the same voxels, or the same histogram, are there under another patient"
    TEMPLATE_FAR = "TEMPLATE_FAR", "the report is built unlike nearly all others of the data set"
    SECTION_MISSING = "SECTION_MISSING", "the report lacks findings or impression, which most reports here have"
    # the text before its identifiers were removed
    TEXT_OTHER_PATIENT = "TEXT_OTHER_PATIENT", "the text itself named another patient, birth date or patient number"
    TEXT_OTHER_DAY = "TEXT_OTHER_DAY", "the text was signed before the study, long after it, or names another study day"
    REPORT_DATE = "REPORT_DATE", "by its source the report was made before the study or long after it"
    # text against volume
    LINK_WEAK = "LINK_WEAK", "linked by a rule weaker than accession number with patient"
    COVERAGE_MISMATCH = "COVERAGE_MISMATCH", "the report talks mostly about anatomy that the volume does not show"
    COVERAGE_GAP = "COVERAGE_GAP", "the report describes organs that lie outside the scanned range"
    ORGAN_CUT = "ORGAN_CUT", "the scan ends within an organ of the body part that the report is about"
    PART_UNREAD = "PART_UNREAD", "the scan shows a body part of which the report says nothing"
    EXAM_MISMATCH = "EXAM_MISMATCH", "the title of the report names a body part that the volume does not show"
    CONTRAST_MISMATCH = "CONTRAST_MISMATCH", "what the text says about contrast contradicts the header"
    SEX_MISMATCH = "SEX_MISMATCH", "the text names the other sex or its organs"
    LATERALITY_CONFLICT = (
        "LATERALITY_CONFLICT",
        "findings and impression name opposite sides, an organ said to be gone is there, or a side lacks the lobe",
    )
    SIDE_ELSEWHERE = "SIDE_ELSEWHERE", "the images show a finding on the other side than the report says"
    MEASUREMENT_TOO_LARGE = "MEASUREMENT_TOO_LARGE", "a measurement exceeds the volume or the organ it is about"
    POINTER_MISSING = "POINTER_MISSING", "the text points at an image that the series does not have"
    POINTER_ELSEWHERE = "POINTER_ELSEWHERE", "the text points at an image far from the organ it names"
    HU_OUTLIER = "HU_OUTLIER", "the lightest or densest voxels are not what a scan of a patient holds"
    NOTHING_LOCATED = "NOTHING_LOCATED", "no sentence could be tied to a place in the volume"
    FEW_SENTENCES = "FEW_SENTENCES", "the report has fewer than three sentences"
    MASK_UNREADABLE = "MASK_UNREADABLE", "a mask was brought for this study but cannot be read; landmarks were used"
    UNUSED_STACK = "UNUSED_STACK", "the best ranked stack could not be converted; a lower one was taken"
