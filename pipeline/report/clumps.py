"""Clumps as a page: galaxies with their clumps ringed, how bright these are, and how many are missed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.figure
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.catalogue.clumps import CRITERIA
from pipeline.report.document import Figure, Gallery, Picture, Section, Table
from pipeline.report.palette import BLUE, ORANGE, SKY, SOFT, VERMILION, YELLOW, plot_style
from pipeline.report.thumbnails import thumbnail

_SIDE = 320
_LEAST_RING = 7.0
_EDGES = np.geomspace(0.001, 1.0, 25)


@dataclass
class ClumpCounts:
    """How many there are in a catalogue.

    Attributes
    ----------
    galaxies, clumpy
        Galaxies, and those with clumps.
    ratios
        How many clumps have each flux ratio in blue, by the edges of the page's histogram.
    above
        How many meet each of the criteria, by its name.
    """

    galaxies: int = 0
    clumpy: int = 0
    clumps: int = 0
    ratios: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_EDGES) - 1, np.int64))
    above: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CRITERIA, 0))

    def add(self, clumps: Sequence[NDArray[np.void]]) -> None:
        """Count some galaxies."""
        blue = np.concatenate([np.zeros(0, np.float32), *(one["flux_ratio_blue"] for one in clumps)])
        self.galaxies += len(clumps)
        self.clumpy += sum(len(one) > 0 for one in clumps)
        self.clumps += len(blue)
        self.ratios += np.histogram(np.clip(blue, _EDGES[0], _EDGES[-1]), _EDGES)[0]
        for name, least in CRITERIA.items():
            self.above[name] += int((blue >= least).sum())


@dataclass(frozen=True)
class ClumpyGalaxy:
    """A galaxy to be shown: its cutout, a row of `CUTOUT_SCHEMA`, and its clumps."""

    object_id: str
    cutout: Mapping[str, Any] | None
    clumps: NDArray[np.void]


def clump_sections(
    counts: ClumpCounts, shown: Sequence[ClumpyGalaxy], score: Mapping[str, Any]
) -> list[Section]:
    """Sections for `write_document`.

    Parameters
    ----------
    score
        What the detector's card says of galaxies held out: ``galaxies, match_radius, bins``.
    """
    pictures = [
        Picture(galaxy.object_id, picture, _text(galaxy.clumps))
        for galaxy in shown
        if (picture := ringed(galaxy)) is not None
    ]
    sections = []
    if pictures:
        sections.append(
            Section(
                "Galaxies",
                "Those with most clumps first. Yellow rings: at least 8 % of the galaxy’s blue light; blue: "
                "at least 3 %; grey: fainter.",
                [Gallery("Galaxies with their clumps", pictures)],
            )
        )
    caption = "Clumps by their flux over the galaxy’s, in blue light"
    bright = Figure.of_both_widths("flux-ratios", caption, lambda width: _histogram(counts, width))
    sections.append(Section("How bright they are", "", [bright]))
    if score.get("bins"):
        sections.append(_completeness_section(score))
    return sections


def ringed(galaxy: ClumpyGalaxy) -> bytes | None:
    """A galaxy with a ring about each clump, WebP; None if its picture can't be read.

    Of the galaxy's frame it shows the middle that has all clumps, and no less than two fifths of its width.
    """
    cutout = galaxy.cutout
    if cutout is None:
        return None
    try:
        with Image.open(io.BytesIO(cutout["image"])) as original:
            width, height = original.size
    except (OSError, TypeError, ValueError):
        return None
    frame = float(cutout["frame_pixels"] or max(width, height))
    x, y = cutout["center_x"], cutout["center_y"]
    middle = ((width - 1) / 2, (height - 1) / 2) if x is None or y is None else (x, y)
    places = np.stack([galaxy.clumps["x"] - middle[0], galaxy.clumps["y"] - middle[1]], axis=1)
    reach = float(np.max(np.abs(places) + galaxy.clumps["width"][:, None], initial=0.0))
    shown = min(max(2 * reach, 0.4 * frame), frame)
    data = thumbnail({**cutout, "frame_pixels": shown}, _SIDE)
    if data is None:
        return None
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    drawing, scale = ImageDraw.Draw(image), _SIDE / shown
    for clump, (across, down) in zip(galaxy.clumps[::-1], (places[::-1] + shown / 2) * scale, strict=True):
        radius = max(_LEAST_RING, float(clump["width"]) * scale / 2)
        box = (across - radius, down - radius, across + radius, down + radius)
        drawing.ellipse(box, outline=_color(float(clump["flux_ratio_blue"])), width=2)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=84)
    return stream.getvalue()


def _color(ratio: float) -> str:
    if ratio >= CRITERIA["strict"]:
        return YELLOW
    return SKY if ratio >= CRITERIA["relaxed"] else "#8a8f9a"


def _text(clumps: NDArray[np.void]) -> str:
    number = "1 clump" if len(clumps) == 1 else f"{len(clumps)} clumps"
    return f"{number}, the brightest {clumps['flux_ratio_blue'].max():.1%}"


def _histogram(counts: ClumpCounts, width: float) -> matplotlib.figure.Figure:
    with plot_style():
        figure = matplotlib.figure.Figure((width, 2.6))
        axes = figure.subplots()
        axes.bar(_EDGES[:-1], counts.ratios, np.diff(_EDGES), align="edge", color=BLUE)
        for least, color in zip(CRITERIA.values(), (ORANGE, VERMILION), strict=True):
            axes.axvline(least, color=color, linewidth=1, label=f"{least:.0%}")
        axes.set_xscale("log")
        axes.set_xlabel("flux ratio, blue")
        axes.set_ylabel("clumps")
        axes.legend()
    return figure


def _completeness_section(score: Mapping[str, Any]) -> Section:
    bins, marked = score["bins"], score.get("marked")
    columns = ("least", "most", "completeness", "purity")
    real = (
        f" Of clumps that people marked in {marked['galaxies']} real galaxies, which it wasn’t trained on, "
        f"{marked['completeness']:.0%} are found, and {marked['purity']:.0%} of what is found is marked."
        if marked
        else ""
    )

    def draw(width: float) -> matplotlib.figure.Figure:
        with plot_style():
            figure = matplotlib.figure.Figure((width, 2.6))
            axes = figure.subplots()
            middle = [(row["least"] * row["most"]) ** 0.5 for row in bins]
            for name, color, marker in (("completeness", BLUE, "o"), ("purity", VERMILION, "s")):
                values = [np.nan if row[name] is None else row[name] for row in bins]
                axes.plot(middle, values, color=color, marker=marker, markersize=4, label=name)
            for least in CRITERIA.values():
                axes.axvline(least, color=SOFT, linewidth=0.8, linestyle=":")
            axes.set_xscale("log")
            axes.set_ylim(0, 1.05)
            axes.set_xlabel("flux ratio, blue: injected, and as measured")
            axes.set_ylabel("share")
            axes.legend(loc="lower right")
        return figure

    return Section(
        "How many are found, and how many are real",
        f"Measured on {score['galaxies']:,} galaxies that the detector wasn’t trained on, with clumps "
        "injected; "
        f"what is found within {score['match_radius']:g} frame pixels of one matches it. Completeness is the "
        "share of the injected clumps that is found, purity the share of what is found that is one; near a "
        f"galaxy’s own blue knots, of which nobody knows if they are clumps, nothing is counted.{real}",
        [
            Figure.of_both_widths("completeness", "Completeness and purity against flux ratio", draw),
            Table(
                "completeness",
                "Completeness and purity against flux ratio",
                columns,
                [[row[name] for name in columns] for row in bins],
            ),
        ],
    )
