"""Accuracy against agreement and confidence: bins of equal counts, and whether it rises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr


@dataclass(frozen=True)
class Bin:
    """Galaxies with neighbouring values: how many, their range and mean, and the share that is right."""

    galaxies: int
    low: float
    high: float
    mean: float
    accuracy: float


@dataclass(frozen=True)
class Trend:
    """Whether a share rises: the statistic z, positive where it does, and the one-sided p-value."""

    z: float
    p: float


def equal_count_bins(values: ArrayLike, correct: ArrayLike, count: int = 10) -> list[Bin]:
    """Accuracy in bins that hold the same number of galaxies each, give or take one.

    Galaxies of equal values that fall into two bins count in both with the accuracy of them all, so that the
    order of the galaxies doesn't matter. Fewer galaxies than bins make fewer bins.

    Parameters
    ----------
    values, correct : array_like, shape (n,)
        What to sort by, and whether the prediction is right.

    References
    ----------
    Dieleman, Willett & Dambre 2015, figure 9.

    Examples
    --------
    >>> bins = equal_count_bins([0.1, 0.2, 0.8, 0.9], [False, True, True, True], count=2)
    >>> [(part.low, part.high, part.accuracy) for part in bins]
    [(0.1, 0.2, 0.5), (0.8, 0.9, 1.0)]
    """
    value, right = np.asarray(values, np.float64), np.asarray(correct, np.float64)
    if not len(value):
        return []
    _, group = np.unique(value, return_inverse=True)
    right = (np.bincount(group, right) / np.bincount(group))[group]
    parts = np.array_split(np.argsort(value, kind="stable"), min(count, len(value)))
    return [
        Bin(
            len(part),
            float(value[part[0]]),
            float(value[part[-1]]),
            float(value[part].mean()),
            float(right[part].mean()),
        )
        for part in parts
    ]


def rising_trend(scores: ArrayLike, correct: ArrayLike) -> Trend:
    """The Cochran–Armitage test of whether the share that is right rises with a score.

    Parameters
    ----------
    scores, correct : array_like, shape (n,)
        One for each galaxy: its score, such as the number of its bin, and whether it is right.

    Returns
    -------
    Trend
        NaN where all scores, or all outcomes, are the same: there is nothing to test.

    References
    ----------
    Armitage 1955, Biometrics 11, 375; z² = n r² as in Agresti 2002, Categorical Data Analysis, section 5.3.5.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(correct, np.float64)
    if not len(x) or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Trend(float("nan"), float("nan"))
    z = float(np.sqrt(len(x)) * np.corrcoef(x, y)[0, 1])
    return Trend(z, float(ndtr(-z)))


def bin_numbers(values: ArrayLike, count: int = 10) -> NDArray[np.float64]:
    """The number of each value's bin among bins of equal counts, shape (n,); equal values get the mean."""
    value = np.asarray(values, np.float64)
    numbers = np.empty(len(value))
    bins = max(1, min(count, len(value)))
    for number, part in enumerate(np.array_split(np.argsort(value, kind="stable"), bins)):
        numbers[part] = number
    _, group = np.unique(value, return_inverse=True)
    return np.asarray((np.bincount(group, numbers) / np.bincount(group))[group])
