"""One HTML file that shows a sweep: the answer, charts, every point, and how it was made."""

from lrjax.report._report import report_html, write_report

__all__ = ["report_html", "write_report"]
