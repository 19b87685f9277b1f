"""Calibration: whether a stated probability is how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class ReliabilityBin:
    """Galaxies whose predicted answer has a probability in (low, high]: its mean, and the mean outcome."""

    low: float
    high: float
    galaxies: int
    probability: float
    outcome: float


def reliability(probabilities: ArrayLike, outcomes: ArrayLike, count: int = 10) -> list[ReliabilityBin]:
    """The reliability diagram in bins of equal width; empty ones are left out.

    Parameters
    ----------
    probabilities : array_like, shape (n,)
        Probability of each galaxy's predicted answer, in [0, 1].
    outcomes : array_like, shape (n,)
        Whether each is right; or the share of the volunteers that gave it.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(outcomes, np.float64)
    edges = np.linspace(0, 1, count + 1)
    places = np.searchsorted(edges[1:-1], p)
    return [
        ReliabilityBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(inside.sum()),
            float(p[inside].mean()),
            float(y[inside].mean()),
        )
        for i in range(count)
        if (inside := places == i).any()
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance between probability and outcome over the bins, by their galaxies; NaN without any.

    References
    ----------
    Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    if not bins:
        return float("nan")
    galaxies = [b.galaxies for b in bins]
    return float(np.average([abs(b.probability - b.outcome) for b in bins], weights=galaxies))
