"""What a triage's page shows: the thresholds, and what they are learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.proportion import proportion_interval
from pipeline.evaluation.triage import Threshold, judged_answers
from pipeline.report.document import Figure, Section, Table
from pipeline.report.palette import BLUE, SOFT, VERMILION, plot_style
from pipeline.tree import DecisionTree

_COLUMNS = 3
_BAND_POINTS = 200


def triage_sections(
    tree: DecisionTree,
    predicted: NDArray[np.float64],
    votes: NDArray[np.float64],
    thresholds: Sequence[Threshold],
    counts: Mapping[str, int],
    volunteers: NDArray[np.float32] | None = None,
) -> list[Section]:
    """Sections for `write_document`.

    Parameters
    ----------
    predicted, votes : ndarray, shape (n, answers)
        Cumulative answers and votes of the labelled galaxies.
    counts
        ``<question>_settled`` and ``<question>_people`` of the whole catalogue.
    volunteers : ndarray, shape (n, questions)
        How many volunteers the answers of the labelled galaxies are worth, where that is known.
    """
    rows = [
        [
            t.question,
            t.galaxies,
            t.confidence,
            None if t.confidence is None else t.accuracy,
            None if t.confidence is None else t.low,
            None if t.confidence is None else t.high,
            counts[f"{t.question}_settled"],
            counts[f"{t.question}_people"],
        ]
        for t in thresholds
    ]
    columns = [
        "question",
        "labelled",
        "from confidence",
        "accuracy",
        "low (95 %)",
        "high (95 %)",
        "settled",
        "to people",
    ]
    table = Table(
        "thresholds",
        "Answers at or above the confidence stand; – where none keeps the promise.",
        columns,
        rows,
    )
    figure = Figure(
        "accuracy",
        "Accuracy of the most confident answers on the labelled galaxies, against the share of them that "
        "would be settled. The band holds 95 %, the dashed line is the promise, the point the threshold.",
        _figure(tree, predicted, votes, thresholds, volunteers),
    )
    confidence = (
        "Confidence is the agreement, 1 − H(p) / log n, of the answer’s probabilities."
        if volunteers is None
        else "Confidence is the probability that the answer is what most volunteers would say, by how many "
        "volunteers the catalogue says that it is worth."
    )
    text = (
        "A question counts for a galaxy if the catalogue says that at least half of the volunteers would be "
        "asked it. An answer is right if most of those volunteers gave it. A threshold is taken only if the "
        "exact binomial test says that its answers keep the promise, so few labels settle few galaxies.\n\n"
        f"{confidence}"
    )
    return [Section("Thresholds", text, [table, figure])]


def _figure(
    tree: DecisionTree,
    predicted: NDArray[np.float64],
    votes: NDArray[np.float64],
    thresholds: Sequence[Threshold],
    volunteers: NDArray[np.float32] | None,
) -> matplotlib.figure.Figure:
    questions = {question.key: question for question in tree.questions}
    lines = -(-len(thresholds) // _COLUMNS)
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(9, 2.4 * lines))
        panels = figure.subplots(lines, _COLUMNS, sharey=True, squeeze=False).ravel()
        for panel, t in zip(panels, thresholds, strict=False):
            confidence, right = judged_answers(tree, questions[t.question], predicted, votes, volunteers)
            order = np.argsort(-confidence, kind="stable")
            ranks = np.arange(1, len(order) + 1)
            if len(order):
                hits = np.cumsum(right[order])
                some = np.unique(np.linspace(0, len(order) - 1, _BAND_POINTS).astype(int))
                bounds = [proportion_interval(hits[place], ranks[place]) for place in some]
                share = (some + 1) / len(order)
                panel.fill_between(share, *zip(*bounds, strict=True), color=BLUE, alpha=0.18, lw=0)
                panel.plot(ranks / len(order), hits / ranks, color=BLUE)
            panel.axhline(t.target, color=SOFT, linestyle="--", linewidth=1)
            if t.confidence is not None:
                spread = [[t.accuracy - t.low], [t.high - t.accuracy]]
                panel.errorbar(
                    t.settled / t.galaxies, t.accuracy, spread, fmt="o", color=VERMILION, markersize=4
                )
            panel.set(title=f"{t.question} (n = {t.galaxies:,})", xlim=(0, 1.02), ylim=(0, 1.03))
        for panel in panels[len(thresholds) :]:
            panel.set_visible(False)
        figure.supxlabel("share settled", fontsize=9)
        figure.supylabel("accuracy", fontsize=9)
    return figure
