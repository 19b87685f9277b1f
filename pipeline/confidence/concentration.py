"""How many volunteers a network's answer is worth: the concentration of a Dirichlet distribution.

The shares of the volunteers who give each answer to a question are taken for Dirichlet-distributed about the
network's conditional probabilities. The concentration, one number a galaxy and question, is read off all the
answers: a logarithm that is linear in their square roots. It is fitted to the votes for galaxies that the
network never saw, by the likelihood of the counts (the Dirichlet–multinomial, as Zoobot is trained: Walmsley
et al. 2022, MNRAS 509, 3966, equation 2). The answers themselves stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.special import gammaln, psi

from pipeline.config import StrictModel
from pipeline.tree import DecisionTree

VOLUNTEERS = 40.0
"""How many look at a galaxy, where a label table doesn't say: the usual number of Galaxy Zoo 2."""

FLOOR = 0.01
"""Share of a question's probability that is spread evenly, lest a vote for a certain 0 be impossible."""

_LEAST, _MOST = 0.1, 1000.0
"""Bounds of a concentration."""

_FEWEST_GALAXIES = 50
_PENALTY = 10.0


class QuestionConcentration(StrictModel):
    """The concentration of one question as a function of all answers.

    Attributes
    ----------
    offset
        Logarithm of the concentration of a galaxy with the mean answers.
    slopes
        By how much it grows with the square root of each answer, in the order of the tree.
    galaxies
        How many it was fitted to.
    widening
        By what the distances of bounds from the answer are multiplied, so that intervals hold as many votes
        as they say (see `calibrated`).
    """

    offset: float
    slopes: tuple[float, ...]
    galaxies: int
    widening: float = 1.0


class Concentrations(StrictModel):
    """The concentrations of all questions that enough galaxies were asked.

    Attributes
    ----------
    volunteers
        How many volunteers the intervals are for.
    mean_roots
        Mean square roots of the answers of the galaxies that it was fitted to.
    questions
        By key; a question that is missing is taken to be known no better than by its prior, one volunteer.
    """

    volunteers: float = Field(default=VOLUNTEERS, gt=0)
    mean_roots: tuple[float, ...]
    questions: dict[str, QuestionConcentration]

    def of(self, tree: DecisionTree, answers: ArrayLike) -> NDArray[np.float64]:
        """Concentrations of galaxies, in volunteers.

        Parameters
        ----------
        answers : array_like, shape (n, answers)
            Cumulative probabilities in the order of the tree.

        Returns
        -------
        ndarray, shape (n, questions), float64
        """
        centred = _roots(answers) - np.array(self.mean_roots)
        columns = [
            np.exp(fit.offset + centred @ np.array(fit.slopes)).clip(_LEAST, _MOST)
            if (fit := self.questions.get(question.key)) is not None
            else np.ones(len(centred))
            for question in tree.questions
        ]
        return np.stack(columns, axis=1)

    def widenings(self, tree: DecisionTree) -> NDArray[np.float64]:
        """The factor of each answer's interval, shape (answers,)."""
        fits = (self.questions.get(question.key) for question in tree.questions)
        factors = [1.0 if fit is None else fit.widening for fit in fits]
        return np.repeat(factors, [len(question.answers) for question in tree.questions])

    def widened(self, key: str, factor: float) -> Concentrations:
        """The same with another factor for the intervals of one question."""
        fit = self.questions[key].model_copy(update={"widening": factor})
        return self.model_copy(update={"questions": self.questions | {key: fit}})


def fit_concentrations(
    tree: DecisionTree, answers: ArrayLike, votes: ArrayLike, volunteers: float = VOLUNTEERS
) -> Concentrations:
    """Fit concentrations to the votes for galaxies that the network never saw.

    Parameters
    ----------
    answers : array_like, shape (n, answers)
        The network's cumulative probabilities in the order of the tree.
    votes : array_like, shape (n, answers)
        Cumulative vote fractions; NaN where a vote is missing. A galaxy counts in a question that at least
        one volunteer was asked.
    volunteers
        Who looked at each galaxy.

    Examples
    --------
    Where votes scatter as much as five volunteers' would, an answer is worth five.

    >>> from pipeline.tree import load_tree
    >>> tree, random = load_tree(), np.random.default_rng(0)
    >>> odd = tree.slices["something_odd"]
    >>> answers, votes = np.zeros((2000, 37)), np.full((2000, 37), np.nan)
    >>> answers[:, odd] = 0.5
    >>> votes[:, odd] = random.multinomial(40, random.dirichlet([2.5, 2.5], 2000)) / 40
    >>> concentrations = fit_concentrations(tree, answers, votes).of(tree, answers[:1])
    >>> round(float(concentrations.max()))
    5
    """
    probabilities, fractions = np.asarray(answers, np.float64), np.asarray(votes, np.float64)
    roots = _roots(probabilities)
    mean = roots.mean(axis=0)
    questions = {}
    for question in tree.questions:
        where = tree.slices[question.key]
        counts = fractions[:, where] * volunteers
        asked = np.nan_to_num(counts).sum(axis=1) >= 1.0
        asked &= ~np.isnan(counts).any(axis=1)
        if asked.sum() >= _FEWEST_GALAXIES:
            shares = conditional(probabilities[asked, where])
            questions[question.key] = _fit(roots[asked] - mean, shares, counts[asked])
    return Concentrations(volunteers=volunteers, mean_roots=tuple(mean.tolist()), questions=questions)


def conditional(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of a question's answers among those who are asked, none of them 0; even if nobody is."""
    total = answers.sum(axis=1, keepdims=True)
    even = 1.0 / answers.shape[1]
    shares = np.divide(answers, total, out=np.full_like(answers, even), where=total > 0)
    mixed: NDArray[np.float64] = (1 - FLOOR) * shares + FLOOR * even
    return mixed


def _roots(answers: ArrayLike) -> NDArray[np.float64]:
    roots: NDArray[np.float64] = np.sqrt(np.clip(np.asarray(answers, np.float64), 0.0, 1.0))
    return roots


def _fit(
    features: NDArray[np.float64], shares: NDArray[np.float64], counts: NDArray[np.float64]
) -> QuestionConcentration:
    total = counts.sum(axis=1)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slopes = parameters[1:]
        logarithm = parameters[0] + features @ slopes
        strength = np.exp(logarithm.clip(np.log(_LEAST), np.log(_MOST)))
        alpha = strength[:, None] * shares
        likelihood = gammaln(strength) - gammaln(strength + total)
        likelihood += (gammaln(alpha + counts) - gammaln(alpha)).sum(axis=1)
        by_strength = psi(strength) - psi(strength + total)
        by_strength += (shares * (psi(alpha + counts) - psi(alpha))).sum(axis=1)
        inside = (logarithm > np.log(_LEAST)) & (logarithm < np.log(_MOST))
        by_logarithm = by_strength * strength * inside
        gradient = -np.concatenate([[by_logarithm.sum()], features.T @ by_logarithm])
        gradient[1:] += 2 * _PENALTY * slopes
        return float(-likelihood.sum() + _PENALTY * (slopes @ slopes)), gradient

    from scipy.optimize import minimize  # slow to load, and only a fit needs it

    start = np.concatenate([[np.log(5.0)], np.zeros(features.shape[1])])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return QuestionConcentration(
        offset=float(best[0]), slopes=tuple(best[1:].tolist()), galaxies=len(features)
    )
