"""Bayesian aggregation: what users say when they see an answer, and what galaxies are, learnt together.

A volunteer who looks at a galaxy sees one of a question's answers, as often as the galaxy's *shares* say,
and says one, as the volunteer's own *confusion matrix* says. With one share that is 1 this is the model of
Dawid & Skene (1979) and, with two answers, of SWAP (Marshall et al. 2016); with shares between 0 and 1
volunteers may disagree without anyone being wrong, as they do about galaxies.

Shares have a Dirichlet prior (see `prior`); rows of confusion matrices have one whose mean is the matrix of
the user's *kind*: careful, careless, contrary, found from all of a user's votes on all questions. A vote that
its user would give whatever there is to see counts for nothing; an always contrary one counts for what it
isn't. All is found by expectation maximisation, in batches (`aggregate`) or as votes come in (`Online`);
users are judged by what the others say of their galaxies, their own votes taken away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tree import DecisionTree
from pipeline.volunteers.ballots import Ballots, Block, QuestionVotes, sums_of_votes
from pipeline.volunteers.prior import NetworkAnswers, fit_prior

KINDS = ("careful", "careless", "contrary")
"""Kinds of users: who mostly say what they see, who say anything, who say anything else."""

_OF_A_KIND = np.array([0.9, 0.09, 0.01])
_KIND_VOTES = 100.0
"""How many users the expected proportions of the kinds are worth."""

_SLIPS = 0.05
"""Share of a careful user's votes that could be any answer."""

_ROW_VOTES = 10.0
"""How many votes the matrix of a user's kind is worth, against the user's own, for each answer seen."""

_INNER_ROUNDS = 3
"""How often a block's shares are computed before users are learnt from them."""

TOLERANCE = 1e-3
"""Largest change of a share at which it's settled."""


@dataclass
class Knowledge:
    """What is known of galaxies and users.

    Attributes
    ----------
    alpha : ndarray, shape (galaxies, answers)
        The prior, in votes.
    counts : ndarray, shape (galaxies, answers)
        Votes for each answer as they are understood.
    confusion : list of ndarray, shape (users, k, k)
        Of each question: how often each user said the first answer upon seeing the second.
    evidence : ndarray, shape (users, kinds)
        Logarithm of the likelihood of a user's votes, if of that kind.
    proportions : ndarray, shape (kinds,)
        Of the users.
    """

    tree: DecisionTree
    alpha: NDArray[np.float64]
    counts: NDArray[np.float64]
    confusion: list[NDArray[np.float64]]
    evidence: NDArray[np.float64]
    proportions: NDArray[np.float64] = field(default_factory=lambda: _OF_A_KIND.copy())

    @property
    def shares(self) -> NDArray[np.float64]:
        """Expected shares among those who are asked, shape (galaxies, answers)."""
        return normalised(self.tree, self.alpha + self.counts)

    @property
    def kinds(self) -> NDArray[np.float64]:
        """Probabilities of each user's kind, shape (users, kinds)."""
        logarithm = np.log(self.proportions) + self.evidence
        weights = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def matrices(self, question: int, kinds: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Confusion matrices of a question, shape (users, said, seen); those of one seen answer sum to 1."""
        counted = self.confusion[question]
        expected = np.tensordot(self.kinds if kinds is None else kinds, kind_matrices(counted.shape[1]), 1)
        sums = counted.sum(axis=1, keepdims=True)
        return np.asarray((_ROW_VOTES * expected + counted) / (_ROW_VOTES + sums))

    @property
    def faithfulness(self) -> NDArray[np.float64]:
        """Of the votes on each question the share that says what is seen, shape (questions,).

        The others are taken to say any answer; where there are no votes it is 1.
        """
        result = np.ones(len(self.confusion))
        for number, counted in enumerate(self.confusion):
            votes = counted.sum(axis=(1, 2))
            if votes.any():
                mean = np.tensordot(votes / votes.sum(), self.matrices(number), 1)
                result[number] = (np.trace(mean) - 1) / (len(mean) - 1)
        return result


def kind_matrices(answers: int) -> NDArray[np.float64]:
    """Confusion matrices of the kinds of users, shape (kinds, said, seen)."""
    same, any_ = np.eye(answers), np.full((answers, answers), 1 / answers)
    return np.stack([(1 - _SLIPS) * same + _SLIPS * any_, any_, (1 - same) / (answers - 1)])


def normalised(tree: DecisionTree, votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Votes as shares of those on the same question."""
    shares = np.empty_like(votes)
    for where in tree.slices.values():
        shares[:, where] = votes[:, where] / votes[:, where].sum(axis=1, keepdims=True)
    return shares


def cumulative(tree: DecisionTree, votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of all volunteers who give each answer, those who aren't asked included, shape (n, answers).

    They are 0 in a question without votes, and below it.

    Parameters
    ----------
    votes : ndarray, shape (n, answers)
        Votes, or shares among those who are asked.
    """
    result = np.zeros(votes.shape)
    for key in tree.in_order():
        where, gate = tree.slices[key], tree.gates.get(key)
        asked = 1.0 if gate is None else result[:, list(gate)].sum(axis=1, keepdims=True)
        total = votes[:, where].sum(axis=1, keepdims=True)
        np.divide(asked * votes[:, where], total, out=result[:, where], where=total > 0)
    return result


def initial_knowledge(tree: DecisionTree, alpha: NDArray[np.float64], users: int) -> Knowledge:
    """What is known before the first vote."""
    widths = [len(question.answers) for question in tree.questions]
    return Knowledge(
        tree,
        alpha,
        np.zeros_like(alpha),
        [np.zeros((users, wide, wide)) for wide in widths],
        np.zeros((users, len(KINDS))),
    )


def aggregate(
    ballots: Ballots,
    network: NetworkAnswers | None = None,
    plain: NDArray[np.float64] | None = None,
    tolerance: float = TOLERANCE,
    max_rounds: int = 60,
) -> Knowledge:
    """Learn users and galaxies from all votes, again and again, until the shares are settled.

    The prior is fitted to the plain votes; how faithful they are is learnt with it as it is, and then it is
    corrected for that.

    Parameters
    ----------
    network
        Its answers, as the prior of the galaxies that it has seen.
    plain : ndarray, shape (galaxies, answers), optional
        The votes' counts, if they are known already.
    tolerance
        Largest change of a share in the last round.
    max_rounds
        Rounds at most, for each prior.
    """
    counts = sums_of_votes(ballots) if plain is None else plain
    prior, galaxies = fit_prior(ballots.tree, counts, network), len(ballots.subjects)
    knowledge = initial_knowledge(ballots.tree, prior.of_galaxies(galaxies, network), len(ballots.users))
    knowledge.counts = counts.copy()
    knowledge = settle(knowledge, ballots, 10 * tolerance, max_rounds)
    corrected = replace(prior, faithfulness=knowledge.faithfulness)
    knowledge.alpha = corrected.of_galaxies(galaxies, network)
    return settle(knowledge, ballots, tolerance, max_rounds)


def settle(
    knowledge: Knowledge, ballots: Ballots, tolerance: float = TOLERANCE, max_rounds: int = 60
) -> Knowledge:
    """Go over all votes until the shares are settled, from what is known, with the prior as it is."""
    for _ in range(max_rounds):
        change, knowledge = _round(knowledge, ballots)
        if change < tolerance:
            break
    return knowledge


class Online:
    """Votes taken as they come in: each once, by what is known of its user and its galaxy at that moment.

    `settle` with all votes brings it to what `aggregate` finds.
    """

    def __init__(self, tree: DecisionTree, alpha: NDArray[np.float64], users: int) -> None:
        self.knowledge = initial_knowledge(tree, alpha, users)

    def add(self, ballots: Ballots) -> None:
        """Take new votes; codes of galaxies and users are those of all."""
        knowledge = self.knowledge
        matrices = _matrices(knowledge)
        fresh = initial_knowledge(knowledge.tree, knowledge.alpha, len(knowledge.evidence))
        for block in ballots.blocks():
            _explain(knowledge, matrices, block, fresh, counted=False)
        knowledge.counts += fresh.counts
        knowledge.evidence += fresh.evidence
        for sums, new in zip(knowledge.confusion, fresh.confusion, strict=True):
            sums += new
        knowledge.proportions = _proportions(knowledge)


def _round(knowledge: Knowledge, ballots: Ballots) -> tuple[float, Knowledge]:
    """One round of expectation maximisation, and the largest change of a share."""
    matrices = _matrices(knowledge)
    fresh = initial_knowledge(knowledge.tree, knowledge.alpha, len(knowledge.evidence))
    change = 0.0
    for block in ballots.blocks():
        _explain(knowledge, matrices, block, fresh, counted=True)
        part = block.galaxies
        before = normalised(knowledge.tree, knowledge.alpha[part] + knowledge.counts[part])
        after = normalised(knowledge.tree, knowledge.alpha[part] + fresh.counts[part])
        change = max(change, float(np.abs(after - before).max(initial=0)))
    fresh.proportions = knowledge.proportions
    fresh.proportions = _proportions(fresh)
    return change, fresh


def _proportions(knowledge: Knowledge) -> NDArray[np.float64]:
    voted = knowledge.evidence.any(axis=1)
    sums = knowledge.kinds[voted].sum(axis=0) + _KIND_VOTES * _OF_A_KIND
    return np.asarray(sums / sums.sum())


def _explain(
    knowledge: Knowledge, matrices: list[NDArray[np.float64]], block: Block, fresh: Knowledge, counted: bool
) -> None:
    """Add to `fresh` what a block's votes say; `counted` if they are among the counts already.

    Arrays are of shape (answers, votes): sums over answers are then of long rows.
    """
    part = block.galaxies
    for number, where in enumerate(knowledge.tree.slices.values()):
        votes = block.on(number)
        if not len(votes.galaxy):
            continue
        cells = votes.user.astype(np.int64) * (where.stop - where.start) + votes.answer
        likelihood = matrices[number].take(cells, axis=1)
        telling = likelihood - likelihood.min(axis=0)
        prior, counts = knowledge.alpha[part, where].T, knowledge.counts[part, where].T
        for _ in range(_INNER_ROUNDS if counted else 1):
            shares = (prior + counts).take(votes.galaxy, axis=1)
            own = shares * telling
            own /= np.einsum("kn,kn->n", shares, likelihood)
            counts = _summed(votes.galaxy, own, block.count)
        fresh.counts[part, where] += counts.T
        if counted:
            shares = (prior + counts).take(votes.galaxy, axis=1)
            shares = np.maximum(shares - own, 1e-9, out=shares)
        _learn_users(fresh, number, votes, cells, shares, likelihood)


def _learn_users(
    fresh: Knowledge,
    question: int,
    votes: QuestionVotes,
    cells: NDArray[np.int64],
    shares: NDArray[np.float64],
    likelihood: NDArray[np.float64],
) -> None:
    """Add what votes say of their users; `shares` of the galaxies are those by all others."""
    users, wide = len(fresh.evidence), len(shares)
    seen = shares * likelihood
    seen /= seen.sum(axis=0)
    fresh.confusion[question] += _summed(cells, seen, users * wide).T.reshape(users, wide, wide)
    share = shares[votes.answer, np.arange(len(cells))] / shares.sum(axis=0)
    for kind, matrix in enumerate(kind_matrices(wide)):
        evidence = np.log(matrix[0, 1] + (matrix[0, 0] - matrix[0, 1]) * share + 1e-12)
        fresh.evidence[:, kind] += np.bincount(votes.user, evidence, users)


def _matrices(knowledge: Knowledge) -> list[NDArray[np.float64]]:
    """Of each question the confusion matrices of all users, shape (seen, users · said)."""
    kinds = knowledge.kinds
    matrices = [knowledge.matrices(number, kinds) for number in range(len(knowledge.tree.questions))]
    return [np.ascontiguousarray(one.reshape(-1, one.shape[2]).T) for one in matrices]


def _summed(cells: NDArray[Any], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Sums of the columns of `values` that are of each cell, shape (rows, count)."""
    return np.stack([np.bincount(cells, row, count) for row in values])
