"""What the page of a discovery shows: the galaxies at the top, and how well a taste is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.figure
import numpy as np
from scipy.stats import spearmanr

from pipeline.report.document import Figure, Gallery, Picture, Section, Table
from pipeline.report.palette import BLUE, SOFT, plot_style
from pipeline.representations.ratings import Ratings
from pipeline.representations.taste import Taste


@dataclass(frozen=True)
class Shown:
    """Galaxies to show, each with its score, and pictures by id as far as they can be read."""

    ids: Sequence[str]
    scores: Sequence[float]
    pictures: Mapping[str, bytes]


def oddity_sections(shown: Shown) -> list[Section]:
    """Sections of a page about the oddest galaxies."""
    text = (
        "The score says how far a galaxy’s embedding is from the nearest of some that were drawn at random. "
        "What is shown are those of the oddest that differ most from each other: "
        "odd galaxies, stars, satellites’ trails and broken pictures alike. Say which of them interest you "
        "on the page rate.html beside this one."
    )
    return [Section("Odd ones", text, _parts(shown, {}))]


def taste_sections(shown: Shown, taste: Taste, rated: Ratings) -> list[Section]:
    """Sections of a page about the galaxies that a taste ranks first."""
    by_id = dict(zip(rated.ids, rated.values.tolist(), strict=True))
    correlation = float(spearmanr(taste.ratings, taste.left_out).statistic)
    known = (
        f"Each rating beside what the others let expect of it; their rank correlation (Spearman) is "
        f"{correlation:.2f}. Where it is near 0, the ratings follow nothing that the network sees, or are "
        "too few."
    )
    first = "The galaxies with the highest expected rating, those that were rated among them."
    return [
        Section("Most interesting", first, _parts(shown, by_id)),
        Section(
            "How well the taste is known",
            known,
            [Figure("taste", "Ratings, given and expected.", _plot(taste))],
        ),
    ]


def _parts(shown: Shown, rated: Mapping[str, float]) -> list[Gallery | Table]:
    pictures = [
        Picture(
            name,
            shown.pictures[name],
            f"{score:.2f}" + (f", rated {rated[name]:g}" if name in rated else ""),
        )
        for name, score in zip(shown.ids, shown.scores, strict=True)
        if name in shown.pictures
    ]
    rows = [(name, score, rated.get(name)) for name, score in zip(shown.ids, shown.scores, strict=True)]
    table = Table("shown", "The same as a table.", ("galaxy", "score", "rating"), rows, shown=20)
    return [Gallery("With their scores.", pictures), table] if pictures else [table]


def _plot(taste: Taste) -> matplotlib.figure.Figure:
    jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(taste.ratings))
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(6, 4))
        axes = figure.subplots()
        axes.plot([0, 5], [0, 5], color=SOFT, linestyle="--", linewidth=1)
        axes.plot(taste.ratings + jitter, taste.left_out, "o", color=BLUE, markersize=4, alpha=0.6)
        axes.set(xlabel="rating", ylabel="expected from the others")
    return figure
