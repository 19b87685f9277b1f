"""How well answers agree with volunteers."""

from pipeline.evaluation.asked import NO_ANSWER, AskedGalaxies, asked_galaxies
from pipeline.evaluation.baselines import column_means, majority_answers
from pipeline.evaluation.bins import Bin, Trend, bin_numbers, equal_count_bins, rising_trend
from pipeline.evaluation.calibration import ReliabilityBin, expected_calibration_error, reliability
from pipeline.evaluation.confusion import AnswerScore, answer_scores, confusion_matrix
from pipeline.evaluation.metrics import Score, galaxy_rmse, rmse, rmse_difference, rmse_interval, rmse_scores
from pipeline.evaluation.paper import PAPER_SCORES, PaperRow
from pipeline.evaluation.results import QuestionResult, Results, measure
from pipeline.evaluation.uncertainty import QuestionUncertainty, UncertaintyResults
from pipeline.evaluation.votes import VoteTable, read_votes

__all__ = [
    "NO_ANSWER",
    "PAPER_SCORES",
    "AnswerScore",
    "AskedGalaxies",
    "Bin",
    "PaperRow",
    "QuestionResult",
    "QuestionUncertainty",
    "ReliabilityBin",
    "Results",
    "Score",
    "Trend",
    "UncertaintyResults",
    "VoteTable",
    "answer_scores",
    "asked_galaxies",
    "bin_numbers",
    "column_means",
    "confusion_matrix",
    "equal_count_bins",
    "expected_calibration_error",
    "galaxy_rmse",
    "majority_answers",
    "measure",
    "read_votes",
    "reliability",
    "rising_trend",
    "rmse",
    "rmse_difference",
    "rmse_interval",
    "rmse_scores",
]
