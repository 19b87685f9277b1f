"""What the page of a probe shows: how far to trust it, and galaxies that it is sure of and in doubt about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.figure
import numpy as np

from pipeline.report.document import Figure, Gallery, Picture, Section, Table
from pipeline.report.palette import BLUE, SOFT, VERMILION, plot_style
from pipeline.representations.probe import Probe
from pipeline.representations.probe_fitting import HeldOut

_BINS = 10
_MOST_CURVES = 6
_MOST_GALLERIES = 8


@dataclass(frozen=True)
class ProbeGalleries:
    """Galaxies to show.

    Attributes
    ----------
    surest
        Of each class ids and probabilities, the most probable first.
    doubtful
        Ids of those whose two most probable classes are nearest to each other.
    pictures
        By id, as far as they can be read.
    """

    surest: Sequence[tuple[Sequence[str], Sequence[float]]]
    doubtful: Sequence[str]
    pictures: Mapping[str, bytes]


def probe_sections(probe: Probe, held_out: HeldOut, galleries: ProbeGalleries) -> list[Section]:
    """Sections for `write_document`."""
    curve = [(p.labels, p.accuracy, p.accuracy_spread, p.auroc, p.auroc_spread) for p in held_out.curve]
    counts = np.bincount(held_out.targets.argmax(axis=1), minlength=len(probe.classes))
    labels = Table(
        "labels",
        "Labels by class, and what the map says of the same galaxies when they are held out.",
        ("class", "labels", "expected by the map"),
        [
            (name, int(count), float(share))
            for name, count, share in zip(
                probe.classes, counts, held_out.probabilities.sum(axis=0), strict=True
            )
        ],
    )
    trust = Section(
        "How far to trust it",
        "Everything here is of labelled galaxies that were held out. Left: galaxies of a class that are "
        "found, against others that are taken for it, as the threshold is lowered. Right: of galaxies with "
        "about one probability, the share that is of the class; on the line they mean what they say.",
        [Figure("trust", "ROC curve and reliability.", _trust(probe, held_out)), labels],
    )
    sections = [trust]
    if curve:
        columns = ("labels", "accuracy", "its spread", "AUROC", "its spread over draws")
        text = (
            "Maps that learnt from fewer of the labels, each scored on the labelled galaxies left over: mean "
            "and standard deviation over five draws. Where the curve still rises, more labels help."
        )
        parts: list[Figure | Table] = [
            Figure("curve", "Score by number of labels.", _curve(held_out)),
            Table("curve", "The same as numbers.", columns, curve),
        ]
        sections.append(Section("By number of labels", text, parts))
    return [*sections, *_galleries(probe, galleries)]


def _galleries(probe: Probe, galleries: ProbeGalleries) -> list[Section]:
    if not galleries.pictures:
        return [Section("Galaxies", "No cutout could be read where the catalogue says that it was.", [])]
    sure = [
        Gallery(f"The most probable “{name}”.", _pictures(galleries, ids, [f"{v:.3f}" for v in values]))
        for name, (ids, values) in list(zip(probe.classes, galleries.surest, strict=True))[:_MOST_GALLERIES]
    ]
    doubtful = _pictures(galleries, galleries.doubtful, [""] * len(galleries.doubtful))
    if probe.is_yes_or_no:
        sure = sure[::-1]
    return [
        Section("Surest", "Of the whole catalogue, with the probability of the class.", sure),
        Section(
            "Most doubtful",
            "Galaxies of the whole catalogue whose two most probable classes are about equal: labels of "
            "these teach most.",
            [Gallery("Label these next.", doubtful)],
        ),
    ]


def _pictures(galleries: ProbeGalleries, ids: Sequence[str], texts: Sequence[str]) -> list[Picture]:
    return [
        Picture(name, galleries.pictures[name], text)
        for name, text in zip(ids, texts, strict=True)
        if name in galleries.pictures
    ]


def _trust(probe: Probe, held_out: HeldOut) -> matplotlib.figure.Figure:
    shown = [1] if len(probe.classes) == 2 else range(min(len(probe.classes), _MOST_CURVES))
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(9, 3.8))
        roc, reliability = figure.subplots(1, 2)
        for axes in (roc, reliability):
            axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
            axes.set(xlim=(0, 1.01), ylim=(0, 1.01))
        for index in shown:
            roc.plot(*held_out.roc(index), label=probe.classes[index])
            reliability.plot(*_reliability(held_out, index), marker="o", markersize=4)
        roc.set(xlabel="share of the others", ylabel="share of the class found")
        reliability.set(xlabel="probability", ylabel="share of the class")
        if len(probe.classes) > 2:
            roc.legend()
    return figure


def _reliability(held_out: HeldOut, index: int) -> tuple[list[float], list[float]]:
    """Mean probability and share of the class in bins of equally many galaxies."""
    predicted, true = held_out.probabilities[:, index], held_out.targets[:, index]
    bins = np.array_split(np.argsort(predicted, kind="stable"), min(_BINS, max(2, len(predicted) // 20)))
    return [float(predicted[rows].mean()) for rows in bins], [float(true[rows].mean()) for rows in bins]


def _curve(held_out: HeldOut) -> matplotlib.figure.Figure:
    counts = [point.labels for point in held_out.curve]
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(9, 3.6))
        panels = figure.subplots(1, 2)
        for axes, name, color in zip(panels, ("accuracy", "auroc"), (BLUE, VERMILION), strict=True):
            means = [getattr(point, name) for point in held_out.curve]
            spreads = [getattr(point, f"{name}_spread") for point in held_out.curve]
            axes.errorbar(counts, means, spreads, color=color, marker="o", markersize=4, capsize=3)
            axes.set(xscale="log", xlabel="labels", ylabel={"auroc": "AUROC"}.get(name, name))
            axes.set_xticks(counts, [f"{count:,}" for count in counts])
            axes.minorticks_off()
    return figure
