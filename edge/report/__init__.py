"""The report of a compression or a run: `report.json` for programs, `report.html` for people."""

from edge.report.contents import Headline, Report, RuntimeReport, SpeedReport, StageReport, headline_of
from edge.report.figures import FusedFrame, ReportFigures
from edge.report.publish import read_report, write_report, write_report_json

__all__ = [
    "FusedFrame",
    "Headline",
    "Report",
    "ReportFigures",
    "RuntimeReport",
    "SpeedReport",
    "StageReport",
    "headline_of",
    "read_report",
    "write_report",
    "write_report_json",
]
