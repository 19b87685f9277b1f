"""One question after the other, down the tree: each is learnt where corrected shares lead to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.tree import LEAST_ASKED, DecisionTree
from pipeline.volunteers.debiasing.galaxies import Galaxies

LOW_REDSHIFT = 0.03
"""Where shares are taken for unbiased."""

LEAST_VOTES = 5


class Correction(Protocol):
    """What corrects the shares of one question."""

    def apply(
        self, shares: NDArray[np.float64], galaxies: Galaxies
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Correct shares that sum to 1, of galaxies of which all is known, and say which it could."""


Fit = Callable[[NDArray[np.float64], Galaxies], Correction | None]
"""Learns from the shares of one question, shape (n, answers); None if there are too few galaxies."""


@dataclass(frozen=True)
class Debiasing:
    """What was learnt of all questions.

    Attributes
    ----------
    corrections
        By question; None where there are too few galaxies to learn from.
    learnt_from
        How many galaxies each question was learnt from.
    """

    tree: DecisionTree
    corrections: dict[str, Correction | None]
    learnt_from: dict[str, int]

    def apply(
        self, shares: NDArray[np.float64], galaxies: Galaxies
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Correct shares.

        Parameters
        ----------
        shares : ndarray, shape (n, answers)
            Of those who were asked each question.

        Returns
        -------
        corrected : ndarray, shape (n, answers)
        done : ndarray, shape (n, questions), bool
            Where there was something to correct by; elsewhere shares are as they were.
        """
        result = shares.copy()
        done = np.zeros((len(shares), len(self.tree.questions)), bool)
        for number, question in enumerate(self.tree.questions):
            where, correction = self.tree.slices[question.key], self.corrections[question.key]
            rows = _usable(shares[:, where], galaxies)
            if correction is not None and len(rows):
                result[rows, where], done[rows, number] = correction.apply(
                    shares[rows, where], galaxies.take(rows)
                )
        return result, done


def learn_debiasing(
    tree: DecisionTree,
    shares: NDArray[np.float64],
    galaxies: Galaxies,
    fit: Fit,
    votes: NDArray[np.float64] | None = None,
) -> Debiasing:
    """Learn the corrections.

    A question is learnt from galaxies of which at least `LEAST_ASKED` of all people would be asked it. These
    are chosen by corrected shares: by the shares that people gave, far galaxies would be among them only if
    their features are plain to see.

    Parameters
    ----------
    shares : ndarray, shape (n, answers)
        Of those who were asked each question.
    votes : ndarray, shape (n, questions)
        How many people were asked, where that is known: only galaxies with `LEAST_VOTES` are learnt from.
    """
    corrections, learnt = {}, {}
    numbers = {question.key: number for number, question in enumerate(tree.questions)}
    cumulative = np.zeros(shares.shape)
    for key in tree.in_order():
        where, gate = tree.slices[key], tree.gates.get(key)
        asked = np.ones(len(shares)) if gate is None else cumulative[:, list(gate)].sum(axis=1)
        part = shares[:, where].copy()
        enough = asked >= LEAST_ASKED
        if votes is not None:
            enough &= votes[:, numbers[key]] >= LEAST_VOTES
        usable = _usable(part, galaxies)
        rows = usable[enough[usable]]
        correction = fit(part[rows], galaxies.take(rows)) if len(rows) else None
        corrections[key], learnt[key] = correction, len(rows) if correction is not None else 0
        if correction is not None:
            part[usable] = correction.apply(part[usable], galaxies.take(usable))[0]
        cumulative[:, where] = asked[:, None] * part
    return Debiasing(tree, corrections, learnt)


def _usable(shares: NDArray[np.float64], galaxies: Galaxies) -> NDArray[np.int64]:
    return np.flatnonzero(galaxies.complete & (shares.sum(axis=1) > 0))
