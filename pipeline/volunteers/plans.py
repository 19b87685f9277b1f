"""Whether to ask one more volunteer: the best plan of votes to come.

Two answers are in question, and so many votes are left. Which answer is ahead after the last of them is to be
said. Votes cost a price: one stops as soon as the rest, each asked for or not by what those before it said,
wouldn't raise the probability of saying it right by more than they cost. Summed over many galaxies, no other
way of spending as many votes is expected to say more of them right.

References
----------
Wald 1947, Sequential Analysis; Raiffa & Schlaifer 1961, Applied Statistical Decision Theory: optimal stopping
by backward induction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc


class Plan(NamedTuple):
    """What is expected of the votes to come, each of shape (n,).

    Attributes
    ----------
    ahead
        Probability that the first answer is ahead after the last vote; where none is left, that it would be
        after many more.
    gain
        By how much a vote of the best plan raises the probability of saying which is ahead; 0 where none is
        worth its price.
    votes
        How many votes the best plan takes.
    """

    ahead: NDArray[np.float64]
    gain: NDArray[np.float64]
    votes: NDArray[np.float64]


def best_plan(
    first: ArrayLike, second: ArrayLike, lead: ArrayLike, left: ArrayLike, price: ArrayLike
) -> Plan:
    """Find the best plan for each galaxy.

    Parameters
    ----------
    first, second : array_like, shape (n,)
        What is known of the two answers, in votes: their shares are Beta-distributed with these parameters.
    lead : array_like, shape (n,)
        By how many of the votes so far the first answer is ahead of the second.
    left : array_like, shape (n,), int
        Votes to come, at most.
    price : array_like, shape (n,)
        By how much a vote must raise the probability.

    Examples
    --------
    An even galaxy's first vote gains something, a clear one's nothing that is worth 0.01.

    >>> best_plan([1, 30], [1, 1], [0, 0], [40, 40], [0.01, 0.01]).votes.round(1).tolist()
    [8.0, 0.0]
    """
    inputs = [np.asarray(values, np.float64) for values in (first, second, lead, price)]
    votes_left = np.asarray(left, np.int64)
    plan = Plan(betainc(inputs[1], inputs[0], 0.5), np.zeros(len(votes_left)), np.zeros(len(votes_left)))
    for count in np.unique(votes_left[votes_left > 0]).tolist():
        rows = votes_left == count
        part = _backwards(count, *(values[rows, None] for values in inputs))
        for values, of_rows in zip(plan, part, strict=True):
            values[rows] = of_rows
    return plan


def _backwards(
    left: int,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    lead: NDArray[np.float64],
    price: NDArray[np.float64],
) -> Plan:
    """From the last vote to the first; columns are how many votes went to the first answer."""
    to_first = np.arange(left + 1)
    ahead = np.clip(0.5 + (lead + 2 * to_first - left) / 2, 0, 1)  # a tie is half a lead
    value, votes = np.maximum(ahead, 1 - ahead), np.zeros((len(first), left + 1))
    right = value
    for seen in range(left - 1, -1, -1):
        chance = (first + to_first[: seen + 1]) / (first + second + seen)
        ahead, going_on, more = (_expected(chance, one) for one in (ahead, value, votes))
        right = np.maximum(ahead, 1 - ahead)
        worth = going_on - price > right
        value = np.where(worth, going_on - price, right)
        votes = np.where(worth, 1 + more, 0)
    ahead, value, votes, right = (one[:, 0] for one in (ahead, value, votes, right))
    return Plan(ahead, np.where(votes > 0, price[:, 0] + (value - right) / np.maximum(votes, 1), 0), votes)


def _expected(chance: NDArray[np.float64], then: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is expected before a vote of what will be after it."""
    return chance * then[:, 1:] + (1 - chance) * then[:, :-1]
