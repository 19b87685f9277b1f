"""What a vector of answer probabilities says: the most probable path, its class, and the agreement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree.decision_tree import Answer, DecisionTree, MorphologyClass, Question


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
