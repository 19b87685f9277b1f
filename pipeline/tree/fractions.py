"""Answers as fractions of the volunteers who are asked the question, where ours count all volunteers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree.decision_tree import DecisionTree
from pipeline.tree.reading import is_asked


@dataclass(frozen=True)
class Fraction:
    """Of the volunteers who are asked a question, those who give one of some answers.

    Attributes
    ----------
    name
        Of the column that holds it.
    question
        Key of the question.
    answers
        Keys of the answers.
    """

    name: str
    question: str
    answers: tuple[str, ...]


def conditional_fractions(tree: DecisionTree) -> tuple[Fraction, ...]:
    """Every answer of a tree, ``<question>_<answer>_fraction``, in the tree's order."""
    return tuple(
        Fraction(f"{question.key}_{answer.key}_fraction", question.key, (answer.key,))
        for question in tree.questions
        for answer in question.answers
    )


def compute_fractions(
    tree: DecisionTree, fractions: Sequence[Fraction], probabilities: ArrayLike, least_asked: float = 0.0
) -> NDArray[np.float32]:
    """Cumulative probabilities as fractions of those who are asked the question.

    Parameters
    ----------
    probabilities : array_like, shape (n, answers)
        Cumulative, as in the catalogue.
    least_asked
        Share of all volunteers, 0 to 1, that would be asked the question at least.

    Returns
    -------
    ndarray, shape (n, fractions), float32
        NaN where fewer than `least_asked` would be asked the question, or nobody.

    Examples
    --------
    Half of the volunteers say "smooth", and all of these "round": all who are asked how round it is.

    >>> from pipeline.tree import load_tree
    >>> tree = load_tree()
    >>> answers = dict.fromkeys(tree.columns, 0.0) | {
    ...     "smooth_or_featured_smooth": 0.5,
    ...     "smooth_or_featured_featured_or_disk": 0.5,
    ...     "how_rounded_round": 0.5,
    ... }
    >>> wanted = Fraction("round", "how_rounded", ("round",))
    >>> compute_fractions(tree, [wanted], [list(answers.values())]).tolist()
    [[1.0]]
    """
    answers = np.asarray(probabilities, np.float64)
    result = np.full((len(answers), len(fractions)), np.nan)
    for place, fraction in enumerate(fractions):
        of_question = answers[:, tree.slices[fraction.question]]
        own = [tree.columns.index(f"{fraction.question}_{key}") for key in fraction.answers]
        enough = is_asked(of_question, least_asked)
        np.divide(answers[:, own].sum(axis=1), of_question.sum(axis=1), out=result[:, place], where=enough)
    return result.astype(np.float32)
