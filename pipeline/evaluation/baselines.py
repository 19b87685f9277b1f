"""What is scored without looking at any image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import DecisionTree


def column_means(votes: ArrayLike) -> NDArray[np.float64]:
    """The mean vote on every answer, shape (answers,): of all constant answers the one of least RMSE.

    Parameters
    ----------
    votes : array_like, shape (n, answers)
        NaN where a vote is missing; an answer without any vote gets 0.
    """
    fractions = np.asarray(votes, np.float64)
    voted = ~np.isnan(fractions)
    return np.asarray(np.nansum(fractions, axis=0) / np.maximum(voted.sum(axis=0), 1))


def majority_answers(tree: DecisionTree, votes: ArrayLike) -> NDArray[np.float64]:
    """Every question answered with certainty by what most votes on it say, shape (answers,).

    What was answered before decides whether a question is asked at all: the answers obey the tree.
    """
    means = column_means(votes)
    answers = np.zeros(tree.answer_count)
    for question in tree.questions:
        where = tree.slices[question.key]
        answers[where.start + int(means[where].argmax())] = 1.0
    for key, gate in tree.gates.items():
        answers[tree.slices[key]] *= answers[list(gate)].sum()
    return answers
