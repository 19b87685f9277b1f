"""What answer probabilities say: who is asked, the agreement, the most probable path, and its class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree.decision_tree import Answer, DecisionTree, MorphologyClass, Question

LEAST_ASKED = 0.5
"""Share of the volunteers that must be asked a question for its answer to count."""

_ROUNDING = 1e-6
"""Shares are float32: a question that every volunteer is asked may sum to a little less than 1."""


@dataclass(frozen=True)
class Step:
    """One question on a path, the answer chosen there, and its probability among those who were asked."""

    question: Question
    answer: Answer
    probability: float


def agreement(probabilities: ArrayLike) -> NDArray[np.float64]:
    """How much the answers of a question agree: a(p) = 1 − H(p) / log n.

    Parameters
    ----------
    probabilities : array_like, shape (..., n)
        Probabilities of the n answers of one question; each row is normalised to sum 1 first.

    Returns
    -------
    ndarray, shape (...)
        1 where one answer has it all, 0 where all are equal, NaN where the question was never asked.

    References
    ----------
    Dieleman, Willett & Dambre 2015, section 7.1.

    Examples
    --------
    >>> agreement([[0.5, 0.5], [0.9, 0.1], [0.0, 0.0]]).round(2)
    array([0.  , 0.53,  nan])
    """
    raw = np.asarray(probabilities, dtype=np.float64)
    total = raw.sum(axis=-1, keepdims=True)
    p = np.divide(raw, total, out=np.full_like(raw, np.nan), where=total > 0)
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), p * 0.0).sum(axis=-1)
    return np.asarray(np.clip(1.0 - entropy / np.log(raw.shape[-1]), 0.0, 1.0))


def question_sums(tree: DecisionTree, answers: ArrayLike) -> NDArray[np.float64]:
    """Sums over the answers of each question, shape (n, questions).

    Parameters
    ----------
    answers : array_like, shape (n, answers)
        In the tree's order: of votes this counts those on each question, of cumulative shares it is the share
        of the volunteers who are asked it.
    """
    values = np.asarray(answers, np.float64)
    return np.stack([values[:, where].sum(axis=1) for where in tree.slices.values()], axis=1)


def is_asked(probabilities: ArrayLike, least: float = LEAST_ASKED) -> NDArray[np.bool_]:
    """Whether enough volunteers are asked a question.

    Parameters
    ----------
    probabilities : array_like, shape (..., n)
        Cumulative, of the n answers of the question.
    least
        Share of all volunteers; a question that nobody is asked has never enough.

    Returns
    -------
    ndarray, shape (...), bool

    Examples
    --------
    >>> is_asked([[0.4, 0.1], [0.3, 0.1], [0.0, 0.0]]).tolist()
    [True, False, False]
    """
    total = np.asarray(probabilities, np.float64).sum(axis=-1)
    return np.asarray((total > 0) & (total >= least - _ROUNDING))


def most_probable_path(tree: DecisionTree, probabilities: ArrayLike) -> list[Step]:
    """Follow the most probable answer from the first question to the end.

    Parameters
    ----------
    probabilities : array_like, shape (answers,)
        Cumulative probabilities in the order of ``tree.columns``.

    Returns
    -------
    list of Step
        Ends early where a question on the way has no probability at all.

    Examples
    --------
    >>> from pipeline.tree import load_tree
    >>> tree = load_tree()
    >>> answers = np.zeros(tree.answer_count)
    >>> answers[tree.slices["smooth_or_featured"]] = 0.8, 0.2, 0.0
    >>> answers[tree.slices["how_rounded"]] = 0.6, 0.2, 0.0
    >>> [(step.answer.key, round(step.probability, 2)) for step in most_probable_path(tree, answers)]
    [('smooth', 0.8), ('round', 0.75)]
    """
    vector = np.asarray(probabilities, dtype=np.float64)
    questions = {question.key: question for question in tree.questions}
    steps: list[Step] = []
    key: str | None = tree.questions[0].key
    while key is not None:
        question = questions[key]
        p = vector[tree.slices[key]]
        if not p.sum() > 0:
            break
        best = int(p.argmax())
        answer = question.answers[best]
        steps.append(Step(question, answer, float(p[best] / p.sum())))
        key = answer.next
    return steps


def morphology_class(tree: DecisionTree, steps: Iterable[Step]) -> MorphologyClass | None:
    """The first class of the tree all of whose answers were chosen on the path; None if there is none."""
    chosen = {f"{step.question.key}_{step.answer.key}" for step in steps}
    return next((named for named in tree.classes if named.answers <= chosen), None)


def most_probable_classes(
    tree: DecisionTree, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Follow the most probable path of many galaxies at once, and name the class that it leads to.

    The same as `most_probable_path` and `morphology_class` of each.

    Parameters
    ----------
    probabilities : array_like, shape (n, answers)
        Cumulative probabilities in the order of ``tree.columns``.

    Returns
    -------
    classes : ndarray, shape (n,), int64
        Index into ``tree.classes``; ``len(tree.classes)`` where the path leads to no class.
    confidence : ndarray, shape (n,), float64
        Product of the step probabilities along the path up to the answer that decides the class.
    """
    p = np.asarray(probabilities, np.float64)
    numbers = {question.key: i for i, question in enumerate(tree.questions)}
    current = np.zeros(len(p), dtype=np.int64)  # the question that each galaxy is at; -1 past the end
    product = np.ones(len(p))
    reached = np.full(p.shape, np.nan)  # the product once an answer is chosen; NaN if it is not
    while (current >= 0).any():
        for number in np.unique(current[current >= 0]):
            question = tree.questions[number]
            rows = np.flatnonzero(current == number)
            where = tree.slices[question.key]
            total = p[rows, where].sum(axis=1)
            asked = total > 0
            current[rows[~asked]] = -1
            rows, total = rows[asked], total[asked]
            best = p[rows, where].argmax(axis=1)
            product[rows] *= p[rows, where.start + best] / total
            reached[rows, where.start + best] = product[rows]
            following = np.array([-1 if a.next is None else numbers[a.next] for a in question.answers])
            current[rows] = following[best]

    classes = np.full(len(p), len(tree.classes), dtype=np.int64)
    confidence = np.where(np.isnan(reached).all(axis=1), 0.0, product)
    for index in reversed(range(len(tree.classes))):
        columns = [tree.columns.index(answer) for answer in tree.classes[index].answers]
        at_decision = reached[:, columns].min(axis=1)
        decided = ~np.isnan(at_decision)
        classes[decided] = index
        confidence[decided] = at_decision[decided]
    return classes, confidence
