"""Clean samples: answers that are settled, on questions that enough people were rightly asked.

References
----------
Willett et al. 2013, MNRAS 435, 2835 (arXiv:1308.3496), section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import DecisionTree


def clean(
    tree: DecisionTree,
    votes: ArrayLike,
    fractions: ArrayLike,
    debiased: ArrayLike,
    share: float | Mapping[str, float] = 0.8,
    prior: float = 0.5,
    votes_at_least: float | Mapping[str, float] = 20,
) -> NDArray[np.bool_]:
    """Which answers put their galaxy into the clean sample of that answer, shape (n, answers).

    Parameters
    ----------
    votes : array_like, shape (n, answers)
        Votes for each answer, weighted or not.
    fractions : array_like, shape (n, answers)
        Fractions of the votes on each question.
    debiased : array_like, shape (n, answers)
        The same, debiased.
    share
        The debiased fraction that an answer must have; of all questions, or of each by its key.
    prior
        The fraction that the answers must have, debiased or not, which lead to the question and to all
        questions before it.
    votes_at_least
        How many votes there must be on the question; of all questions, or of each by its key.

    Examples
    --------
    A disk for 19 of 20, of which 10 see a bar and 2 don't:

    >>> from pipeline.tree import load_tree
    >>> tree = load_tree()
    >>> votes = np.zeros((1, tree.answer_count))
    >>> votes[0, [0, 1, 3, 4, 5, 6]] = 1, 19, 7, 12, 10, 2
    >>> from pipeline.volunteers.weights import fractions
    >>> shares = fractions(tree, votes)
    >>> [tree.columns[i] for i in np.flatnonzero(clean(tree, votes, shares, shares, votes_at_least=10)[0])]
    ['smooth_or_featured_featured_or_disk', 'bar_yes']
    """
    counts, shares, corrected = (np.asarray(one, np.float64) for one in (votes, fractions, debiased))
    right: dict[str, NDArray[np.bool_]] = {}
    result = np.zeros(shares.shape, bool)
    before = _questions_before(tree)
    for key in tree.in_order():
        where, gate = tree.slices[key], tree.gates.get(key)
        right[key] = np.ones(len(shares), bool)
        if gate is not None:
            right[key] = right[before[key]] & (shares[:, list(gate)].sum(axis=1) >= prior)
        enough = right[key] & (counts[:, where].sum(axis=1) >= _of(votes_at_least, key))
        result[:, where] = enough[:, None] & (corrected[:, where] >= _of(share, key))
    return result


def _of(setting: float | Mapping[str, float], key: str) -> float:
    return setting[key] if isinstance(setting, Mapping) else setting


def _questions_before(tree: DecisionTree) -> dict[str, str]:
    """Of each gated question the one whose answers lead to it."""
    return {
        key: next(name for name, where in tree.slices.items() if where.start <= gate[0] < where.stop)
        for key, gate in tree.gates.items()
    }
