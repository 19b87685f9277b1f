"""Answers that say how sure they are, and votes that scatter about answers as those of some people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.rows import Uncertainty
from pipeline.confidence import Concentrations, share_intervals
from pipeline.confidence.concentration import VOLUNTEERS, QuestionConcentration
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


def votes_about(
    tree: DecisionTree, predicted: NDArray[np.float64], worth: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Vote fractions of 40 people, shape (n, answers), about answers that are worth as many volunteers."""
    counts = np.zeros(predicted.shape, np.int64)
    for key in tree.in_order():
        where, gate = tree.slices[key], tree.gates.get(key)
        asked = np.full(len(predicted), int(VOLUNTEERS)) if gate is None else counts[:, gate].sum(axis=1)
        shares = predicted[:, where] / predicted[:, where].sum(axis=1, keepdims=True)
        chances = random.gamma(worth * shares + 1e-9)
        chances /= chances.sum(axis=1, keepdims=True)
        counts[:, where] = random.multinomial(asked, chances)
    return counts / VOLUNTEERS
