"""Confusion matrices, and precision and recall of every answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class AnswerScore:
    """How well one answer is found.

    Attributes
    ----------
    precision
        Of the galaxies that are predicted so, the share that is; None if none is predicted so.
    recall
        Of the galaxies that are so, the share that is predicted so; None if none is.
    galaxies
        Number of galaxies to which most volunteers gave this answer.
    """

    precision: float | None
    recall: float | None
    galaxies: int


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, answers: int) -> NDArray[np.int64]:
    """Galaxies by what most volunteers said (row) and what was predicted (column).

    Parameters
    ----------
    truth, predicted : array_like, shape (n,)
        Numbers of answers from 0; a prediction below 0 is none.

    Returns
    -------
    ndarray, shape (answers, answers + 1), int64
        The last column counts galaxies for which nothing was predicted.
    """
    matrix = np.zeros((answers, answers + 1), np.int64)
    rows, columns = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    np.add.at(matrix, (rows, np.where(columns < 0, answers, columns)), 1)
    return matrix


def answer_scores(matrix: NDArray[np.int64]) -> list[AnswerScore]:
    """Precision and recall of each answer of a `confusion_matrix`."""
    predicted, actual = matrix.sum(axis=0), matrix.sum(axis=1)
    return [
        AnswerScore(
            float(matrix[i, i] / predicted[i]) if predicted[i] else None,
            float(matrix[i, i] / actual[i]) if actual[i] else None,
            int(actual[i]),
        )
        for i in range(len(matrix))
    ]
