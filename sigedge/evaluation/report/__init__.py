"""The report of an evaluation: one HTML page that needs no network.

Imported only where a report is made: it loads Jinja2 and matplotlib.
"""

from __future__ import annotations

from sigedge.evaluation.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
