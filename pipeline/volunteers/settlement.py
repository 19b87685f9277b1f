"""Which answers are settled, by whom, and what one more look would gain of the others.

The answer that counts is the one that most volunteers give once so many have looked: the full vote's. People
look on while looks are worth their *price* (see `plans`). Then an answer is settled if it's probable enough;
if it isn't, people are too evenly split for more looks to tell. The network alone may settle an answer, or
people alone, or only both together: that is told apart by asking what each would say without the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import LEAST_ASKED, DecisionTree, question_sums
from pipeline.volunteers.bayesian import cumulative
from pipeline.volunteers.plans import best_plan

NOT_ASKED, OPEN, BY_NETWORK, BY_PEOPLE, BY_BOTH = range(5)
STATES = ("not_asked", "open", "network", "people", "both")
"""What becomes of a galaxy's answer to a question, in words of the tables."""


@dataclass(frozen=True)
class Terms:
    """On which terms answers are settled.

    Attributes
    ----------
    sure
        Probability from which on an answer that is worth no more looks is settled.
    votes_each
        Looks of a full vote.
    price
        By how much a look must raise the probability of an answer.
    """

    sure: float = 0.9
    votes_each: int = 40
    price: float = 0.0075


@dataclass(frozen=True)
class Settlement:
    """What is known of galaxies, question by question.

    Attributes
    ----------
    answer : ndarray, shape (n, questions), int64
        Place of the answer that the full vote is likeliest to give among the question's.
    probability : ndarray, shape (n, questions), float64
        That the full vote gives it rather than the next one; once all have looked, that many more would.
    state : ndarray, shape (n, questions), int8
        `NOT_ASKED`, `OPEN`, or by whom it is settled.
    gain : ndarray, shape (n, questions), float64
        By how much a look is expected to raise that probability; 0 where none is worth its price.
    looks : ndarray, shape (n, questions), float64
        How many more looks are expected to be worth theirs.
    """

    answer: NDArray[np.int64]
    probability: NDArray[np.float64]
    state: NDArray[np.int8]
    gain: NDArray[np.float64]
    looks: NDArray[np.float64]


def settlement(
    tree: DecisionTree,
    network: ArrayLike,
    anyone: ArrayLike,
    counts: ArrayLike,
    looked: ArrayLike,
    terms: Terms,
) -> Settlement:
    """Tell which answers are settled.

    Parameters
    ----------
    network : array_like, shape (n, answers)
        The prior of each galaxy by the network's answers, in votes (`Prior.with_network`).
    anyone : array_like, shape (answers,)
        The prior of a galaxy of which nothing is known (`Prior.without_network`).
    counts : array_like, shape (n, answers)
        Votes as they are understood (`Knowledge.counts`).
    looked : array_like, shape (n,)
        How many people have looked at each galaxy.
    """
    prior, votes = np.asarray(network, np.float64), np.asarray(counts, np.float64)
    uninformed, looks = np.asarray(anyone, np.float64), np.asarray(looked, np.float64)
    asked = question_sums(tree, cumulative(tree, prior + votes))
    settled = Settlement(
        np.stack([(prior + votes)[:, where].argmax(axis=1) for where in tree.slices.values()], axis=1),
        np.full(asked.shape, np.nan),
        np.full(asked.shape, NOT_ASKED, np.int8),
        *np.zeros((2, *asked.shape)),
    )
    for number, where in enumerate(tree.slices.values()):
        rows = np.flatnonzero(asked[:, number] >= LEAST_ASKED)
        alpha, counted = prior[rows, where], votes[rows, where]
        people, share = looks[rows], asked[rows, number]
        both = outlook(alpha, counted, people, share, terms)
        settled.answer[rows, number], settled.probability[rows, number] = both.answer, both.probability
        settled.gain[rows, number], settled.looks[rows, number] = both.gain, both.looks
        state = np.where(both.settled(terms), BY_NETWORK, OPEN)
        voted = np.flatnonzero((state == BY_NETWORK) & (people > 0))
        alpha, counted, people, share = alpha[voted], counted[voted], people[voted], share[voted]
        network_alone = outlook(alpha, 0 * counted, 0 * people, share, terms)
        people_alone = outlook(np.tile(uninformed[where], (len(voted), 1)), counted, people, share, terms)
        agrees = [
            alone.settled(terms) & (alone.answer == both.answer[voted])
            for alone in (network_alone, people_alone)
        ]
        state[voted] = np.select(agrees, [BY_NETWORK, BY_PEOPLE], BY_BOTH)
        settled.state[rows, number] = state
    return settled


@dataclass(frozen=True)
class Outlook:
    """Of one question what `Settlement` has of all, each of shape (n,)."""

    answer: NDArray[np.int64]
    probability: NDArray[np.float64]
    gain: NDArray[np.float64]
    looks: NDArray[np.float64]

    def settled(self, terms: Terms) -> NDArray[np.bool_]:
        """Where no look is worth its price, and the answer is sure enough, shape (n,)."""
        return np.asarray((self.gain == 0) & (self.probability >= terms.sure))


def outlook(
    alpha: NDArray[np.float64],
    votes: NDArray[np.float64],
    looked: NDArray[np.float64],
    asked: NDArray[np.float64],
    terms: Terms,
) -> Outlook:
    """What is to be expected of a question.

    Only votes for the two strongest answers are thought of.

    Parameters
    ----------
    alpha, votes : ndarray, shape (n, answers)
        The prior, in votes, and the votes on the question.
    looked, asked : ndarray, shape (n,)
        People who have looked, and the share of them who are asked the question.
    """
    together, galaxies = alpha + votes, np.arange(len(alpha))
    second, first = np.argsort(together, axis=1, kind="stable")[:, -2:].T
    strengths = together[galaxies, first], together[galaxies, second]
    share = asked * sum(strengths) / together.sum(axis=1)
    left = np.rint(share * np.maximum(terms.votes_each - looked, 0)).astype(np.int64)
    lead = votes[galaxies, first] - votes[galaxies, second]
    plan = best_plan(*strengths, lead, left, terms.price / share)
    return Outlook(
        np.where(plan.ahead < 0.5, second, first),
        np.maximum(plan.ahead, 1 - plan.ahead),
        plan.gain * share,
        plan.votes / share,
    )
