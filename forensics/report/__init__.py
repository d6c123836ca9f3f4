"""The report of a run: one HTML file that opens anywhere, offline."""

from forensics.report.model import Options
from forensics.report.page import build_report, write_report

__all__ = ["Options", "build_report", "write_report"]
