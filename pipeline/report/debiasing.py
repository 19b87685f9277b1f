"""What the page of a correction for distance shows: shares by redshift, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import matplotlib.lines
import numpy as np

from pipeline.report.document import Figure, Section, Table
from pipeline.report.palette import SERIES, SOFT, plot_style
from pipeline.tree import DecisionTree
from pipeline.volunteers.debiasing.trends import Trend

_COLUMNS = 4

_LIMITS = (
    "Galaxies of one brightness and size are taken to be of the same mix of kinds at any redshift. Where "
    "they truly change with it, as over a large range of redshifts, that is taken away with the bias.\n\n"
    "A correction is right for many galaxies together. Of one galaxy it says what galaxies like it look like "
    "from near by, not what this one does: an arm that nobody could see can’t be put back, and a share of 0 "
    "stays 0.\n\n"
    "Where few galaxies of the same brightness and size are near, the correction is drawn out from others; "
    "a redshift from colours, an apparent magnitude without K-correction, or a size that the seeing limits, "
    "move a galaxy to the wrong neighbours."
)


def debiasing_sections(
    tree: DecisionTree,
    trends: Sequence[Trend],
    learnt_from: Mapping[str, int],
    shares_corrected: Sequence[float],
) -> list[Section]:
    """Sections for `write_document`.

    Parameters
    ----------
    learnt_from
        By question how many galaxies.
    shares_corrected
        Of each question the share of all galaxies that there was something to correct by.
    """
    rows = []
    for trend, corrected in zip(trends, shares_corrected, strict=True):
        before, after = trend.spread
        rows.append(
            [trend.question, learnt_from[trend.question], float(corrected), trend.galaxies, before, after]
        )
    table = Table(
        "debiasing",
        "Spread is how far the mean share of an answer differs at most between redshifts, of galaxies so "
        "bright that they are seen at all of them.",
        ["question", "learnt from", "corrected", "compared", "spread before", "spread after"],
        rows,
    )
    shown = [trend for trend in trends if len(trend.redshift)]
    parts: list[Figure | Table] = [table]
    if shown:
        caption = (
            "Mean shares against redshift, of galaxies so bright that they are seen at all redshifts shown: "
            "as they were (dashed) and corrected (lines). If galaxies don’t change, lines are level."
        )
        parts.insert(0, Figure("trends", caption, _trends(tree, shown)))
    text = (
        "Of two equal galaxies the farther one looks smaller and fainter, and fewer people see what it has. "
        "Questions are learnt from galaxies that at least half of all people would be asked them of."
    )
    limits: list[Figure] = []
    if shown:
        caption = "Share of the galaxies that there was something to correct by, against redshift."
        limits = [Figure("coverage", caption, _coverage(shown))]
    return [Section("Before and after", text, parts), Section("Where not to trust it", _LIMITS, limits)]


def _trends(tree: DecisionTree, trends: Sequence[Trend]) -> matplotlib.figure.Figure:
    questions = {question.key: question for question in tree.questions}
    lines = -(-len(trends) // _COLUMNS)
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(11, 2.8 * lines))
        panels = figure.subplots(lines, _COLUMNS, sharey=True, squeeze=False).ravel()
        for panel, trend in zip(panels, trends, strict=False):
            for number, answer in enumerate(questions[trend.question].answers):
                color = SERIES[number % len(SERIES)]
                panel.plot(trend.redshift, trend.before[:, number], color=color, linestyle="--", linewidth=1)
                panel.plot(trend.redshift, trend.after[:, number], color=color, label=answer.text)
            panel.set(title=f"{trend.question.replace('_', ' ')} (n = {trend.galaxies:,})", ylim=(0, 1.02))
            columns = 2 if len(questions[trend.question].answers) > 3 else 1
            panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, fontsize=7)
        for panel in panels[len(trends) :]:
            panel.set_visible(False)
        figure.supxlabel("redshift", fontsize=9, color=SOFT)
        figure.supylabel("mean share", fontsize=9, color=SOFT)
    return figure


def _coverage(trends: Sequence[Trend]) -> matplotlib.figure.Figure:
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(7, 3.2))
        axes = figure.subplots()
        styles = ("-", "--", ":")
        for number, trend in enumerate(trends):
            axes.plot(
                trend.redshift,
                trend.corrected,
                color=SERIES[number % len(SERIES)],
                linestyle=styles[number // len(SERIES) % len(styles)],
                label=trend.question.replace("_", " "),
            )
        axes.set(xlabel="redshift", ylabel="share corrected", ylim=(0, 1.03))
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def mean_spread(trends: Sequence[Trend]) -> tuple[float, float]:
    """Spreads before and after, averaged over the questions that have any."""
    spreads = np.array([trend.spread for trend in trends if len(trend.redshift)])
    return tuple(map(float, spreads.mean(axis=0))) if len(spreads) else (np.nan, np.nan)  # type: ignore[return-value]
