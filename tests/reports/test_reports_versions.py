"""Versions of a report: one text each, and every row accounted for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.reasons import DropReason, ReportFlag
from reports.records import RawReport, ReportStatus
from reports.versions import VersionOutcome, merge_versions, text_flags

BODY = "FINDINGS:\nNodule 4 mm.\nIMPRESSION:\nBenign."


def raw(
    key: str, status: ReportStatus = "final", text: str = BODY, *, at: str | None = None, accession: str | None = "A1",
    patient: str | None = "P1",
) -> RawReport:  # fmt: skip
    known = (("patient_id", patient),) if patient else ()
    moment = f"2020-03-{at}" if at else None
    return RawReport(
        key,
        text,
        accession_number=accession,
        patient_id=patient,
        status=status,
        report_datetime=moment,
        known_identifiers=known,
    )


def reasons(outcome: VersionOutcome) -> dict[str, DropReason]:
    return {drop.source_key: DropReason(drop.reason) for drop in outcome.dropped}


def test_newest_final_wins_and_older_versions_are_superseded() -> None:
    rows = [
        raw("f", "final", "Final.", at="10"),
        raw("p", "preliminary", "Early.", at="09"),
        raw("q", "preliminary", "Late.", at="12"),
    ]
    outcome = merge_versions(rows)
    assert [(one.raw.text, one.versions, one.flags) for one in outcome.reports] == [("Final.", ("f",), ())]
    assert reasons(outcome) == {"p": DropReason.SUPERSEDED, "q": DropReason.SUPERSEDED}


def test_preliminary_alone_is_kept_with_a_flag() -> None:
    outcome = merge_versions([raw("p", "preliminary", at="09"), raw("q", "preliminary", "Newer.", at="10")])
    assert [(one.raw.text, one.flags) for one in outcome.reports] == [("Newer.", (ReportFlag.PRELIM,))]


def test_a_correction_replaces_the_text() -> None:
    outcome = merge_versions(
        [raw("f", "final", "Left kidney.", at="09"), raw("c", "corrected", "Right kidney.", at="10")]
    )
    assert outcome.reports[0].raw.text == "Right kidney."
    assert reasons(outcome) == {"f": DropReason.SUPERSEDED}


def test_addenda_come_once_and_in_order() -> None:
    rows = [
        raw("b", "addendum", "Second note.", at="12"),
        raw("f", "final", at="09"),
        raw("a", "addendum", "ADDENDUM 1: First note.", at="11"),
        raw("again", "addendum", "second  NOTE.", at="13"),
    ]
    (report,) = merge_versions(rows).reports
    assert report.raw.text == f"{BODY}\n\nADDENDUM 1: First note.\n\n\nADDENDUM:\nSecond note.\n".replace(
        "\n\n\n", "\n\n"
    )
    assert report.versions == ("f", "a", "b", "again")


def test_an_addendum_that_repeats_the_report_replaces_it() -> None:
    whole = f"{BODY}\nADDENDUM:\nLate note."
    (report,) = merge_versions([raw("f", at="09"), raw("a", "addendum", whole, at="10")]).reports
    assert report.raw.text == whole
    assert report.versions == ("f", "a")


def test_an_addendum_alone_is_kept_with_a_flag() -> None:
    (report,) = merge_versions([raw("a", "addendum", "Late note.")]).reports
    assert (report.raw.text, report.flags) == ("ADDENDUM:\nLate note.\n", (ReportFlag.ADDENDUM_ONLY,))


def test_cancelled_voids_what_came_before_only() -> None:
    outcome = merge_versions([raw("f", at="09"), raw("x", "cancelled", at="10")])
    assert outcome.reports == ()
    assert reasons(outcome) == {"f": DropReason.VOID_REPORT, "x": DropReason.VOID_REPORT}
    outcome = merge_versions([raw("f", at="09"), raw("x", "cancelled", at="10"), raw("g", text="Again.", at="11")])
    assert [one.versions for one in outcome.reports] == [("g",)]


def test_one_accession_with_two_patients_is_a_conflict() -> None:
    outcome = merge_versions([raw("f"), raw("g", patient="P2"), raw("h", accession="A2")])
    assert reasons(outcome) == {"f": DropReason.PATIENT_CONFLICT, "g": DropReason.PATIENT_CONFLICT}
    assert [one.versions for one in outcome.reports] == [("h",)]
    named = [
        replace(raw("n", patient=None), patient_name="Doe^Jane"),
        replace(raw("m", patient=None), patient_name="Roe^Rick"),
    ]
    assert set(reasons(merge_versions(named)).values()) == {DropReason.PATIENT_CONFLICT}
    named[1] = replace(named[1], patient_name="Jane Doe")
    assert len(merge_versions(named).reports) == 1


def test_issuers_keep_equal_numbers_apart() -> None:
    rows = [
        replace(raw("f"), issuer_of_accession="north"),
        replace(raw("g", patient="P2"), issuer_of_accession="south"),
    ]
    assert len(merge_versions(rows).reports) == 2


def test_a_row_without_accession_joins_by_report_number() -> None:
    rows = [
        replace(raw("f"), report_number="R1"),
        replace(raw("a", "addendum", "Note.", accession=None), report_number="R1"),
    ]
    (report,) = merge_versions(rows).reports
    assert report.versions == ("f", "a")
    assert report.raw.accession_number == "A1"


def test_rows_that_nothing_groups_stay_apart() -> None:
    assert len(merge_versions([raw("f", accession=None), raw("g", accession=None)]).reports) == 2


def test_order_without_times_is_that_of_the_source_and_flagged() -> None:
    (report,) = merge_versions([raw("f", text="One."), raw("g", text="Two.")]).reports
    assert (report.raw.text, report.flags) == ("Two.", (ReportFlag.VERSION_ORDER,))
    assert merge_versions([raw("f", text="Same."), raw("g", text="Same.")]).reports[0].flags == ()


def test_time_zones_are_compared_in_utc() -> None:
    early = replace(raw("e", text="Early."), report_datetime="2020-03-10T23:00:00+02:00")
    late = replace(raw("l", text="Late."), report_datetime="2020-03-10T22:00:00+00:00")
    assert merge_versions([late, early]).reports[0].raw.text == "Late."


def test_the_winner_takes_what_other_versions_know() -> None:
    first = replace(raw("f", at="09"), study_date="20200309", known_identifiers=(("name", "Doe"),))
    (report,) = merge_versions([first, raw("c", "corrected", at="10")]).reports
    assert report.raw.study_date == "20200309"
    assert set(report.raw.known_identifiers) == {("name", "Doe"), ("patient_id", "P1")}


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("Liver: [ ] normal", (ReportFlag.TEMPLATE,)),
        ("Findings: ***", (ReportFlag.TEMPLATE,)),
        ("x" * 4000, (ReportFlag.TRUNC_TEXT,)),
        ("x" * 3999 + ".", ()),
        ("Second opinion on outside CT.", (ReportFlag.OUTSIDE_READ,)),
        ("This was dictated on the wrong patient.", (ReportFlag.WRONG_PATIENT,)),
        ("Liver normal.", ()),
    ],
)
def test_flags_of_the_text(text: str, flags: tuple[ReportFlag, ...]) -> None:
    assert text_flags(text) == flags


STATUSES: list[ReportStatus] = ["preliminary", "final", "corrected", "addendum", "cancelled", "unknown"]
ROWS = st.lists(
    st.tuples(st.sampled_from(STATUSES), st.sampled_from(["A1", "A2", None]), st.sampled_from(["P1", "P2", None]),
              st.sampled_from(["09", "10", "11", None]), st.sampled_from(["One.", "Two.", "One. Two."])),
    max_size=10,
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(ROWS)
def test_every_row_is_in_one_report_or_dropped_once(
    rows: list[tuple[ReportStatus, str | None, str | None, str | None, str]],
) -> None:
    raws = [
        raw(f"k{n}", status, text, at=at, accession=number, patient=who)
        for n, (status, number, who, at, text) in enumerate(rows)
    ]
    outcome = merge_versions(raws)
    seen = [key for report in outcome.reports for key in report.versions] + [
        drop.source_key for drop in outcome.dropped
    ]
    assert sorted(seen) == sorted(one.source_key for one in raws)


@settings(deadline=None, max_examples=60)
@given(
    st.permutations(
        [("f", "final", "09"), ("c", "corrected", "10"), ("a", "addendum", "11"), ("p", "preliminary", "08")]
    )
)
def test_the_order_of_rows_with_times_does_not_matter(order: list[tuple[str, ReportStatus, str]]) -> None:
    (report,) = merge_versions([raw(key, status, f"Text {key}.", at=at) for key, status, at in order]).reports
    assert report.raw.text == "Text c.\n\nADDENDUM:\nText a.\n"


def test_a_reused_accession_number_is_two_reports_when_their_numbers_tell() -> None:
    one, other = replace(raw("f"), report_number="R1"), replace(raw("g", patient="P2"), report_number="R2")
    assert [report.versions for report in merge_versions([one, other]).reports] == [("f",), ("g",)]
    same = replace(other, report_number="R1")
    assert set(reasons(merge_versions([one, same])).values()) == {DropReason.PATIENT_CONFLICT}
