"""Scores of predicted vote fractions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def rmse(predicted: ArrayLike, votes: ArrayLike) -> float:
    """Root of the mean squared difference over all galaxies and all answers.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)

    References
    ----------
    The Galaxy Challenge's score; Dieleman, Willett & Dambre 2015, section 4.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(votes, np.float64)
    return float(np.sqrt(np.mean(np.square(difference))))
