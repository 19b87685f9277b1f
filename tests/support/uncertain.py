"""Answers that say how sure they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.rows import Uncertainty
from pipeline.confidence import Concentrations, share_intervals
from pipeline.confidence.concentration import QuestionConcentration
from pipeline.tree import DecisionTree


def constant_concentrations(tree: DecisionTree, worth: float) -> Concentrations:
    """Every answer of every galaxy is worth as many volunteers."""
    slopes = (0.0,) * tree.answer_count
    fit = QuestionConcentration(offset=float(np.log(worth)), slopes=slopes, galaxies=1)
    return Concentrations(mean_roots=slopes, questions={q.key: fit for q in tree.questions})


def uncertainty_of(
    tree: DecisionTree,
    predicted: NDArray[np.float64],
    worth: float,
    out_of_place: NDArray[np.float64] | None = None,
) -> Uncertainty:
    """What a catalogue says whose answers are all worth as many volunteers."""
    concentrations = constant_concentrations(tree, worth)
    low, high = share_intervals(tree, predicted.astype(np.float32), concentrations)
    ones = np.ones(len(predicted), np.float32)
    return Uncertainty(
        low,
        high,
        concentrations.of(tree, predicted).astype(np.float32),
        0.5 * ones if out_of_place is None else out_of_place.astype(np.float32),
        ones,
    )
