"""Triage: which answers can stand as they are, and which people should look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc
from scipy.stats import binomtest

from pipeline.confidence.concentration import conditional
from pipeline.evaluation.proportion import proportion_interval
from pipeline.tree import LEAST_ASKED, DecisionTree, Question, agreement

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
        Where it is known how many volunteers an answer is worth, the probability that it is what most
        volunteers would say (`plurality_probability`); else the agreement a(p) = 1 − H(p) / log n of the
        prediction. 0 where it isn't asked at all.
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


def answered(
    tree: DecisionTree, question: Question, predicted: ArrayLike, volunteers: ArrayLike | None = None
) -> Answered:
    """What a catalogue says to a question.

    Parameters
    ----------
    predicted : array_like, shape (n, answers)
        Cumulative, in the tree's order.
    volunteers : array_like, shape (n, questions)
        How many volunteers the answer to each question of the tree is worth, where that is known.
    """
    p = np.asarray(predicted, np.float64)[:, tree.slices[question.key]]
    total = p.sum(axis=1)
    if volunteers is None:
        confidence = np.nan_to_num(agreement(p))
    else:
        worth = np.asarray(volunteers, np.float64)[:, tree.questions.index(question)]
        confidence = np.where(total > 0, plurality_probability(p, worth), 0.0)
    return Answered(total >= LEAST_ASKED, p.argmax(axis=1), confidence)


def judged_answers(
    tree: DecisionTree,
    question: Question,
    predicted: ArrayLike,
    votes: ArrayLike,
    volunteers: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How confident the answers to a question are that votes can judge, and whether they are right.

    These are the m answers of galaxies that are asked the question, as the catalogue has it, and on which at
    least one volunteer voted. An answer is right if most of these volunteers gave it.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Cumulative, in the tree's order; missing votes are NaN.
    volunteers : array_like, shape (n, questions)
        See `answered`.

    Returns
    -------
    confidence : ndarray, shape (m,), float64
    right : ndarray, shape (m,), bool
    """
    answers = answered(tree, question, predicted, volunteers)
    fractions = np.asarray(votes, np.float64)[:, tree.slices[question.key]]
    judged = answers.asked & (fractions.sum(axis=1) > 0)  # no galaxy with NaN is
    right = answers.answer == np.nan_to_num(fractions).argmax(axis=1)
    return answers.confidence[judged], right[judged]


def plurality_probability(answers: ArrayLike, volunteers: ArrayLike) -> NDArray[np.float64]:
    """Probability that of the two most probable answers the first is what more volunteers would give.

    The shares of two answers of a Dirichlet distribution, κp₁ and κp₂ its parameters, are to each other as
    x to 1 − x, where x is Beta-distributed with these parameters: it is 1 − I½(κp₁, κp₂).

    Parameters
    ----------
    answers : array_like, shape (n, k)
        Probabilities of one question's answers; their sum doesn't matter.
    volunteers : array_like, shape (n,)
        How many volunteers the answer is worth, κ.

    Examples
    --------
    >>> plurality_probability([[0.6, 0.4], [0.6, 0.4], [0.5, 0.5]], [5, 50, 50]).round(2).tolist()
    [0.69, 0.92, 0.5]
    """
    shares = np.sort(conditional(np.asarray(answers, np.float64)), axis=1)
    first, second = (np.asarray(volunteers, np.float64) * shares[:, place] for place in (-1, -2))
    return np.asarray(betainc(second, first, 0.5))


def learn_threshold(
    tree: DecisionTree,
    question: Question,
    predicted: ArrayLike,
    votes: ArrayLike,
    target: float,
    risk: float = 0.1,
    volunteers: ArrayLike | None = None,
) -> Threshold:
    """Find the lowest confidence at which answers are right at least as often as `target`.

    Which answers are right, `judged_answers` says. The promise, that at least `target` of the settled answers
    are, is broken with a probability of `risk` at most, over the labelled galaxies drawn: ten thresholds are
    tested by the exact binomial test, each at a tenth of the risk, and the lowest that passes is taken.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Cumulative, in the tree's order; missing votes are NaN.
    volunteers : array_like, shape (n, questions)
        See `answered`.

    References
    ----------
    Angelopoulos et al. 2021, Learn then Test (arXiv:2110.01052), section 2; the interval is that of Clopper &
    Pearson 1934.
    """
    confidence, right = judged_answers(tree, question, predicted, votes, volunteers)
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
    tree: DecisionTree,
    thresholds: Sequence[Threshold],
    predicted: ArrayLike,
    volunteers: ArrayLike | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """What becomes of galaxies in each of the questions that have a threshold.

    Parameters
    ----------
    predicted : array_like, shape (n, answers)
        Cumulative, in the tree's order.
    volunteers : array_like, shape (n, questions)
        As the thresholds were learnt with.

    Returns
    -------
    states : ndarray, shape (n, thresholds), int8
        `NOT_ASKED`, `SETTLED` or `TO_PEOPLE`.
    confidence : ndarray, shape (n, thresholds), float64
    """
    questions = {question.key: question for question in tree.questions}
    answers = [answered(tree, questions[t.question], predicted, volunteers) for t in thresholds]
    confidence = np.column_stack([answer.confidence for answer in answers])
    least = [np.inf if t.confidence is None else t.confidence for t in thresholds]
    states = np.where(confidence >= np.array(least), SETTLED, TO_PEOPLE)
    states[~np.column_stack([answer.asked for answer in answers])] = NOT_ASKED
    return states.astype(np.int8), confidence
