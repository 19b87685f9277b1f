"""All that is measured of answers with votes, in one go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.catalogue.rows import Uncertainty
from pipeline.evaluation.asked import AskedGalaxies, asked_galaxies
from pipeline.evaluation.baselines import column_means, majority_answers
from pipeline.evaluation.bins import Bin, Trend, bin_numbers, equal_count_bins, rising_trend
from pipeline.evaluation.calibration import ReliabilityBin, expected_calibration_error, reliability
from pipeline.evaluation.confusion import AnswerScore, answer_scores, confusion_matrix
from pipeline.evaluation.metrics import Score, galaxy_rmse, rmse, rmse_scores
from pipeline.evaluation.uncertainty import UncertaintyResults, measure_uncertainty
from pipeline.tree import DecisionTree, Question


@dataclass(frozen=True)
class QuestionResult:
    """What is measured of one question.

    Attributes
    ----------
    score
        RMSE over its answers and all galaxies.
    constant
        RMSE of the constant column means.
    asked
        The galaxies of which at least half of the volunteers were asked; all below is over these.
    by_agreement, by_confidence
        Accuracy in bins of equal counts of the volunteers' agreement and of the model's confidence.
    trend
        Whether accuracy rises with confidence, over the numbers of those bins.
    reliability, calibration_error
        The probability of the predicted answer against how often most volunteers gave it.
    shares, share_error
        The same against the share of the volunteers that gave it.
    matrix, answers
        Confusion matrix; precision and recall.
    """

    question: Question
    score: Score
    constant: float
    asked: AskedGalaxies
    by_agreement: list[Bin]
    by_confidence: list[Bin]
    trend: Trend
    reliability: list[ReliabilityBin]
    calibration_error: float
    shares: list[ReliabilityBin]
    share_error: float
    matrix: NDArray[np.int64]
    answers: list[AnswerScore]


@dataclass(frozen=True)
class Results:
    """What is measured of a catalogue.

    Attributes
    ----------
    score, answers
        RMSE over all answers, and of each in the order of the tree.
    constant, majority
        RMSE of the constant column means of these votes, and of the majority's answers.
    constant_answers : ndarray, shape (answers,), float64
        RMSE of the constant column means by answer.
    galaxies : ndarray, shape (n,), float64
        RMSE of each galaxy.
    uncertainty
        How good what the catalogue says of its uncertainty is; None where it says nothing.
    """

    tree: DecisionTree
    score: Score
    answers: list[Score]
    constant: float
    majority: float
    constant_answers: NDArray[np.float64]
    questions: list[QuestionResult]
    galaxies: NDArray[np.float64]
    uncertainty: UncertaintyResults | None = None


def measure(
    tree: DecisionTree, predicted: ArrayLike, votes: ArrayLike, uncertainty: Uncertainty | None = None
) -> Results:
    """Measure answers against votes.

    Parameters
    ----------
    predicted, votes : array_like, shape (n, answers)
        Cumulative, in the order of the tree; missing votes are NaN.
    uncertainty
        How sure the answers are, where that is known.
    """
    answers, fractions = np.asarray(predicted, np.float64), np.asarray(votes, np.float64)
    parts = [tree.slices[question.key] for question in tree.questions]
    single = [slice(i, i + 1) for i in range(tree.answer_count)]
    overall, *scores = rmse_scores(answers, fractions, [slice(None), *parts, *single])
    constant = np.broadcast_to(column_means(fractions), fractions.shape)
    majority = np.broadcast_to(majority_answers(tree, fractions), fractions.shape)
    questions = [
        _of_question(tree, question, score, answers, fractions, constant)
        for question, score in zip(tree.questions, scores, strict=False)
    ]
    asked_each = [result.asked for result in questions]
    return Results(
        tree=tree,
        score=overall,
        answers=scores[len(parts) :],
        constant=rmse(constant, fractions),
        majority=rmse(majority, fractions),
        constant_answers=galaxy_rmse(constant.T, fractions.T),
        questions=questions,
        galaxies=galaxy_rmse(answers, fractions),
        uncertainty=None
        if uncertainty is None
        else measure_uncertainty(tree, asked_each, answers, fractions, uncertainty),
    )


def _of_question(
    tree: DecisionTree,
    question: Question,
    score: Score,
    predicted: NDArray[np.float64],
    votes: NDArray[np.float64],
    constant: NDArray[np.float64],
) -> QuestionResult:
    where = tree.slices[question.key]
    galaxies = asked_galaxies(tree, question, predicted, votes)
    reliable = reliability(galaxies.probability, galaxies.correct)
    shares = reliability(galaxies.probability, galaxies.share)
    matrix = confusion_matrix(galaxies.truth, galaxies.predicted, len(question.answers))
    has_votes = score.galaxies > 0
    return QuestionResult(
        question=question,
        score=score,
        constant=rmse(constant[:, where], votes[:, where]) if has_votes else float("nan"),
        asked=galaxies,
        by_agreement=equal_count_bins(galaxies.agreement, galaxies.correct),
        by_confidence=equal_count_bins(galaxies.confidence, galaxies.correct),
        trend=rising_trend(bin_numbers(galaxies.confidence), galaxies.correct),
        reliability=reliable,
        calibration_error=expected_calibration_error(reliable),
        shares=shares,
        share_error=expected_calibration_error(shares),
        matrix=matrix,
        answers=answer_scores(matrix),
    )
