"""Scores of predicted vote fractions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def rmse(predicted: ArrayLike, votes: ArrayLike) -> float:
    """Root of the mean squared difference over all galaxies and all answers.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Votes that are missing are NaN and don't count.

    References
    ----------
    The Galaxy Challenge's score; Dieleman, Willett & Dambre 2015, section 4.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(votes, np.float64)
    return float(np.sqrt(np.nanmean(np.square(difference))))


def rmse_interval(
    predicted: ArrayLike, votes: ArrayLike, share: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the `rmse` over galaxies drawn anew, with replacement (percentile bootstrap).

    Parameters
    ----------
    predicted, votes
        As of `rmse`; rows are drawn.
    share
        Of the draws, the middle part that the interval holds.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    squares = np.square(np.asarray(predicted, np.float64) - np.asarray(votes, np.float64))
    sums, counts = np.nansum(squares, axis=1), (~np.isnan(squares)).sum(axis=1)
    rows = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    drawn = np.sqrt(sums[rows].sum(axis=1) / counts[rows].sum(axis=1))
    low, high = np.quantile(drawn, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
