"""The report of an evaluation: what its sections say, with their tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation import PAPER_SCORES, QuestionResult, Results, Score, UncertaintyResults
from pipeline.report import evaluation_plots as plots
from pipeline.report.document import Figure, Gallery, Picture, Raw, Section, Table
from pipeline.tree import DecisionTree

_PAPER_TREE = "galaxy_zoo_2"
_INTERVAL = ("RMSE", "low", "high")


@dataclass(frozen=True)
class Extremes:
    """The hardest and the easiest galaxies, and why there are no pictures of them if there are none."""

    hardest: Sequence[Picture]
    easiest: Sequence[Picture]
    without_pictures: str = ""


def evaluation_sections(
    results: Results,
    scores: Mapping[str, Score],
    ids: Sequence[str],
    extremes: Extremes,
    gallery: Sequence[Raw] = (),
) -> list[Section]:
    """The sections of the page.

    Parameters
    ----------
    scores
        Of this catalogue, first, and of others on the same galaxies, by name.
    ids
        object_ids of the galaxies of `results`.
    gallery
        What lets the reader choose among galaxies; it comes last.
    """
    return [
        _scores(results, scores),
        _agreement(results),
        _calibration(results),
        *([] if results.uncertainty is None else [_uncertainty(results, results.uncertainty)]),
        _answers(results),
        _galaxies(results, ids, extremes, gallery),
    ]


def comparison_table(tree: DecisionTree, results: Results, scores: Mapping[str, Score]) -> Table:
    """The paper's table 3: catalogues on the same galaxies, baselines, then the paper's own scores."""
    paper = PAPER_SCORES if tree.name == _PAPER_TREE else {}

    def row(name: str) -> tuple[object, ...]:
        score, reported = scores.get(name), paper.get(name)
        own = (score.galaxies, score.rmse, score.low, score.high) if score else (None,) * 4
        text = f"{name.replace('_', ' ')} ({reported.text})" if reported else name
        return text, *own, *((reported.public, reported.private) if reported else (None, None))

    n = results.score.galaxies
    rows = [
        *map(row, scores),
        ("constant: mean votes of these galaxies", n, results.constant, *(None,) * 4),
        ("majority: most common answers", n, results.majority, *(None,) * 4),
        *(row(name) for name in paper if name not in scores),
    ]
    columns = ["catalogue", "galaxies", *_INTERVAL, "paper, public", "paper, private"]
    if not paper:
        columns, rows = columns[:5], [row[:5] for row in rows]
    return Table(
        "comparison", "Scores side by side, with 95 % intervals (the paper’s table 3).", columns, rows
    )


def _scores(results: Results, scores: Mapping[str, Score]) -> Section:
    tree = results.tree
    questions = [
        (f"Q{i}", q.question.key, q.score.galaxies, q.score.rmse, q.score.low, q.score.high, q.constant)
        for i, q in enumerate(results.questions, start=1)
    ]
    names = [(q.key, a.key) for q in tree.questions for a in q.answers]
    answers = [
        (*name, s.galaxies, s.rmse, s.low, s.high, float(constant))
        for name, s, constant in zip(names, results.answers, results.constant_answers, strict=True)
    ]
    columns = ("galaxies", *_INTERVAL, "constant")
    return Section(
        "Scores",
        "Root mean squared error between predicted and given vote fractions, over galaxies and answers. "
        "Intervals hold the middle 95 % of 2,000 draws of the galaxies with replacement; “constant” is what "
        "predicting the mean votes of these same galaxies scores.",
        [
            comparison_table(tree, results, scores),
            Table("scores_questions", "RMSE of each question.", ("", "question", *columns), questions),
            Figure("scores_answers", "RMSE of each answer.", plots.rmse_of_answers(results)),
            Table("scores_answers", "RMSE of each answer.", ("question", "answer", *columns), answers, 0),
        ],
    )


def _agreement(results: Results) -> Section:
    bins = [
        (q.question.key, by, i, b.galaxies, b.low, b.high, b.mean, b.accuracy)
        for q in results.questions
        for by, groups in (("agreement", q.by_agreement), ("confidence", q.by_confidence))
        for i, b in enumerate(groups, start=1)
    ]
    accuracy = [
        (
            f"Q{i}",
            q.question.key,
            len(q.asked),
            q.asked.accuracy,
            q.asked.majority,
            1 / len(q.question.answers),
            q.trend.z,
            q.trend.p,
        )
        for i, q in enumerate(results.questions, start=1)
    ]
    return Section(
        "Agreement and confidence",
        "Over the galaxies of which at least half of the volunteers were asked the question: how often the "
        "most probable answer is the one that most volunteers gave. Each point is a tenth of the galaxies, "
        "sorted by a(p) = 1 − H(p) / log n of the volunteers or of the prediction (the paper’s figure 9). "
        "Bars hold 95 %.\n\n"
        "Whether accuracy rises with confidence is tested after Cochran and Armitage, over the tenths: a "
        "small p says that it does.",
        [
            Figure("accuracy", "Accuracy against agreement and confidence.", plots.accuracy_panels(results)),
            Table(
                "accuracy",
                "Accuracy of each question.",
                ("", "question", "n", "accuracy", "majority", "chance", "trend z", "trend p"),
                accuracy,
            ),
            Table(
                "accuracy_bins",
                "The figure’s points.",
                ("question", "sorted by", "bin", "n", "low", "high", "mean", "accuracy"),
                bins,
                0,
            ),
        ],
    )


def _calibration(results: Results) -> Section:
    errors = [
        (f"Q{i}", q.question.key, len(q.asked), q.calibration_error, q.share_error)
        for i, q in enumerate(results.questions, start=1)
    ]
    bins = [
        (q.question.key, against, b.low, b.high, b.galaxies, b.probability, b.outcome)
        for q in results.questions
        for against, curve in (("plurality", q.reliability), ("share", q.shares))
        for b in curve
    ]
    return Section(
        "Calibration",
        "The probability of the predicted answer, among those of its question, against two outcomes. The "
        "prediction is of vote shares, so it is calibrated if the second curve lies on the diagonal: of the "
        "volunteers who were asked, that share gave the answer. Most of them then agree on it more often "
        "than that: the first curve, and its error, say how far the probability understates how often the "
        "answer is right. Larger points are more galaxies, and bars hold 95 %.\n\n"
        "The expected calibration error is the mean distance from the diagonal in ten bins of equal width, "
        "weighted by their galaxies.",
        [
            Figure("reliability", "Reliability of each question.", plots.reliability_panels(results)),
            Table(
                "calibration",
                "Expected calibration error of each question.",
                ("", "question", "n", "against what most say", "against vote shares"),
                errors,
            ),
            Table(
                "reliability",
                "The figure’s points.",
                ("question", "against", "low", "high", "n", "probability", "outcome"),
                bins,
                0,
            ),
        ],
    )


def _uncertainty(results: Results, uncertainty: UncertaintyResults) -> Section:
    measured = list(zip(results.questions, uncertainty.questions, strict=True))
    questions = [
        (
            f"Q{i}",
            q.question.key,
            u.galaxies,
            u.coverage,
            u.low,
            u.high,
            u.width,
            u.crps,
            u.crps_votes,
            u.volunteers,
        )
        for i, (q, u) in enumerate(measured, start=1)
    ]
    bins = [
        (q.question.key, i / len(u.pit), (i + 1) / len(u.pit), density)
        for q, u in measured
        for i, density in enumerate(u.pit)
    ]
    alike = [
        (name, score.galaxies, score.rmse, score.low, score.high)
        for name, score in (("at most 1", uncertainty.familiar), ("above 1", uncertainty.unfamiliar))
    ]
    intervals = ("within", "low", "high", "width", "CRPS", "CRPS of the votes", "volunteers")
    return Section(
        "Uncertainty",
        "Whether the catalogue knows how sure its answers are, over the galaxies of which at least half of "
        "the volunteers were asked the question. 90 % of the votes should lie within their 90 % intervals: "
        "“within” is how many do, with a 95 % interval. The narrower the intervals then are, the better: "
        "“width” is their mean. The continuous ranked probability score (CRPS) judges both at once, and less "
        "is better; beside it is what would be scored without any picture, by how the votes for these same "
        "galaxies are distributed. “Volunteers” is how many people’s votes an answer is worth, the median."
        "\n\n"
        "The figure shows how probable a smaller share than the volunteers’ was said to be. Its bars are "
        "level if votes scatter as predicted, high at both ends if intervals are too narrow, and high in the "
        "middle if they are too wide. In later questions they lean to the right even of an honest catalogue: "
        "galaxies are in them for the very reason that many volunteers were asked.",
        [
            Table(
                "uncertainty",
                "90 % intervals and distributions.",
                ("", "question", "n", *intervals),
                questions,
            ),
            Figure(
                "pit", "Probability integral transform of the votes.", plots.pit_panels(results, uncertainty)
            ),
            Table("pit", "The figure’s bars.", ("question", "low", "high", "density"), bins, 0),
            Table(
                "out_of_place",
                "RMSE by how unlike the training pictures a picture is: above 1 is 1 in 20 of their kind.",
                ("out_of_place", "galaxies", *_INTERVAL),
                alike,
            ),
        ],
    )


def _answers(results: Results) -> Section:
    rows = [
        (
            f"Q{i}",
            answer.text,
            "?" if s.precision is None else s.precision,
            s.recall,
            s.galaxies,
        )
        for i, q in enumerate(results.questions, start=1)
        for answer, s in zip(q.question.answers, q.answers, strict=True)
    ]
    matrices = [
        (q.question.key, truth, predicted, int(q.matrix[row, column]))
        for q in results.questions
        for row, truth in enumerate(_keys(q))
        for column, predicted in enumerate([*_keys(q), None])
    ]
    return Section(
        "Precision and recall",
        "Of every answer, over the same galaxies (the paper’s table 4); “?” where an answer is never "
        "predicted, n counts the galaxies of which most volunteers gave it.",
        [
            Table("answers", "Precision and recall.", ("", "answer", "precision", "recall", "n"), rows),
            Figure(
                "confusion",
                "Galaxies by the answer that most volunteers gave and the one that is predicted; colours are "
                "shares of a row.",
                plots.confusion_panels(results),
            ),
            Table(
                "confusion", "The figure’s counts.", ("question", "volunteers", "predicted", "n"), matrices, 0
            ),
        ],
    )


def _keys(result: QuestionResult) -> list[str]:
    return [answer.key for answer in result.question.answers]


def _galaxies(results: Results, ids: Sequence[str], extremes: Extremes, gallery: Sequence[Raw]) -> Section:
    order = np.argsort(-np.nan_to_num(results.galaxies, nan=-1.0), kind="stable")
    rows = [(ids[i], float(results.galaxies[i])) for i in order]
    parts: list[Figure | Table | Gallery | Raw] = [
        Gallery("Hardest: largest RMSE first.", extremes.hardest),
        Gallery("Easiest: smallest RMSE first.", extremes.easiest),
    ]
    why = f"\n\nThere are no pictures: {extremes.without_pictures}" if extremes.without_pictures else ""
    return Section(
        "Hardest and easiest galaxies",
        "By each galaxy’s own RMSE over its answers (the paper’s figure 14). Under each are the class that "
        "is predicted and the one that the votes give." + why,
        [
            *([] if extremes.without_pictures else parts),
            Table("galaxies", "RMSE of each galaxy.", ("object_id", "RMSE"), rows, 10),
            *gallery,
        ],
    )
