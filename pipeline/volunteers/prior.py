"""What is expected of a galaxy before anyone has voted: as of the others, or as a network says.

The shares of the volunteers who give each answer to a question are taken for Dirichlet-distributed. Without a
network the distribution is that of all galaxies. With one its mean follows the network's answers and its
strength how many volunteers these are worth; how far to follow them is learnt from the votes at hand, so that
a network that is no good here comes to weigh next to nothing. What the network says to the other questions
tells something, too: as far as the votes show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from pipeline.confidence.concentration import conditional
from pipeline.tree import DecisionTree

_MOST_GALAXIES = 20_000
_FEWEST_GALAXIES = 20
_LEAST_SHARE = 0.01
_LEAST, _MOST = -7.0, 7.0
"""Bounds of the logarithm of a strength."""

_LEAST_FAITHFUL = 0.2
"""Votes that are less faithful would tell too little of what is seen."""

_LEAST_STRENGTH = 0.05

_PENALTY = 1.0
"""On how far fitted parameters are off those that take a network at its word: one vote each of many galaxies
says nothing of what the network is worth."""

_PENALTY_OF_OTHERS = 60.0
"""On parameters of answers to the other questions."""


@dataclass(frozen=True)
class NetworkAnswers:
    """A network's answers for some galaxies, by their codes.

    Attributes
    ----------
    galaxies : ndarray, shape (n,), int64
    answers : ndarray, shape (n, answers)
        Cumulative probabilities.
    volunteers : ndarray, shape (n, questions)
        How many volunteers each answer is worth; ones where the catalogue doesn't say.
    """

    galaxies: NDArray[np.int64]
    answers: NDArray[np.float64]
    volunteers: NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """What is expected of galaxies, fitted to votes.

    Attributes
    ----------
    alone, network : tuple of ndarray
        Of each question the parameters of `_alpha`: without a network's answers, and with them.
    faithfulness : ndarray, shape (questions,)
        See `as_seen`.
    """

    tree: DecisionTree
    alone: tuple[NDArray[np.float64], ...]
    network: tuple[NDArray[np.float64], ...]
    faithfulness: NDArray[np.float64]

    def without_network(self) -> NDArray[np.float64]:
        """Parameters for a galaxy without a network's answers, shape (answers,).

        Above 0; of one question they sum to how many votes the prior is worth.
        """
        alpha = np.empty(self.tree.answer_count)
        for number, where in enumerate(self.tree.slices.values()):
            said = _alpha(self.alone[number], _no_features(1, where.stop - where.start))[0]
            alpha[where] = as_seen(said, self.faithfulness[number])[0]
        return alpha

    def with_network(self, answers: ArrayLike, volunteers: ArrayLike) -> NDArray[np.float64]:
        """Parameters for galaxies with a network's answers, shape (n, answers).

        Parameters
        ----------
        answers, volunteers : array_like, shapes (n, answers) and (n, questions)
            See `NetworkAnswers`.
        """
        shares, worth = np.asarray(answers, np.float64), np.asarray(volunteers, np.float64)
        alpha = np.empty_like(shares)
        for number, where in enumerate(self.tree.slices.values()):
            said = _alpha(self.network[number], _features(shares, worth[:, number], where))[0]
            alpha[:, where] = as_seen(said, self.faithfulness[number])
        return alpha

    def of_galaxies(self, count: int, network: NetworkAnswers | None = None) -> NDArray[np.float64]:
        """Parameters for all galaxies, shape (count, answers): by a network where it has answers for them."""
        alpha = np.tile(self.without_network(), (count, 1))
        if network is not None:
            alpha[network.galaxies] = self.with_network(network.answers, network.volunteers)
        return alpha


def as_seen(said: NDArray[np.float64], faithfulness: float) -> NDArray[np.float64]:
    """The distribution of shares of those who see an answer, from that of those who say it.

    If a share a of the votes says what is seen, and the others any answer, shares p of k answers that are
    seen become a · p + (1 − a) / k: nearer to each other, and with a² times the variance.

    Parameters
    ----------
    said : ndarray, shape (n, k)
        Parameters of Dirichlet distributions.
    faithfulness
        The share a.

    Examples
    --------
    If two votes of three are faithful, and one is for any of two answers, what is seen differs more than what
    is said, both between the answers and from galaxy to galaxy.

    >>> as_seen(np.array([[10.0, 5.0]]), 2 / 3).round(2).tolist()
    [[3.75, 1.25]]
    """
    share, answers = max(faithfulness, _LEAST_FAITHFUL), said.shape[1]
    strength = said.sum(axis=1, keepdims=True)
    heard = said / strength
    means = ((heard - (1 - share) / answers) / share).clip(min=_LEAST_SHARE / 10)
    means /= means.sum(axis=1, keepdims=True)
    spread, of_heard = (1 - (one**2).sum(axis=1, keepdims=True) for one in (means, heard))
    strength = (share**2 * (strength + 1) * spread / of_heard - 1).clip(min=_LEAST_STRENGTH)
    return np.asarray(strength * means)


def fit_prior(
    tree: DecisionTree,
    counts: ArrayLike,
    network: NetworkAnswers | None = None,
    faithfulness: ArrayLike = 1.0,
) -> Prior:
    """Fit the prior to votes, by their likelihood (the Dirichlet–multinomial).

    Parameters
    ----------
    counts : array_like, shape (galaxies, answers)
        Votes for each answer, as they were given.
    faithfulness : array_like, shape (questions,)
        How faithful they are (`Knowledge.faithfulness`).
    """
    votes = np.asarray(counts, np.float64)
    alone, with_network = [], []
    for number, where in enumerate(tree.slices.values()):
        wide, counted = where.stop - where.start, votes[:, where]
        alone.append(_fitted(counted, _no_features(len(votes), wide)))
        if network is None:
            with_network.append(_unfitted(wide, tree.answer_count))
            continue
        features = _features(network.answers, network.volunteers[:, number], where)
        with_network.append(_fitted(counted[network.galaxies], features))
    faithful = np.broadcast_to(np.asarray(faithfulness, np.float64), len(tree.questions))
    return Prior(tree, tuple(alone), tuple(with_network), faithful)


class _Features(NamedTuple):
    """What the prior of n galaxies on one question with k answers is computed from.

    Attributes
    ----------
    log_shares : ndarray, shape (n, k)
        Logarithms of the network's shares among those who are asked; without a network all are equal.
    log_worth : ndarray, shape (n,)
        Logarithm of how many volunteers the network's answers are worth; 0 without a network.
    log_odds : ndarray, shape (n, answers)
        Halves of the log-odds of all answers to all questions; no columns without a network.
    """

    log_shares: NDArray[np.float64]
    log_worth: NDArray[np.float64]
    log_odds: NDArray[np.float64]

    def of(self, rows: NDArray[np.int64]) -> _Features:
        """The features of some of the galaxies."""
        return _Features(*(values[rows] for values in self))


def _features(answers: NDArray[np.float64], volunteers: NDArray[np.float64], where: slice) -> _Features:
    odds = np.log((answers + _LEAST_SHARE) / (1 - answers + _LEAST_SHARE)) / 2
    return _Features(np.log(conditional(answers[:, where])), np.log(volunteers), odds)


def _no_features(galaxies: int, answers: int) -> _Features:
    even = np.full((galaxies, answers), -np.log(answers))
    return _Features(even, np.zeros(galaxies), np.empty((galaxies, 0)))


def _unfitted(answers: int, others: int) -> NDArray[np.float64]:
    """Parameters that take a network at its word."""
    return np.concatenate([[0.0, 1.0], np.zeros(answers * (1 + others))])


def _fitted(counts: NDArray[np.float64], features: _Features) -> NDArray[np.float64]:
    """The parameters under which the counts are most likely."""
    asked, wide, others = np.flatnonzero(counts.sum(axis=1) > 0), counts.shape[1], features.log_odds.shape[1]
    start = _unfitted(wide, others)
    if len(asked) < _FEWEST_GALAXIES:
        return start
    asked = asked[:: -(-len(asked) // _MOST_GALAXIES)]
    fitted = minimize(
        _loss,
        start,
        (counts[asked], features.of(asked)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_LEAST, _MOST), (0.0, 4.0), *[(-8.0, 8.0)] * (wide * (1 + others))],
        options={"maxiter": 200},
    ).x
    return np.asarray(fitted, np.float64)


def _alpha(
    parameters: NDArray[np.float64], features: _Features
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters exp(c) · worth · (shares^g · b · odds^W, normalised) of the distributions, and their means.

    `parameters` are c, g, the logarithms of b, and W, of shape (others, k).
    """
    wide = features.log_shares.shape[1]
    logits = parameters[1] * features.log_shares + parameters[2 : 2 + wide]
    logits += features.log_odds @ parameters[2 + wide :].reshape(-1, wide)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    means = weights / weights.sum(axis=1, keepdims=True)
    strength = np.exp((parameters[0] + features.log_worth).clip(_LEAST, _MOST))
    return np.maximum(strength[:, None] * means, 1e-4), means


def _loss(
    parameters: NDArray[np.float64], counts: NDArray[np.float64], features: _Features
) -> tuple[float, NDArray[np.float64]]:
    alpha, means = _alpha(parameters, features)
    strength, total = alpha.sum(axis=1), counts.sum(axis=1)
    likelihood = (gammaln(strength) - gammaln(strength + total)).sum()
    likelihood += (gammaln(alpha + counts) - gammaln(alpha)).sum()
    slope = (psi(strength) - psi(strength + total))[:, None] + psi(alpha + counts) - psi(alpha)
    by_mean = slope * alpha
    excess = by_mean - means * by_mean.sum(axis=1, keepdims=True)
    gradient = -np.r_[
        by_mean.sum(),
        (excess * features.log_shares).sum(),
        excess.sum(axis=0),
        (features.log_odds.T @ excess).ravel(),
    ]
    wide, others = counts.shape[1], features.log_odds.shape[1]
    off = parameters - _unfitted(wide, others)
    penalty = np.repeat([_PENALTY, _PENALTY_OF_OTHERS], [2 + wide, wide * others])
    return float(-likelihood + (penalty * off) @ off), gradient + 2 * penalty * off
