"""The report of a run: one self-contained HTML page with the galaxies, their classes and the run's facts."""

from pipeline.report.facts import RunCounts, RunFacts
from pipeline.report.run_page import render_report

__all__ = ["RunCounts", "RunFacts", "render_report"]
