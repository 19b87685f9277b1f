"""How sure answers are: intervals of vote shares, and how unlike the training pictures a picture is.

What needs torch, the file beside weights and the look at pixels, is in `document` and `appearance`.
"""

from __future__ import annotations

from pipeline.confidence.calibration import calibrated, question_coverage
from pipeline.confidence.concentration import Concentrations, fit_concentrations
from pipeline.confidence.familiarity import COMPARED, Familiarity, fit_familiarity
from pipeline.confidence.intervals import LEVEL, coverage, share_distributions, share_intervals

__all__ = [
    "COMPARED",
    "LEVEL",
    "Concentrations",
    "Familiarity",
    "calibrated",
    "coverage",
    "fit_concentrations",
    "fit_familiarity",
    "question_coverage",
    "share_distributions",
    "share_intervals",
]
