"""One question over the galaxies that were asked it: what was said, what volunteers said, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import DecisionTree, Question, agreement, is_asked

NO_ANSWER = -1
"""The predicted answer where a question has no probability at all."""


@dataclass(frozen=True)
class AskedGalaxies:
    """Galaxies of which at least half of the volunteers were asked a question.

    Where answers are equally probable, the first of the tree counts, as in the catalogue.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
        Which galaxies they are.
    truth, predicted : ndarray, shape (m,), int64
        The answer that most volunteers gave, and the most probable one; `NO_ANSWER` where it has none.
    agreement, confidence : ndarray, shape (m,), float64
        a(p) = 1 − H(p) / log n of the volunteers and of the prediction; 0 where it has no answer.
    probability, share : ndarray, shape (m,), float64
        Of the predicted answer: its probability among the question's answers, and the share of the asked
        volunteers that gave it.

    References
    ----------
    Dieleman, Willett & Dambre 2015, section 7.1.
    """

    question: Question
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    agreement: NDArray[np.float64]
    confidence: NDArray[np.float64]
    probability: NDArray[np.float64]
    share: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the prediction is what most volunteers said, shape (m,)."""
        return np.equal(self.predicted, self.truth)

    @property
    def accuracy(self) -> float:
        """Share of the galaxies whose prediction is right; NaN if there are none."""
        return float(self.correct.mean()) if len(self) else float("nan")

    @property
    def majority(self) -> float:
        """Accuracy of always saying what is most often right; NaN if there are no galaxies."""
        return float(np.bincount(self.truth).max() / len(self)) if len(self) else float("nan")


def asked_galaxies(
    tree: DecisionTree, question: Question, predicted: ArrayLike, votes: ArrayLike
) -> AskedGalaxies:
    """The galaxies of which enough volunteers were asked a question; see `pipeline.tree.is_asked`.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Cumulative, in the order of the tree; a galaxy with a missing vote (NaN) on the question is left out.
    """
    where = tree.slices[question.key]
    fractions = np.asarray(votes, np.float64)[:, where]
    rows = np.flatnonzero(is_asked(fractions))  # no galaxy with NaN is
    fractions, answers = fractions[rows], np.asarray(predicted, np.float64)[rows, where]
    sums = answers.sum(axis=1)
    answered = sums > 0
    best, index = answers.argmax(axis=1), np.arange(len(rows))
    probability = np.divide(answers[index, best], sums, out=np.zeros(len(rows)), where=answered)
    return AskedGalaxies(
        question=question,
        rows=rows,
        truth=fractions.argmax(axis=1),
        predicted=np.where(answered, best, NO_ANSWER),
        agreement=agreement(fractions),
        confidence=np.nan_to_num(agreement(answers)),
        probability=probability,
        share=np.where(answered, fractions[index, best] / fractions.sum(axis=1), 0.0),
    )
