"""Weights by which galaxies that were chosen by their votes count as a fair sample would."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

_PENALTY = 0.01
"""On squared multipliers: moments of a few hundred fair galaxies aren't worth a weight of a hundred."""


def balancing_weights(votes: ArrayLike, fair: ArrayLike) -> NDArray[np.float64]:
    """Weights that give galaxies with all votes the means and mean squares of a fair sample.

    Of all weights that do so, those nearest to equal ones (entropy balancing). Where some votes of a galaxy
    aren't known it keeps 1: it isn't weighed by columns that it lacks, and must be of the fair sample.

    Parameters
    ----------
    votes : array_like, shape (n, answers)
        Vote fractions; NaN where they aren't known.
    fair : array_like, shape (n,), bool
        Which galaxies are of the fair sample.

    Returns
    -------
    ndarray, shape (n,), float64
        1 on average, among galaxies with all votes too.

    Raises
    ------
    ValueError
        If a galaxy lacks votes and isn't of the fair sample, or no galaxy of it tells of a column.

    References
    ----------
    Hainmueller 2012, Political Analysis 20, 25: Entropy Balancing for Causal Effects.
    """
    fractions, wanted = np.asarray(votes, np.float64), np.asarray(fair, bool)
    complete = ~np.isnan(fractions).any(axis=1)
    if not (complete | wanted).all():
        raise ValueError(
            "a galaxy that lacks votes isn't of the fair sample: what it should count isn't known"
        )
    moments = np.hstack([fractions, fractions**2])
    if np.isnan(moments[wanted]).all(axis=0).any():
        raise ValueError("no galaxy of the fair sample has votes in one of the columns")
    target, chosen = np.nanmean(moments[wanted], axis=0), moments[complete]
    spread = chosen.std(axis=0)
    distance = (chosen - target) / np.where(spread > 0, spread, 1)

    def dual(multipliers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        exponents = distance @ multipliers
        slope = softmax(exponents) @ distance + 2 * _PENALTY * multipliers
        return float(logsumexp(exponents) + _PENALTY * multipliers @ multipliers), slope

    solved = minimize(dual, np.zeros(len(target)), jac=True, method="L-BFGS-B")
    weights = np.ones(len(fractions))
    weights[complete] = softmax(distance @ solved.x) * complete.sum()
    return weights
