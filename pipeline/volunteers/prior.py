"""What is expected of a galaxy before anyone has voted: as of the others, or as a network says.

The shares of the volunteers who give each answer to a question are taken for Dirichlet-distributed. Without a
network the distribution is that of all galaxies. With one its mean follows the network's answers and its
strength how many volunteers these are worth; how far to follow them is learnt from the votes at hand, so that
a network that is no good here comes to weigh next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from pipeline.confidence.concentration import conditional
from pipeline.tree import DecisionTree

_MOST_GALAXIES = 20_000
_FEWEST_GALAXIES = 20
_LEAST, _MOST = -7.0, 7.0
"""Bounds of the logarithm of a strength."""

_PENALTY = 1.0
"""On how far fitted parameters are off those that take a network at its word: one vote each of many galaxies
says nothing of what the network is worth."""


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
    """

    tree: DecisionTree
    alone: tuple[NDArray[np.float64], ...]
    network: tuple[NDArray[np.float64], ...]

    def of_any(self) -> NDArray[np.float64]:
        """Parameters for a galaxy without a network's answers, shape (answers,).

        Above 0; of one question they sum to how many votes the prior is worth.
        """
        return np.concatenate(
            [_alpha(parameters, _even(len(parameters) - 2), np.zeros(1))[0][0] for parameters in self.alone]
        )

    def of(self, answers: ArrayLike, volunteers: ArrayLike) -> NDArray[np.float64]:
        """Parameters for galaxies with a network's answers, shape (n, answers).

        Parameters
        ----------
        answers, volunteers : array_like, shapes (n, answers) and (n, questions)
            See `NetworkAnswers`.
        """
        shares, worth = np.asarray(answers, np.float64), np.log(np.asarray(volunteers, np.float64))
        alpha = np.empty_like(shares)
        for number, where in enumerate(self.tree.slices.values()):
            log_shares = np.log(conditional(shares[:, where]))
            alpha[:, where] = _alpha(self.network[number], log_shares, worth[:, number])[0]
        return alpha

    def of_galaxies(self, count: int, network: NetworkAnswers | None = None) -> NDArray[np.float64]:
        """Parameters for so many galaxies, by the network's answers for those that it has seen."""
        alpha = np.tile(self.of_any(), (count, 1))
        if network is not None:
            alpha[network.galaxies] = self.of(network.answers, network.volunteers)
        return alpha


def fit_prior(tree: DecisionTree, counts: ArrayLike, network: NetworkAnswers | None = None) -> Prior:
    """Fit the prior to votes, by their likelihood (the Dirichlet–multinomial).

    Parameters
    ----------
    counts : array_like, shape (galaxies, answers)
        Votes for each answer.
    """
    votes = np.asarray(counts, np.float64)
    alone, with_network = [], []
    for number, where in enumerate(tree.slices.values()):
        wide = where.stop - where.start
        alone.append(_fitted(votes[:, where], np.tile(_even(wide), (len(votes), 1)), np.zeros(len(votes))))
        if network is None:
            with_network.append(_unfitted(wide))
            continue
        shares = np.log(conditional(network.answers[:, where]))
        worth = np.log(network.volunteers[:, number])
        with_network.append(_fitted(votes[network.galaxies, where], shares, worth))
    return Prior(tree, tuple(alone), tuple(with_network))


def _even(answers: int) -> NDArray[np.float64]:
    """Logarithms of equal shares, shape (1, answers)."""
    return np.full((1, answers), -np.log(answers), np.float64)


def _unfitted(answers: int) -> NDArray[np.float64]:
    """Parameters that take a network at its word."""
    return np.concatenate([[0.0, 1.0], np.zeros(answers)])


def _fitted(
    counts: NDArray[np.float64], log_shares: NDArray[np.float64], log_worth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The parameters under which the counts are most likely."""
    asked, start = np.flatnonzero(counts.sum(axis=1) > 0), _unfitted(counts.shape[1])
    if len(asked) < _FEWEST_GALAXIES:
        return start
    asked = asked[:: -(-len(asked) // _MOST_GALAXIES)]
    fitted = minimize(
        _loss,
        start,
        (counts[asked], log_shares[asked], log_worth[asked]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_LEAST, _MOST), (0.0, 4.0), *[(-8.0, 8.0)] * counts.shape[1]],
        options={"maxiter": 200},
    ).x
    return np.asarray(fitted, np.float64)


def _alpha(
    parameters: NDArray[np.float64], log_shares: NDArray[np.float64], log_worth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters exp(c) · worth · (shares^g · b, normalised) of the distributions, and their means.

    `parameters` are c, g and the logarithms of b.
    """
    logits = parameters[1] * log_shares + parameters[2:]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    means = weights / weights.sum(axis=1, keepdims=True)
    strength = np.exp((parameters[0] + log_worth).clip(_LEAST, _MOST))
    return np.maximum(strength[:, None] * means, 1e-4), means


def _loss(
    parameters: NDArray[np.float64],
    counts: NDArray[np.float64],
    log_shares: NDArray[np.float64],
    log_worth: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    alpha, means = _alpha(parameters, log_shares, log_worth)
    strength, total = alpha.sum(axis=1), counts.sum(axis=1)
    likelihood = (gammaln(strength) - gammaln(strength + total)).sum()
    likelihood += (gammaln(alpha + counts) - gammaln(alpha)).sum()
    slope = (psi(strength) - psi(strength + total))[:, None] + psi(alpha + counts) - psi(alpha)
    by_mean = slope * alpha
    excess = by_mean - means * by_mean.sum(axis=1, keepdims=True)
    gradient = -np.r_[by_mean.sum(), (excess * log_shares).sum(), excess.sum(axis=0)]
    off = parameters - _unfitted(len(parameters) - 2)
    return float(-likelihood + _PENALTY * (off @ off)), gradient + 2 * _PENALTY * off
