"""Report sources: every format a hospital hands over, as `RawReport` and `ReportDrop`."""

from reports.records import RawReport, ReportDrop
from reports.sources.read import read_reports

__all__ = ["RawReport", "ReportDrop", "read_reports"]
