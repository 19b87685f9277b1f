"""Which answers are settled, by whom, and what one more vote would gain of the others.

An answer is settled once it is, with a probability of so much, the one that most of many volunteers would
give. The network alone may settle it, people alone, or only both together: that is told apart by asking what
each would say without the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln, comb

from pipeline.tree import DecisionTree
from pipeline.volunteers.bayesian import cumulative

NOT_ASKED, OPEN, BY_NETWORK, BY_PEOPLE, BY_BOTH = range(5)
STATES = ("not_asked", "open", "network", "people", "both")
"""What becomes of a galaxy's answer to a question, in words of the tables."""

LEAST_ASKED = 0.5
"""Share of the volunteers that would be asked a question, from which on it counts."""

AHEAD = 4
"""Votes that are thought ahead."""


@dataclass(frozen=True)
class Settlement:
    """What is known of galaxies, question by question.

    Attributes
    ----------
    answer : ndarray, shape (n, questions), int64
        Place of the leading answer among the question's.
    probability : ndarray, shape (n, questions), float64
        That more of many volunteers would give it than the next one.
    state : ndarray, shape (n, questions), int8
        `NOT_ASKED`, `OPEN`, or by whom it is settled.
    gain : ndarray, shape (n, questions), float64
        By how much one more volunteer is expected to raise that probability; 0 where nothing is open.
    """

    answer: NDArray[np.int64]
    probability: NDArray[np.float64]
    state: NDArray[np.int8]
    gain: NDArray[np.float64]


def settlement(
    tree: DecisionTree, network: ArrayLike, anyone: ArrayLike, counts: ArrayLike, sure: float
) -> Settlement:
    """Tell which answers are settled.

    Parameters
    ----------
    network : array_like, shape (n, answers)
        The prior of each galaxy by the network's answers, in votes (`Prior.of`).
    anyone : array_like, shape (answers,)
        The prior of a galaxy of which nothing is known (`Prior.of_any`).
    counts : array_like, shape (n, answers)
        Votes as they are understood (`Knowledge.counts`).
    sure
        The probability from which on an answer is settled.
    """
    prior, votes = np.asarray(network, np.float64), np.asarray(counts, np.float64)
    together, by_votes = prior + votes, np.asarray(anyone, np.float64) + votes
    shares = cumulative(tree, together)
    asked = np.stack([shares[:, where].sum(axis=1) for where in tree.slices.values()], axis=1)
    shape = asked.shape
    answer, probability = np.empty(shape, np.int64), np.empty(shape)
    state, gain = np.full(shape, OPEN, np.int8), np.zeros(shape)
    for number, where in enumerate(tree.slices.values()):
        leader = together[:, where].argmax(axis=1)
        known = _leads(together[:, where], leader)
        answer[:, number], probability[:, number] = leader, known
        settled = known >= sure
        state[settled, number] = BY_BOTH
        state[settled & (_leads(by_votes[:, where], leader) >= sure), number] = BY_PEOPLE
        state[settled & (_leads(prior[:, where], leader) >= sure), number] = BY_NETWORK
    state[asked < LEAST_ASKED] = NOT_ASKED
    for number, where in enumerate(tree.slices.values()):
        rows = state[:, number] == OPEN
        gain[rows, number] = asked[rows, number] * _gain(together[rows, where])
    return Settlement(answer, probability, state, gain)


def _leads(votes: NDArray[np.float64], leader: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability that an answer gets more votes than the strongest of the others, shape (n,).

    Of a Dirichlet distribution the shares of two answers are to each other as x to 1 − x, where x is
    Beta-distributed with their parameters.
    """
    own = np.take_along_axis(votes, leader[:, None], axis=1)[:, 0]
    others = votes.copy()
    np.put_along_axis(others, leader[:, None], -np.inf, axis=1)
    return np.asarray(betainc(others.max(axis=1), own, 0.5))


def _gain(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much likelier to lead the leading answer would be after `AHEAD` more votes, per vote, shape (n,).

    Only votes for the two strongest answers are thought of; they are Beta-binomially distributed. One vote
    ahead isn't enough: a single vote seldom changes which answer leads, and what doesn't is no gain.

    References
    ----------
    Frazier, Powell & Dayanik 2008, A knowledge-gradient policy for sequential information collection.
    """
    second, first = np.sort(votes, axis=1)[:, -2:].T
    then = np.zeros(len(votes))
    for more in range(AHEAD + 1):
        leads = betainc(second + AHEAD - more, first + more, 0.5)
        chance = comb(AHEAD, more) * np.exp(
            betaln(first + more, second + AHEAD - more) - betaln(first, second)
        )
        then += chance * np.maximum(leads, 1 - leads)
    return np.asarray(np.maximum(then - betainc(second, first, 0.5), 0) / AHEAD)
