"""The closed lists of `reports`: why a row goes no further, what deserves a flag.

The codes follow rows G and H of the fault catalogue; docs/reasons.md is made from these lines.
"""

from __future__ import annotations

from t3dkit.verdict import Code


class DropReason(Code):
    """Why a row, message or file gives no report of its own."""

    # sources
    ROW_PARSE = "ROW_PARSE", "the row, line or message cannot be parsed (quotes, number of fields, broken JSON or HL7)"
    EMPTY_TEXT = "EMPTY_TEXT", "the row holds no report text"
    NO_TEXT_COLUMN = "NO_TEXT_COLUMN", "a table in the folder has no column that could be report text"
    NOT_REPORT = "NOT_REPORT", "a file or message of a kind that holds no report"
    READ_ERROR = "READ_ERROR", "the file is damaged or could not be read"
    EXCEL_MANGLED = "EXCEL_MANGLED", "a spreadsheet changed a number or cut the text; the original is not guessed"
    PDF_SCAN = "PDF_SCAN", "the text is only there as a PDF or picture"
    # versions
    SUPERSEDED = "SUPERSEDED", "a newer version of the same report replaces it"
    VOID_REPORT = "VOID_REPORT", "the report was cancelled or entered in error"
    PATIENT_CONFLICT = "PATIENT_CONFLICT", "several patients claim one study, series, accession or report number"
    # de-identification
    DEID_LEAK = "DEID_LEAK", "an identifier is still in the text after de-identification; the report is withheld"
    # text
    PARSE_FAILED = (
        "PARSE_FAILED",
        "the text could not be de-identified or parsed; a bug, of ours or of a model, counted",
    )


class ReportFlag(Code):
    """The report is kept, but somebody may want to know."""

    PRELIM = "PRELIM", "only a preliminary version exists"
    ADDENDUM_ONLY = "ADDENDUM_ONLY", "an addendum whose report is not in the source"
    VERSION_ORDER = "VERSION_ORDER", "versions without distinct times: the order of the source decided"
    TEMPLATE = "TEMPLATE", "the text holds untouched template placeholders"
    TRUNC_TEXT = "TRUNC_TEXT", "the text seems cut at a fixed width"
    OUTSIDE_READ = "OUTSIDE_READ", "a second opinion on images from elsewhere"
    WRONG_PATIENT = "WRONG_PATIENT", "the text itself says that it was dictated on the wrong patient or study"
    NO_SECTIONS = "NO_SECTIONS", "no heading was recognised; the whole text is one section"
    # parsing
    UNTAGGED_LANGUAGE = "UNTAGGED_LANGUAGE", "the text is in a language without lexicon; its sentences name no regions"
    UNKNOWN_HEADING = "UNKNOWN_HEADING", "a heading is in no list; its text is in section other"
    TEXT_LEFT_OUT = "TEXT_LEFT_OUT", "page headers or a keyword list were left out of the sections"
