"""What a student learns of galaxies: their votes, and the answers of a teacher."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import DecisionTree


def taught_votes(
    tree: DecisionTree, votes: ArrayLike, answers: ArrayLike, share: float
) -> NDArray[np.float64]:
    """Votes mixed with a teacher's answers; both the votes of few people and a teacher are wrong by chance.

    Where the votes on a question aren't known, or nobody gave any, volunteers who come to it are taken to
    answer as the teacher says of those who do.

    Parameters
    ----------
    votes : array_like, shape (n, answers)
        Cumulative vote fractions; NaN where they aren't known.
    answers : array_like, shape (n, answers)
        The teacher's, cumulative.
    share
        Of the teacher, 0 to 1.

    Returns
    -------
    ndarray, shape (n, answers), float64
        Cumulative: the answers to each question sum to the share of those who are asked it.

    Examples
    --------
    Of ten volunteers six say "smooth"; how round it is, the teacher knows.

    >>> import numpy as np
    >>> from pipeline.tree import load_tree
    >>> tree = load_tree()
    >>> answers = np.zeros((1, tree.answer_count))
    >>> answers[0, tree.slices["smooth_or_featured"]] = 0.8, 0.2, 0.0
    >>> answers[0, tree.slices["how_rounded"]] = 0.4, 0.4, 0.0
    >>> votes = np.where(answers > 1, 0, np.nan)
    >>> votes[0, tree.slices["smooth_or_featured"]] = 0.6, 0.4, 0.0
    >>> taught_votes(tree, votes, answers, share=0.0)[0, tree.slices["how_rounded"]].tolist()
    [0.3, 0.3, 0.0]
    """
    taught, known = np.asarray(answers, np.float64), np.asarray(votes, np.float64)
    # A mean over views falls short of those who are asked where the teacher says nothing in some of them.
    sound = _filled(tree, np.full_like(taught, np.nan), taught)
    return share * sound + (1 - share) * _filled(tree, known, taught)


def _filled(
    tree: DecisionTree, votes: NDArray[np.float64], taught: NDArray[np.float64]
) -> NDArray[np.float64]:
    known = votes.copy()
    for key in tree.in_order():
        own, gate = tree.slices[key], tree.gates.get(key)
        asked = np.ones(len(known)) if gate is None else known[:, list(gate)].sum(axis=1)
        said, total = taught[:, own], taught[:, own].sum(axis=1, keepdims=True)
        alike = np.full(said.shape, 1 / said.shape[1])
        of_asked = np.divide(said, total, out=alike, where=total > 0)
        unknown = ~(known[:, own].sum(axis=1) > 0)
        known[unknown, own] = (of_asked * asked[:, None])[unknown]
    return known
