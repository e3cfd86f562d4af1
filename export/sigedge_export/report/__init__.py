"""The report of an export: one HTML page that needs no network, and the rule behind its first sentence.

Imported only where a report is made: it loads Jinja2 and matplotlib.
"""

from __future__ import annotations

from sigedge_export.report.data import Latency, ReportData, Row, headline, rows, summary
from sigedge_export.report.page import render_report, write_report
from sigedge_export.report.verdict import Evidence, Verdict, judge

__all__ = [
    "Evidence",
    "Latency",
    "ReportData",
    "Row",
    "Verdict",
    "headline",
    "judge",
    "render_report",
    "rows",
    "summary",
    "write_report",
]
