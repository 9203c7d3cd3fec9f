"""Report: what a study found, as one HTML page that needs nothing else."""

from gennas.report.page import write_report

__all__ = ["write_report"]
