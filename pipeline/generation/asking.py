"""Vote fractions that a user asks for, held against the decision tree."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from pipeline.errors import InputError
from pipeline.tree import DecisionTree

_TOLERANCE = 0.009
"""By which the answers to a question may miss the fraction that was asked it; label tables may by 0.01."""

_SAME = 1e-6


def parse_votes(text: str, tree: DecisionTree) -> dict[str, float]:
    """Fractions by answer, in the order of the tree, of a text.

    Such a text is ``odd_feature_dust_lane=0.8,disk_edge_on_yes=0.7``.

    Raises
    ------
    InputError
        If it can't be read so, an answer is unknown or named twice, or a fraction isn't from 0 to 1.
    """
    asked: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            raise InputError(
                f"votes: {part.strip()!r} is not of the form ANSWER=FRACTION, such as "
                f"{tree.columns[-1]}=0.8; separate several by commas"
            )
        if name not in tree.columns:
            close = difflib.get_close_matches(name, tree.columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known answers: {', '.join(tree.columns)}"
            raise InputError(f"votes: tree {tree.name!r} has no answer {name!r}; {hint}")
        if name in asked:
            raise InputError(f"votes: {name} is given twice; give it once")
        asked[name] = _fraction(name, number)
    return {name: asked[name] for name in tree.columns if name in asked}


def asked_votes(asked: Mapping[str, float], tree: DecisionTree) -> NDArray[np.float32]:
    """What is asked of each answer of a tree, and what follows from it.

    Returns
    -------
    ndarray, shape (answers,), float32
        Cumulative fractions in the order of the tree; NaN where several are possible.

    Raises
    ------
    InputError
        If no galaxy can have all these fractions: answers to a question sum to the share of volunteers who
        are asked it.

    Examples
    --------
    Nobody who says "smooth" is asked about a bar.

    >>> from pipeline.tree import load_tree
    >>> tree = load_tree()
    >>> votes = asked_votes({"smooth_or_featured_smooth": 1.0}, tree)
    >>> votes[tree.columns.index("bar_yes")]
    np.float32(0.0)
    """
    sums = _Sums(tree)
    if not sums.allow(asked, _TOLERANCE):
        raise InputError(f"votes: {_contradiction(asked, sums)}")
    votes = np.full(tree.answer_count, np.nan, np.float32)
    if sums.allow(asked, 0.0):
        for column in range(tree.answer_count):
            least, most = sums.bounds(asked, column)
            if most - least < _SAME:
                votes[column] = round(min(max((least + most) / 2, 0.0), 1.0), 6)
    for name, fraction in asked.items():
        votes[tree.columns.index(name)] = fraction
    return votes


class _Sums:
    """What sums of fractions a tree allows, as a linear programme."""

    def __init__(self, tree: DecisionTree) -> None:
        self._columns = tree.columns
        self._matrix = np.zeros((len(tree.questions), tree.answer_count))
        self._sums = np.zeros(len(tree.questions))
        for row, question in enumerate(tree.questions):
            self._matrix[row, tree.slices[question.key]] = 1
            if question.key in tree.gates:
                self._matrix[row, list(tree.gates[question.key])] -= 1
            else:
                self._sums[row] = 1

    def allow(self, asked: Mapping[str, float], tolerance: float) -> bool:
        """Whether a galaxy can have such fractions."""
        return self._solve(asked, np.zeros(len(self._columns)), tolerance) is not None

    def bounds(self, asked: Mapping[str, float], column: int) -> tuple[float, float]:
        """Least and largest fraction that an answer can have beside these."""
        goal = np.zeros(len(self._columns))
        goal[column] = 1
        least, most = self._solve(asked, goal, 0.0), self._solve(asked, -goal, 0.0)
        assert least is not None
        assert most is not None
        return least, -most

    def _solve(self, asked: Mapping[str, float], goal: NDArray[np.float64], tolerance: float) -> float | None:
        """The least value of a goal; None if nothing is allowed."""
        bounds = [(asked.get(name, 0.0), asked.get(name, 1.0)) for name in self._columns]
        found = linprog(
            goal,
            A_ub=np.concatenate([self._matrix, -self._matrix]),
            b_ub=np.concatenate([self._sums, -self._sums]) + tolerance + 1e-9,
            bounds=bounds,
            method="highs",
        )
        return float(found.fun) if found.success else None


def _contradiction(asked: Mapping[str, float], sums: _Sums) -> str:
    """The fewest fractions that can't be together, each of which is needed for that."""
    kept = dict(asked)
    for name in asked:
        fewer = {other: fraction for other, fraction in kept.items() if other != name}
        if not sums.allow(fewer, _TOLERANCE):
            kept = fewer
    told = " and ".join(f"{name}={fraction:g}" for name, fraction in kept.items())
    return (
        f"no galaxy can have {told}; fractions are of all volunteers, and the answers to a question sum to "
        "the share that is asked it: change or leave out one of them"
    )


def _fraction(name: str, text: str) -> float:
    try:
        fraction = float(text)
    except ValueError:
        fraction = np.nan
    if not 0 <= fraction <= 1:
        raise InputError(f"votes: {name}={text!r}; expected a fraction from 0 to 1")
    return fraction
