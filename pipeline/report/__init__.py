"""The report of a run: one self-contained HTML page with the galaxies, their classes and the run's facts."""

from pipeline.report.facts import RunCounts, RunFacts
from pipeline.report.page import render_report
from pipeline.report.whole import read_catalogue

__all__ = ["RunCounts", "RunFacts", "read_catalogue", "render_report"]
