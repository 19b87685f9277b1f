"""Galaxy Zoo 2's weights of users, by how consistent they are with the others.

References
----------
Willett et al. 2013, MNRAS 435, 2835 (arXiv:1308.3496), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import DecisionTree
from pipeline.volunteers.ballots import Ballots, sums_of_votes

ROUNDS = 3
"""How often weights are computed; each round is by the fractions that the weights before gave."""

_CONSISTENT = 0.6
_POWER = 8.5


@dataclass(frozen=True)
class Weighted:
    """Votes, and votes weighted by their users' consistency.

    Attributes
    ----------
    counts : ndarray, shape (galaxies, answers), float64
        Votes for each answer.
    weights : ndarray, shape (galaxies, answers), float64
        Sums of their users' weights.
    consistency : ndarray, shape (users,), float64
        κ of each user, between 0 and 1; NaN of one who gave no vote.
    user_weights : ndarray, shape (users,), float64
        Between 0 and 1.
    """

    counts: NDArray[np.float64]
    weights: NDArray[np.float64]
    consistency: NDArray[np.float64]
    user_weights: NDArray[np.float64]


def weight_of(consistency: ArrayLike) -> NDArray[np.float64]:
    """The weight of users: min(1, (κ / 0.6)^8.5).

    Examples
    --------
    >>> weight_of([0.3, 0.6, 0.9]).round(4).tolist()
    [0.0028, 1.0, 1.0]
    """
    kappa = np.asarray(consistency, np.float64)
    return np.asarray(np.minimum(1.0, (kappa / _CONSISTENT) ** _POWER))


def fractions(tree: DecisionTree, weights: ArrayLike) -> NDArray[np.float64]:
    """Fractions of the votes on each question; 0 where there are none, as in the published tables.

    Parameters
    ----------
    weights : array_like, shape (n, answers)
        Counts, or sums of weights.
    """
    sums = np.asarray(weights, np.float64)
    result = np.zeros_like(sums)
    for where in tree.slices.values():
        total = sums[:, where].sum(axis=1, keepdims=True)
        np.divide(sums[:, where], total, out=result[:, where], where=total > 0)
    return result


def weighted_votes(ballots: Ballots, rounds: int = ROUNDS) -> Weighted:
    """Weigh users by their consistency, and the votes by their users.

    A vote's consistency is the mean, over the answers to its question, of the fraction of votes that an
    answer got if it is the vote's, and of one minus that fraction if it isn't. A user's is the mean over all
    votes.
    """
    user_weights = np.ones(len(ballots.users))
    consistency = np.full(len(ballots.users), np.nan)
    counts = weights = sums_of_votes(ballots)
    for _ in range(rounds):
        consistency = _consistency(ballots, fractions(ballots.tree, weights))
        user_weights = np.nan_to_num(weight_of(consistency), nan=1.0)
        weights = sums_of_votes(ballots, user_weights)
    return Weighted(counts, weights, consistency, user_weights)


def _consistency(ballots: Ballots, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean consistency of each user's votes; NaN where a user gave none."""
    agreed, counts = np.zeros((2, len(ballots.users)))
    for block in ballots.blocks():
        for number, where in enumerate(ballots.tree.slices.values()):
            votes, wide = block.on(number), where.stop - where.start
            chosen = shares[block.first + votes.galaxy, where.start + votes.answer]
            # Fractions sum to 1: the answer's own, and one minus each of the others.
            agreed += np.bincount(votes.user, (2 * chosen + wide - 2) / wide, len(agreed))
            counts += np.bincount(votes.user, minlength=len(counts))
    mean: NDArray[np.float64] = np.full(len(counts), np.nan)
    return np.divide(agreed, counts, out=mean, where=counts > 0)
