"""Scores of predicted vote fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DRAWS_AT_ONCE = 32


@dataclass(frozen=True)
class Score:
    """A root mean squared error with its interval; NaN where there are no votes at all.

    Attributes
    ----------
    galaxies
        How many galaxies have a vote that counts.
    """

    rmse: float
    low: float
    high: float
    galaxies: int


def rmse(predicted: ArrayLike, votes: ArrayLike) -> float:
    """Root of the mean squared difference over all galaxies and all answers.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Votes that are missing are NaN and don't count.

    References
    ----------
    The Galaxy Challenge's score; Dieleman, Willett & Dambre 2015, section 4.

    Examples
    --------
    >>> round(rmse([[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.8, float("nan")]]), 3)
    0.115
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
        Shape (n, answers), as `rmse` takes them; whole rows are drawn.
    share
        The middle part of the draws that the interval holds.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    score = rmse_scores(predicted, votes, [slice(None)], share, draws, seed)[0]
    return score.low, score.high


def rmse_scores(
    predicted: ArrayLike,
    votes: ArrayLike,
    parts: Sequence[slice],
    share: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> list[Score]:
    """The `rmse` of each of some parts of the answers, with its interval; all see the same draws.

    Parameters
    ----------
    predicted, votes, share
        As `rmse_interval` takes them.
    parts
        Columns of each part, such as ``tree.slices``.
    """
    squares = np.square(np.asarray(predicted, np.float64) - np.asarray(votes, np.float64))
    voted = ~np.isnan(squares)
    sums = np.stack([np.nansum(squares[:, part], axis=1) for part in parts], axis=1)
    counts = np.stack([voted[:, part].sum(axis=1) for part in parts], axis=1)
    total, drawn = _root_mean(sums.sum(axis=0), counts.sum(axis=0)), []
    random, both = np.random.default_rng(seed), np.concatenate([sums, counts], axis=1)
    for start in range(0, draws, _DRAWS_AT_ONCE):
        rows = random.integers(0, len(sums), (min(_DRAWS_AT_ONCE, draws - start), len(sums)))
        times = np.stack([np.bincount(row, minlength=len(sums)) for row in rows])
        drawn.append(_root_mean(*np.split(times.astype(np.float64) @ both, 2, axis=1)))
    every = np.concatenate(drawn)
    scores = []
    for i in range(len(parts)):
        those = every[~np.isnan(every[:, i]), i]  # a draw may miss all galaxies that have votes
        low, high = np.quantile(those, [(1 - share) / 2, (1 + share) / 2]) if len(those) else (np.nan,) * 2
        scores.append(Score(float(total[i]), float(low), float(high), int((counts[:, i] > 0).sum())))
    return scores


def rmse_difference(
    first: ArrayLike,
    second: ArrayLike,
    votes: ArrayLike,
    share: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """By how much the `rmse` of one prediction is above another's, with its interval.

    Both are scored on the same galaxies in every draw, so that those that are hard for both don't widen the
    interval.

    Parameters
    ----------
    first, second, votes : array_like, shape (n, answers)
    share
        The middle part of the draws that the interval holds.

    Returns
    -------
    difference, low, high

    Examples
    --------
    >>> votes = [[0.5, 0.5], [0.8, 0.2], [0.1, 0.9]]
    >>> difference, low, high = rmse_difference([[0.5, 0.5]] * 3, votes, votes)
    >>> round(difference, 3)
    0.289
    >>> low <= difference <= high
    True
    """
    truth = np.asarray(votes, np.float64)
    voted = ~np.isnan(truth)
    counts = voted.sum(axis=1)
    sums = [
        np.where(voted, np.square(np.asarray(each, np.float64) - truth), 0).sum(1) for each in (first, second)
    ]
    random = np.random.default_rng(seed)
    rows = random.integers(0, len(truth), (draws, len(truth)))
    drawn = [_root_mean(each[rows].sum(1), counts[rows].sum(1)) for each in sums]
    total = [float(_root_mean(each.sum(), counts.sum())) for each in sums]
    low, high = np.nanquantile(drawn[0] - drawn[1], [(1 - share) / 2, (1 + share) / 2])
    return total[0] - total[1], float(low), float(high)


def galaxy_rmse(predicted: ArrayLike, votes: ArrayLike) -> NDArray[np.float64]:
    """The `rmse` of each galaxy over its answers, shape (n,); NaN for one without votes."""
    squares = np.square(np.asarray(predicted, np.float64) - np.asarray(votes, np.float64))
    return _root_mean(np.nansum(squares, axis=1), (~np.isnan(squares)).sum(axis=1))


def _root_mean(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    counted = counts > 0
    return np.asarray(np.sqrt(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counted)))
