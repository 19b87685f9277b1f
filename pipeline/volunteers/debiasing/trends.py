"""How shares go with redshift, before and after: what a correction is judged by where no truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tree import DecisionTree
from pipeline.volunteers.debiasing.galaxies import Galaxies

BINS = 8
LEAST_GALAXIES = 20


@dataclass(frozen=True)
class Trend:
    """Mean shares of one question, of galaxies bright enough to be seen at all these redshifts.

    Attributes
    ----------
    redshift : ndarray, shape (bins,)
    before, after : ndarray, shape (bins, answers)
        Mean shares.
    corrected : ndarray, shape (bins,)
        Share of the galaxies that there was something to correct by.
    galaxies
        How many there are in all bins.
    """

    question: str
    redshift: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    corrected: NDArray[np.float64]
    galaxies: int

    @property
    def spread(self) -> tuple[float, float]:
        """By how much the mean share of an answer differs at most between bins, before and after."""
        if not len(self.redshift):
            return np.nan, np.nan
        return float(np.ptp(self.before, axis=0).max()), float(np.ptp(self.after, axis=0).max())


def luminosity_limited(galaxies: Galaxies) -> NDArray[np.bool_]:
    """Galaxies so near that ones as faint as the faintest of them are seen wherever they are.

    Nine tenths of all redshifts are kept; of what is fainter than nearly all at the far end nothing is.
    """
    known = galaxies.complete
    if not known.any():
        return known
    far, near = np.quantile(galaxies.redshift[known], [0.9, 0.75])
    at_the_end = known & (galaxies.redshift > near) & (galaxies.redshift <= far)
    if not at_the_end.any():
        return known
    faintest = np.quantile(galaxies.magnitude[at_the_end], 0.8)
    return np.asarray(known & (galaxies.redshift <= far) & (galaxies.magnitude <= faintest))


def trends(
    tree: DecisionTree,
    galaxies: Galaxies,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    done: NDArray[np.bool_],
    asked: NDArray[np.bool_],
) -> list[Trend]:
    """Trends of all questions.

    Parameters
    ----------
    before, after : ndarray, shape (n, answers)
        Shares of those who were asked each question.
    done, asked : ndarray, shape (n, questions)
        Which were corrected, and which a question is to be asked of.
    """
    limited, result = luminosity_limited(galaxies), []
    for number, question in enumerate(tree.questions):
        where = tree.slices[question.key]
        rows = np.flatnonzero(limited & asked[:, number] & (before[:, where].sum(axis=1) > 0))
        rows = rows[np.argsort(galaxies.redshift[rows], kind="stable")]
        bins = min(BINS, len(rows) // LEAST_GALAXIES)
        parts = np.array_split(rows, bins) if bins else []
        wide = where.stop - where.start
        result.append(
            Trend(
                question.key,
                np.array([galaxies.redshift[part].mean() for part in parts]),
                np.array([before[part, where].mean(axis=0) for part in parts]).reshape(-1, wide),
                np.array([after[part, where].mean(axis=0) for part in parts]).reshape(-1, wide),
                np.array([done[part, number].mean() for part in parts]),
                len(rows),
            )
        )
    return result
