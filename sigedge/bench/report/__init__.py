"""A page of benches: what one device measured, or several, from their result files."""

from sigedge.bench.report.page import error_rates, read_results, write_page

__all__ = ["error_rates", "read_results", "write_page"]
