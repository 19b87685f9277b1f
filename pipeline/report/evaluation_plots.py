"""The figures of an evaluation."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import matplotlib.figure
import matplotlib.lines
import numpy as np
from matplotlib.axes import Axes

from pipeline.evaluation import QuestionResult, ReliabilityBin, Results, UncertaintyResults
from pipeline.evaluation.proportion import proportion_interval
from pipeline.report.palette import BLUE, ORANGE, PANEL, SEQUENTIAL, SOFT, VERMILION, plot_style

_COLUMNS = 4
_PANEL_INCHES = (2.45, 2.35)
_DARK, _LIGHT = "#000000", "#fffffe"
"""Ink on cells of a map, whose colours don't follow the page's theme."""


def rmse_of_answers(results: Results) -> matplotlib.figure.Figure:
    """RMSE of every answer with its interval, beside that of its mean."""
    tree = results.tree
    with plot_style():
        figure = matplotlib.figure.Figure((8.2, 0.21 * tree.answer_count + 1.1))
        axes = figure.subplots()
        y = np.arange(tree.answer_count)
        scores = results.answers
        axes.hlines(y, [s.low for s in scores], [s.high for s in scores], color=BLUE, linewidth=3, alpha=0.45)
        axes.plot([s.rmse for s in scores], y, "o", color=BLUE, markersize=4, label="this catalogue")
        axes.plot(
            results.constant_answers, y, "|", color=VERMILION, markersize=8, label="mean vote, a constant"
        )
        names = [f"{q.key}: {a.text}".replace("_", " ") for q in tree.questions for a in q.answers]
        axes.set_yticks(y, names)
        for question in tree.questions[1:]:
            axes.axhline(tree.slices[question.key].start - 0.5, color=SOFT, linewidth=0.5)
        axes.set_ylim(tree.answer_count - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("root mean squared error; bars are 95 % intervals")
        axes.legend(loc="lower right")
    return figure


def accuracy_panels(results: Results) -> matplotlib.figure.Figure:
    """Accuracy against the volunteers' agreement and the model's confidence, a panel each question."""

    def draw(axes: Axes, result: QuestionResult) -> None:
        chance = 1 / len(result.question.answers)
        axes.axhline(1.0, color=SOFT, linewidth=0.8, linestyle=":")
        axes.axhline(chance, color=SOFT, linewidth=0.8, linestyle="--")
        for bins, color, marker in ((result.by_agreement, BLUE, "o"), (result.by_confidence, VERMILION, "s")):
            axes.plot(
                [b.mean for b in bins], [b.accuracy for b in bins], color=color, marker=marker, markersize=3
            )
            _spread(axes, [(b.mean, b.accuracy, b.galaxies) for b in bins], color)
        axes.set_ylim(0, 1.06)

    labels = ("agreement or confidence, 1 − H(p) / log n", "accuracy")
    entries = [
        ("volunteers’ agreement", {"color": BLUE, "marker": "o", "markersize": 3}),
        ("model’s confidence", {"color": VERMILION, "marker": "s", "markersize": 3}),
        ("chance", {"color": SOFT, "linewidth": 0.8, "linestyle": "--"}),
        ("100 %", {"color": SOFT, "linewidth": 0.8, "linestyle": ":"}),
    ]
    return _panels(results, draw, labels, entries)


def reliability_panels(results: Results) -> matplotlib.figure.Figure:
    """Reliability diagrams, a panel each question."""

    def draw(axes: Axes, result: QuestionResult) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle="--")
        _curve(axes, result.reliability, BLUE, "o")
        _curve(axes, result.shares, ORANGE, "^")
        axes.set_ylim(0, 1.06)

    labels = ("probability of the predicted answer", "outcome")
    entries = [
        ("most volunteers gave it", {"color": BLUE, "marker": "o", "markersize": 3}),
        ("share of volunteers that gave it", {"color": ORANGE, "marker": "^", "markersize": 3}),
        ("perfect", {"color": SOFT, "linewidth": 0.8, "linestyle": "--"}),
    ]
    return _panels(results, draw, labels, entries)


def _curve(axes: Axes, bins: Sequence[ReliabilityBin], color: str, marker: str) -> None:
    x, y = [b.probability for b in bins], [b.outcome for b in bins]
    most = max((b.galaxies for b in bins), default=1)
    axes.plot(x, y, color=color)
    _spread(axes, [(b.probability, b.outcome, b.galaxies) for b in bins], color)
    axes.scatter(x, y, [4 + 26 * b.galaxies / most for b in bins], color=color, marker=marker)


def _spread(axes: Axes, points: Sequence[tuple[float, float, int]], color: str) -> None:
    """Bars that hold 95 %: a share of few galaxies may be far from what it seems."""
    for x, share, galaxies in points:
        low, high = proportion_interval(share * galaxies, galaxies)
        axes.vlines(x, low, high, color=color, linewidth=0.8, alpha=0.45)


def pit_panels(results: Results, uncertainty: UncertaintyResults) -> matplotlib.figure.Figure:
    """Histograms of the probability integral transform, a panel each question."""
    places = {result.question.key: place for place, result in enumerate(results.questions)}

    def draw(axes: Axes, result: QuestionResult) -> None:
        density = uncertainty.questions[places[result.question.key]].pit
        edges = np.linspace(0, 1, len(density) + 1)
        axes.bar(
            edges[:-1], density, np.diff(edges), align="edge", color=BLUE, edgecolor=PANEL, linewidth=0.8
        )
        axes.axhline(1.0, color=SOFT, linewidth=0.8, linestyle="--")
        axes.set_ylim(0, max(2.0, 1.1 * max(density)))

    labels = ("predicted probability of a smaller share", "density of votes")
    entries = [
        ("votes", {"color": BLUE, "linewidth": 6}),
        ("perfect", {"color": SOFT, "linewidth": 0.8, "linestyle": "--"}),
    ]
    return _panels(results, draw, labels, entries)


def confusion_panels(results: Results) -> matplotlib.figure.Figure:
    """Confusion matrices, each row divided by its sum, a panel each question; figures are galaxies."""
    with plot_style():
        figure, panels = _grid(len(results.questions), (2.95, 2.75))
        for number, (axes, result) in enumerate(zip(panels, results.questions, strict=False), start=1):
            matrix = result.matrix if result.matrix[:, -1].any() else result.matrix[:, :-1]
            shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
            axes.pcolormesh(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, edgecolors=PANEL, linewidth=0.8)
            for (row, column), count in np.ndenumerate(matrix):
                ink = _DARK if shares[row, column] > 0.55 else _LIGHT
                axes.text(
                    column + 0.5, row + 0.5, f"{count:,}", ha="center", va="center", fontsize=7, color=ink
                )
            texts = [textwrap.shorten(a.text, 15, placeholder="…") for a in result.question.answers]
            named = [*texts, "none"][: matrix.shape[1]]
            axes.set_xticks(
                np.arange(len(named)) + 0.5, named, rotation=40, ha="right", rotation_mode="anchor"
            )
            axes.set_yticks(np.arange(len(texts)) + 0.5, texts)
            axes.invert_yaxis()
            axes.tick_params(labelsize=7, length=0)
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
            axes.set_title(_title(number, result))
        figure.supxlabel("predicted", fontsize=9, color=SOFT)
        figure.supylabel("most volunteers", fontsize=9, color=SOFT)
    return figure


def _panels(
    results: Results,
    draw: Callable[[Axes, QuestionResult], None],
    labels: tuple[str, str],
    entries: Sequence[tuple[str, dict[str, object]]],
) -> matplotlib.figure.Figure:
    with plot_style():
        figure, panels = _grid(len(results.questions), _PANEL_INCHES)
        for number, (axes, result) in enumerate(zip(panels, results.questions, strict=False), start=1):
            axes.set_title(_title(number, result))
            axes.set_xlim(-0.03, 1.03)
            if len(result.asked):
                draw(axes, result)
            else:
                axes.text(0.5, 0.5, "no galaxies", ha="center", color=SOFT)
                axes.set_ylim(0, 1.06)
        lines = [matplotlib.lines.Line2D([], [], **style) for _, style in entries]  # type: ignore[arg-type]
        names = [name for name, _ in entries]
        free = panels[len(results.questions) :]
        if free:
            free[0].legend(lines, names, loc="center left")
        else:
            figure.legend(lines, names, loc="outside lower center", ncols=len(names))
        figure.supxlabel(labels[0], fontsize=9, color=SOFT)
        figure.supylabel(labels[1], fontsize=9, color=SOFT)
    return figure


def _grid(count: int, inches: tuple[float, float]) -> tuple[matplotlib.figure.Figure, list[Axes]]:
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = matplotlib.figure.Figure((columns * inches[0], rows * inches[1] + 0.3))
    panels = list(np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel())
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels


def _title(number: int, result: QuestionResult) -> str:
    name = f"Q{number} {result.question.key.replace('_', ' ')}"
    if not len(result.asked):
        return f"{name}\nn = 0"
    return f"{name}\nn = {len(result.asked):,}, accuracy {100 * result.asked.accuracy:.1f} %"
