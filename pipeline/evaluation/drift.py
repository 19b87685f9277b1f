"""Drift: how the answers of two catalogues of the same galaxies differ, gathered as they stream by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import jensenshannon

from pipeline.tree import DecisionTree

FINE = 1000
"""Bins in which distributions are held: the Kolmogorov–Smirnov distance is that at their edges."""

COARSE = 20
"""Bins over which the Jensen–Shannon distance is taken."""


@dataclass(frozen=True)
class Shift:
    """How the distribution of one answer's probability moved.

    Attributes
    ----------
    column
        The answer.
    before, after
        Mean probability.
    kolmogorov_smirnov
        Largest distance of the two cumulative distributions, 0 to 1, at steps of 1/`FINE`.
    jensen_shannon
        Root of the Jensen–Shannon divergence in bits, 0 to 1, over `COARSE` equal bins.

    References
    ----------
    Massey 1951, The Kolmogorov–Smirnov test for goodness of fit; Lin 1991 and Endres & Schindelin 2003 for
    the Jensen–Shannon divergence and the metric made of it.
    """

    column: str
    before: float
    after: float
    kolmogorov_smirnov: float
    jensen_shannon: float

    @property
    def difference(self) -> float:
        """By how much the mean probability rose: after less before."""
        return self.after - self.before


class Drift:
    """Distributions and classes of galaxies that two catalogues hold, added a piece at a time.

    Memory doesn't depend on the galaxies: a histogram an answer and catalogue, and a table of classes.

    Attributes
    ----------
    galaxies
        How many galaxies were added.
    classes : ndarray, shape (classes + 1, classes + 1), int64
        Galaxies by class before (row) and after (column); the last is no class.
    """

    def __init__(self, tree: DecisionTree) -> None:
        self._tree = tree
        self.galaxies = 0
        self.classes = np.zeros((len(tree.classes) + 1,) * 2, np.int64)
        self._sums = np.zeros((2, tree.answer_count))
        self._counts = np.zeros((2, tree.answer_count, FINE), np.int64)

    def add(
        self, before: ArrayLike, after: ArrayLike, classes_before: ArrayLike, classes_after: ArrayLike
    ) -> None:
        """Count galaxies that both catalogues hold.

        Parameters
        ----------
        before, after : array_like, shape (n, answers)
            Cumulative probabilities of the same galaxies.
        classes_before, classes_after : array_like, shape (n,)
            Indices into ``tree.classes``; their number where there is no class.
        """
        np.add.at(self.classes, (np.asarray(classes_before), np.asarray(classes_after)), 1)
        offsets = np.arange(self._tree.answer_count) * FINE
        for side, probabilities in enumerate((before, after)):
            p = np.asarray(probabilities, np.float64)
            bins = np.clip((p * FINE).astype(np.int64), 0, FINE - 1) + offsets
            counted = np.bincount(bins.ravel(), minlength=FINE * self._tree.answer_count)
            self._counts[side] += counted.reshape(-1, FINE)
            self._sums[side] += p.sum(axis=0)
        self.galaxies += len(np.asarray(classes_before))

    @property
    def changed_class(self) -> int:
        """How many galaxies have another class after than before."""
        return int(self.classes.sum() - np.trace(self.classes))

    def shifts(self) -> list[Shift]:
        """The shift of each answer, in the order of the tree; empty if no galaxy was added."""
        if not self.galaxies:
            return []
        means = self._sums / self.galaxies
        curves = self._counts.cumsum(axis=2) / self.galaxies
        furthest = np.abs(curves[0] - curves[1]).max(axis=1)
        coarse = self._counts.reshape(2, -1, COARSE, FINE // COARSE).sum(axis=3)
        apart = np.nan_to_num(jensenshannon(coarse[0], coarse[1], base=2, axis=1))
        return [
            Shift(column, *(float(v) for v in values))
            for column, *values in zip(self._tree.columns, means[0], means[1], furthest, apart, strict=True)
        ]

    def histogram(self, column: str) -> NDArray[np.int64]:
        """How many galaxies lie in each bin of an answer's probability, before and after, (2, `COARSE`)."""
        counts = self._counts[:, self._tree.columns.index(column)]
        return np.asarray(counts.reshape(2, COARSE, -1).sum(axis=2))


def probability_moved(tree: DecisionTree, before: ArrayLike, after: ArrayLike) -> NDArray[np.float64]:
    """How much of each galaxy's probability moved, 0 to 1, at the question where most of it did.

    It is the total variation distance between the two distributions over the question's answers, and not
    being asked it at all.

    Parameters
    ----------
    before, after : array_like, shape (n, answers)
        Cumulative probabilities of the same galaxies.

    Returns
    -------
    ndarray, shape (n,)
    """
    p, q = np.asarray(before, np.float64), np.asarray(after, np.float64)
    moved = [
        (np.abs(p[:, w] - q[:, w]).sum(axis=1) + np.abs(p[:, w].sum(axis=1) - q[:, w].sum(axis=1))) / 2
        for w in tree.slices.values()
    ]
    return np.asarray(np.max(moved, axis=0))
