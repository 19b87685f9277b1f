"""Whether a catalogue knows how sure its answers are: its intervals and distributions beside votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln

from pipeline.catalogue.rows import Uncertainty
from pipeline.confidence import share_distributions
from pipeline.confidence.concentration import VOLUNTEERS
from pipeline.evaluation.asked import AskedGalaxies
from pipeline.evaluation.metrics import Score, rmse_scores
from pipeline.evaluation.proportion import proportion_interval
from pipeline.tree import DecisionTree

PIT_BINS = 10

_ROUNDING = 1e-6
_TINY = 1e-12


@dataclass(frozen=True)
class QuestionUncertainty:
    """How good the intervals and distributions of one question are; NaN where no galaxy was asked it.

    Attributes
    ----------
    galaxies
        Of which at least half of the volunteers were asked; all below is over these and all answers.
    coverage, low, high
        Share of the votes within their 90 % intervals, with its 95 % interval: that of as many galaxies, each
        of which counts with the share of its answers that are within.
    width
        Mean width of the intervals.
    crps, crps_votes
        Mean continuous ranked probability score of the predicted distributions, and of what is known without
        any picture: how the votes for these same galaxies are distributed.
    volunteers
        How many volunteers' votes an answer is worth, the median.
    pit
        Density of the probability integral transform in `PIT_BINS` equal bins; 1 in all of them if votes
        scatter just as predicted. Empty without galaxies.
    """

    galaxies: int
    coverage: float
    low: float
    high: float
    width: float
    crps: float
    crps_votes: float
    volunteers: float
    pit: tuple[float, ...]


@dataclass(frozen=True)
class UncertaintyResults:
    """How good a catalogue's uncertainty is.

    Attributes
    ----------
    questions
        Of each question, in the tree's order.
    familiar, unfamiliar
        RMSE of the galaxies whose pictures are like those trained on, and of the others (`out_of_place` > 1).
    """

    questions: list[QuestionUncertainty]
    familiar: Score
    unfamiliar: Score


def measure_uncertainty(
    tree: DecisionTree,
    asked: Sequence[AskedGalaxies],
    predicted: ArrayLike,
    votes: ArrayLike,
    uncertainty: Uncertainty,
) -> UncertaintyResults:
    """Measure how good a catalogue's uncertainty is.

    Parameters
    ----------
    asked
        Of each question, the galaxies that were asked it.
    predicted, votes : array_like, shape (n, answers)
        Cumulative, in the order of the tree; missing votes are NaN.
    """
    answers, fractions = np.asarray(predicted, np.float64), np.asarray(votes, np.float64)
    unfamiliar = uncertainty.out_of_place > 1
    mean, strength = share_distributions(tree, answers, uncertainty.volunteers, VOLUNTEERS)
    questions = []
    for place, galaxies in enumerate(asked):
        rows, where = galaxies.rows, tree.slices[galaxies.question.key]
        questions.append(
            _of_question(
                fractions[rows, where],
                (mean[rows, where], strength[rows, where]),
                (uncertainty.low[rows, where], uncertainty.high[rows, where]),
                uncertainty.volunteers[rows, place],
            )
        )
    return UncertaintyResults(
        questions,
        _score(answers[~unfamiliar], fractions[~unfamiliar]),
        _score(answers[unfamiliar], fractions[unfamiliar]),
    )


def beta_crps(mean: ArrayLike, strength: ArrayLike, outcomes: ArrayLike) -> NDArray[np.float64]:
    """Continuous ranked probability scores of Beta distributions: the less, the better.

    Parameters
    ----------
    mean, strength, outcomes : array_like, same shape
        a / (a + b), a + b, and what came of it, in [0, 1].

    References
    ----------
    Gneiting & Raftery 2007, section 4.2; the closed form is that of Taillardat et al. 2016, Monthly Weather
    Review 144, 2375, and of Jordan, Krüger & Lerch 2019.
    """
    m, s, y = (np.asarray(values, np.float64) for values in (mean, strength, np.clip(outcomes, 0, 1)))
    a, b = m * s, (1 - m) * s
    within = np.exp(betaln(2 * a, 2 * b) - 2 * betaln(a, b)) * 2 / a
    return np.asarray(y * (2 * betainc(a, b, y) - 1) + m * (1 - 2 * betainc(a + 1, b, y) - within))


def sample_crps(values: ArrayLike) -> float:
    """Mean continuous ranked probability score of a sample's own distribution for each of its values.

    It is half of the mean difference between two of them.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    count = len(ordered)
    weights = 2 * np.arange(1, count + 1) - count - 1
    return float(weights @ ordered / count**2)


def pit_density(
    mean: ArrayLike, strength: ArrayLike, votes: ArrayLike, volunteers: float = VOLUNTEERS
) -> tuple[float, ...]:
    """Density of the probability integral transform of votes under Beta distributions.

    A vote fraction stands for all shares up to half a vote away; what is predicted to be below is spread
    evenly between what is predicted to be below the least and below the greatest of these.

    Parameters
    ----------
    mean, strength, votes : array_like, same shape
        a / (a + b), a + b, and the vote fractions.

    References
    ----------
    Czado, Gneiting & Held 2009, Biometrics 65, 1254, section 2.1: the nonrandomised histogram.
    """
    m, s, y = (np.asarray(values, np.float64).ravel() for values in (mean, strength, votes))
    a, b, half = m * s, (1 - m) * s, 0.5 / volunteers
    least, greatest = (betainc(a, b, np.clip(y + step, 0, 1)) for step in (-half, half))
    edges = np.linspace(0, 1, PIT_BINS + 1)[1:-1, None]
    below = np.clip((edges - least) / np.maximum(greatest - least, _TINY), 0, 1).mean(axis=1)
    return tuple((PIT_BINS * np.diff([0.0, *below.tolist(), 1.0])).tolist())


def _of_question(
    votes: NDArray[np.float64],
    distributions: tuple[NDArray[np.float64], NDArray[np.float64]],
    bounds: tuple[NDArray[np.float32], NDArray[np.float32]],
    volunteers: NDArray[np.float32],
) -> QuestionUncertainty:
    count = len(votes)
    if not count:
        nothing = float("nan")
        return QuestionUncertainty(0, *(nothing,) * 7, pit=())
    low, high = bounds
    inside = ((votes >= low - _ROUNDING) & (votes <= high + _ROUNDING)).mean(axis=1)
    return QuestionUncertainty(
        count,
        float(inside.mean()),
        *proportion_interval(float(inside.sum()), count),
        width=float(np.mean(high - low)),
        crps=float(beta_crps(*distributions, votes).mean()),
        crps_votes=float(np.mean([sample_crps(answer) for answer in votes.T])),
        volunteers=float(np.median(volunteers)),
        pit=pit_density(*distributions, votes),
    )


def _score(predicted: NDArray[np.float64], votes: NDArray[np.float64]) -> Score:
    if np.isnan(votes).all():
        return Score(*(float("nan"),) * 3, galaxies=0)
    return rmse_scores(predicted, votes, [slice(None)])[0]
