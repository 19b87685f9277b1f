"""Triage: which answers can stand as they are, and which people should look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from pipeline.evaluation.asked import LEAST_ASKED
from pipeline.evaluation.proportion import proportion_interval
from pipeline.tree import DecisionTree, Question, agreement

NOT_ASKED, SETTLED, TO_PEOPLE = 0, 1, 2
"""What becomes of a galaxy in a question: it isn't asked it, its answer stands, or people are to look."""

_STEPS = 10
"""Thresholds that are tried: those which settle a tenth of the galaxies, two tenths, … all."""


@dataclass(frozen=True)
class Answered:
    """What a catalogue says to one question.

    Attributes
    ----------
    asked : ndarray, shape (n,), bool
        Whether the question is asked, as the catalogue has it: with a probability of a half or more.
    answer : ndarray, shape (n,), int64
        The most probable answer.
    confidence : ndarray, shape (n,), float64
        The agreement a(p) = 1 − H(p) / log n of the prediction; 0 where it isn't asked at all.
    """

    asked: NDArray[np.bool_]
    answer: NDArray[np.int64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """From which confidence on the answers to a question are right often enough.

    Attributes
    ----------
    question
        Key of the question.
    target
        The accuracy that was asked for.
    confidence
        Least confidence of an answer that stands; None where no threshold keeps the promise.
    galaxies, settled
        Labelled galaxies that were asked the question, and those of them at or above the threshold.
    accuracy, low, high
        Of these, and its exact interval (95 %); of all, where there is no threshold.
    """

    question: str
    target: float
    confidence: float | None
    galaxies: int
    settled: int
    accuracy: float
    low: float
    high: float

    def in_words(self) -> str:
        """The threshold as a sentence."""
        if self.confidence is None:
            return (
                f"{self.question}: no confidence keeps the promise of {self.target:.0%} with "
                f"{self.galaxies:,} labelled galaxies; all are for people"
            )
        return (
            f"{self.question}: settled from confidence {self.confidence:.3f}, as "
            f"{self.settled / self.galaxies:.0%} of the labelled galaxies are; {self.accuracy:.1%} of those "
            f"are right (95 %: {self.low:.1%} to {self.high:.1%})"
        )


def answered(tree: DecisionTree, question: Question, predicted: ArrayLike) -> Answered:
    """What cumulative probabilities, shape (n, answers), say to a question."""
    p = np.asarray(predicted, np.float64)[:, tree.slices[question.key]]
    return Answered(p.sum(axis=1) >= LEAST_ASKED, p.argmax(axis=1), np.nan_to_num(agreement(p)))


def learn_threshold(
    tree: DecisionTree,
    question: Question,
    predicted: ArrayLike,
    votes: ArrayLike,
    target: float,
    risk: float = 0.1,
) -> Threshold:
    """Find the lowest confidence at which answers are right at least as often as `target`.

    An answer is right if most of the volunteers who were asked gave it; galaxies that no volunteer was asked
    about don't count. The promise, "at least `target` of the galaxies settled", is broken with a probability
    of `risk` at most, over the labelled galaxies drawn: ten thresholds are tested by the exact binomial test,
    each at a tenth of the risk, and the lowest that passes is taken.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Cumulative, in the tree's order; missing votes are NaN.

    References
    ----------
    Angelopoulos et al. 2021, Learn then Test (arXiv:2110.01052), section 2; the interval is that of Clopper &
    Pearson 1934.
    """
    said = answered(tree, question, predicted)
    fractions = np.asarray(votes, np.float64)[:, tree.slices[question.key]]
    judged = said.asked & (fractions.sum(axis=1) > 0)
    right = (said.answer == np.nan_to_num(fractions).argmax(axis=1))[judged]
    confidence = said.confidence[judged]
    order = np.sort(confidence)[::-1]
    count = len(order)
    lowest: float | None = None
    for share in range(1, _STEPS + 1) if count else ():
        least = float(order[-(-share * count // _STEPS) - 1])
        inside = right[confidence >= least]
        if binomtest(int(inside.sum()), len(inside), target, "greater").pvalue <= risk / _STEPS:
            lowest = least
    settled = right if lowest is None else right[confidence >= lowest]
    low, high = proportion_interval(int(settled.sum()), len(settled))
    return Threshold(
        question=question.key,
        target=target,
        confidence=lowest,
        galaxies=count,
        settled=0 if lowest is None else len(settled),
        accuracy=float(settled.mean()) if len(settled) else float("nan"),
        low=low,
        high=high,
    )


def split(
    tree: DecisionTree, thresholds: Sequence[Threshold], predicted: ArrayLike
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """What becomes of galaxies in each of the questions that have a threshold.

    Parameters
    ----------
    predicted : array_like, shape (n, answers)
        Cumulative, in the tree's order.

    Returns
    -------
    states : ndarray, shape (n, thresholds), int8
        `NOT_ASKED`, `SETTLED` or `TO_PEOPLE`.
    confidence : ndarray, shape (n, thresholds), float64
    """
    questions = {question.key: question for question in tree.questions}
    said = [answered(tree, questions[threshold.question], predicted) for threshold in thresholds]
    confidence = np.column_stack([each.confidence for each in said])
    least = [np.inf if t.confidence is None else t.confidence for t in thresholds]
    states = np.where(confidence >= np.array(least), SETTLED, TO_PEOPLE)
    states[~np.column_stack([each.asked for each in said])] = NOT_ASKED
    return states.astype(np.int8), confidence
