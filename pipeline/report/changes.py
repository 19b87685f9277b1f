"""What changed between two catalogues of the same sky, gathered in bounded memory, as parts of a page."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure as Plot

from pipeline.cutouts.table import conform
from pipeline.evaluation.changes import Changes
from pipeline.evaluation.drift import COARSE, Drift, Shift
from pipeline.report.document import Figure, Gallery, Picture, Section, Table
from pipeline.report.palette import BLUE, VERMILION, plot_style
from pipeline.report.thumbnails import thumbnail
from pipeline.tree import DecisionTree

_PANELS = 6
_SIDE = 128


def change_sections(tree: DecisionTree, changes: Changes, cutouts: pa.Table) -> list[Section]:
    """The parts of a page.

    Parameters
    ----------
    cutouts
        Of the galaxies in ``changes.moved``, as far as they can be read.
    """
    drift, shifts = changes.drift, changes.drift.shifts()
    sections = [
        Section(
            "What became of the galaxies",
            "Answers are compared of galaxies that both catalogues hold and neither marks stale.",
            [
                Table(
                    "galaxies",
                    "Galaxies by what became of them.",
                    ("galaxies", "count"),
                    list(changes.fates.items()),
                )
            ],
        )
    ]
    if not drift.galaxies:
        return sections
    sections.append(
        Section(
            "Classes",
            f"{drift.changed_class:,} of {drift.galaxies:,} galaxies are of another class now.",
            [_class_table(tree, drift)],
        )
    )
    if len(changes.moved):
        sections.append(_gallery(tree, changes, cutouts))
    sections.append(
        Section(
            "Answers",
            "The Kolmogorov–Smirnov distance (Massey 1951) is the most by which the shares of galaxies below "
            "any probability differ; the Jensen–Shannon distance (Lin 1991; Endres & Schindelin 2003) is "
            f"taken over {COARSE} equal bins. Both are 0 where nothing moved and 1 where all did.",
            [_distributions(drift, shifts), _shift_table(shifts)],
        )
    )
    return sections


def _class_table(tree: DecisionTree, drift: Drift) -> Table:
    names = [*(named.name for named in tree.classes), "No class"]
    rows = [(name, *counts, sum(counts)) for name, counts in zip(names, drift.classes.tolist(), strict=True)]
    rows.append(("all", *drift.classes.sum(axis=0).tolist(), drift.galaxies))
    caption = "Galaxies by class before (row) and after (column)."
    return Table("classes", caption, ("before", *names, "all"), rows)


def _shift_table(shifts: list[Shift]) -> Table:
    furthest_first = sorted(shifts, key=lambda shift: -shift.kolmogorov_smirnov)
    rows = [
        (s.column, s.before, s.after, s.difference, s.kolmogorov_smirnov, s.jensen_shannon)
        for s in furthest_first
    ]
    return Table(
        "answers",
        "Probability of each answer, all volunteers counted.",
        ("answer", "mean before", "mean after", "difference", "Kolmogorov–Smirnov", "Jensen–Shannon"),
        rows,
    )


def _distributions(drift: Drift, shifts: list[Shift]) -> Figure:
    most = sorted(shifts, key=lambda shift: -shift.kolmogorov_smirnov)[:_PANELS]
    edges = np.linspace(0, 1, COARSE + 1)
    with plot_style():
        plot = Plot(figsize=(9, 4.6))
        for axes, shift in zip(plot.subplots(2, 3, sharex=True).flat, most, strict=False):
            counts = drift.histogram(shift.column) / drift.galaxies
            for share, color, label in zip(counts, (BLUE, VERMILION), ("before", "after"), strict=True):
                axes.stairs(share, edges, color=color, label=label, linewidth=1.6)
            axes.set_title(f"{shift.column} (K–S {shift.kolmogorov_smirnov:.3f})")
            axes.set_ylim(bottom=0)
        plot.axes[0].legend()
        plot.supxlabel("probability", fontsize=9)
        plot.supylabel("share of galaxies", fontsize=9)
    return Figure("answers", "The answers whose distributions moved most.", plot)


def _gallery(tree: DecisionTree, changes: Changes, cutouts: pa.Table) -> Section:
    names = [*(named.name for named in tree.classes), "no class"]
    images = {row["object_id"]: row for row in conform(cutouts).to_pylist()}
    pictures, rows = [], []
    for row in changes.moved.to_pylist():
        was, now = names[row["class_before"]], names[row["class_after"]]
        text = f"{was} ({row['sure_before']:.2f}) → {now} ({row['sure_after']:.2f})"
        rows.append((row["object_id"], was, row["sure_before"], now, row["sure_after"], row["moved"]))
        image = thumbnail(images.get(row["object_id"]), _SIDE)
        if image is not None:
            pictures.append(Picture(row["object_id"], image, text))
    columns = ("galaxy", "class before", "confidence before", "class after", "confidence after", "moved")
    caption = "Probability moved: the total variation distance at the question where it is largest."
    return Section(
        "Galaxies that changed class",
        f"The {len(rows):,} of {changes.drift.changed_class:,} whose probability moved most, with class and "
        "confidence before and after.",
        [Gallery("The cutouts as they are now.", pictures), Table("changed", caption, columns, rows)],
    )
