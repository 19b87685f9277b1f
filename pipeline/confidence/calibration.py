"""Intervals that hold as many votes as they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.confidence.concentration import Concentrations
from pipeline.confidence.intervals import LEVEL, coverage, share_intervals
from pipeline.tree import LEAST_ASKED, DecisionTree

_FEWEST_ASKED = 50
_NARROWEST, _WIDEST, _STEPS = 0.1, 30.0, 14


def calibrated(
    tree: DecisionTree,
    concentrations: Concentrations,
    answers: ArrayLike,
    votes: ArrayLike,
    level: float = LEVEL,
) -> Concentrations:
    """Widen, or narrow, each question's intervals until they hold a share `level` of the votes.

    Of galaxies of which at least half of the volunteers were asked the question; questions that fewer than 50
    of them were asked stay as they are.

    Parameters
    ----------
    answers, votes : array_like, shape (n, answers)
        Of galaxies that the network never saw; NaN where a vote is missing.
    """
    probabilities, fractions = np.asarray(answers, np.float64), np.asarray(votes, np.float64)
    for key in tree.in_order():
        asked = asked_of(tree, key, fractions)
        if key not in concentrations.questions or asked.sum() < _FEWEST_ASKED:
            continue
        low, high = _NARROWEST, _WIDEST
        for _ in range(_STEPS):
            middle = (low * high) ** 0.5
            trial = concentrations.widened(key, middle)
            covered = question_coverage(tree, key, trial, probabilities[asked], fractions[asked], level)
            low, high = (low, middle) if covered > level else (middle, high)
        concentrations = concentrations.widened(key, round((low * high) ** 0.5, 4))
    return concentrations


def question_coverage(
    tree: DecisionTree,
    key: str,
    concentrations: Concentrations,
    answers: ArrayLike,
    votes: ArrayLike,
    level: float = LEVEL,
) -> float:
    """Share of a question's votes within their intervals."""
    where = tree.slices[key]
    low, high = share_intervals(tree, answers, concentrations, level)
    return coverage(np.asarray(votes)[:, where], low[:, where], high[:, where])


def asked_of(tree: DecisionTree, key: str, votes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Galaxies of which at least half of the volunteers were asked a question and whose votes are known."""
    own = votes[:, tree.slices[key]]
    return np.asarray(~np.isnan(own).any(axis=1) & (np.nan_to_num(own).sum(axis=1) >= LEAST_ASKED))
