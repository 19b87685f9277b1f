"""Figures of what a network looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.report.palette import INK, SEQUENTIAL, plot_style

_WIDTH = 7.2
_IN_A_ROW = 4
_DIVERGING = "PuOr_r"
"""From less over nothing to more, for colour-blind readers too (ColorBrewer)."""


def filters_figure(filters: NDArray[np.float32]) -> Figure:
    """A figure of filters (n, kernel, kernel, 3) in [0, 1], one beside the other."""
    columns = min(len(filters), 16)
    rows = math.ceil(len(filters) / columns)
    with plot_style():
        figure = Figure(figsize=(_WIDTH, _WIDTH * rows / columns))
        for place, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
            axes.axis("off")
            if place < len(filters):
                axes.imshow(filters[place], interpolation="nearest")
    return figure


def activation_maps(viewpoint: NDArray[np.float32] | None, maps: NDArray[np.float32]) -> Figure:
    """A figure of maps (n, size, size) as a mosaic, beside the viewpoint (3, size, size) they are of."""
    picture = mosaic(maps)
    rows = picture.shape[0] / picture.shape[1]
    with plot_style():
        side = 1.5 if viewpoint is not None else 0.0
        figure = Figure(figsize=(_WIDTH, (_WIDTH - side - 0.6) * rows + 0.1))
        widths = [side, _WIDTH - side - 0.6] if side else [1.0]
        panels = list(np.ravel(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)))
        if viewpoint is not None:
            panels[0].imshow(np.moveaxis(viewpoint, 0, -1).clip(0, 1), interpolation="nearest")
            panels[0].set_title("viewpoint")
        shown = panels[-1].imshow(picture, cmap=SEQUENTIAL, interpolation="nearest", vmin=0)
        for axes in panels:
            axes.axis("off")
        figure.colorbar(shown, ax=panels[-1], fraction=0.03, pad=0.01, aspect=30).outline.set_visible(False)
    return figure


def mosaic(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (n, size, size) as tiles of one picture, NaN between them."""
    count, size = maps.shape[:2]
    columns = min(count, 16 if count > 32 else 8)
    rows, step = math.ceil(count / columns), size + max(1, size // 10)
    picture = np.full((rows * step - (step - size), columns * step - (step - size)), np.nan, np.float32)
    for place, tile in enumerate(maps):
        y, x = divmod(place, columns)
        picture[y * step : y * step + size, x * step : x * step + size] = tile
    return picture


def dense_strips(vectors: Mapping[str, NDArray[np.float32]]) -> Figure:
    """A figure of dense layers: the activations of each as rows of cells."""
    folded = {name: _folded(values) for name, values in vectors.items()}
    heights = [max(len(picture), 1.5) for picture in folded.values()]
    with plot_style():
        figure = Figure(figsize=(_WIDTH, 0.12 * sum(heights) + 0.35 * len(heights)))
        panels = np.ravel(figure.subplots(len(folded), 1, height_ratios=heights, squeeze=False))
        for axes, (name, picture) in zip(panels, folded.items(), strict=True):
            shown = axes.imshow(picture, cmap=SEQUENTIAL, interpolation="nearest", aspect="auto")
            axes.set_title(f"{name} ({len(vectors[name])})", loc="left")
            axes.axis("off")
            figure.colorbar(shown, ax=axes, fraction=0.02, pad=0.01).outline.set_visible(False)
    return figure


def _folded(values: NDArray[np.float32], width: int = 64) -> NDArray[np.float32]:
    columns = min(width, len(values))
    rows = math.ceil(len(values) / columns)
    cells = np.full(rows * columns, np.nan, np.float32)
    cells[: len(values)] = values
    return cells.reshape(rows, columns)


def occlusion_figure(
    galaxies: Sequence[tuple[str, NDArray[np.uint8], NDArray[np.float32] | None, float]],
    answers: Sequence[str],
    patch: float,
    most: float,
) -> Figure:
    """At most four galaxies above their occlusion maps.

    Parameters
    ----------
    galaxies
        Of each its id, picture, occlusion map and the answer's probability.
    patch
        Width of what is covered, as a part of the picture's.
    most
        Change of the probability at the ends of the colour scale.
    """
    with plot_style():
        figure = Figure(figsize=(_WIDTH, 2 * (_WIDTH - 0.7) / _IN_A_ROW + 0.4))
        panels = figure.subplots(2, _IN_A_ROW, squeeze=False)
        shown: Any = None
        for axes in np.ravel(panels):
            axes.axis("off")
        for column, ((name, picture, drop, probability), answer) in enumerate(
            zip(galaxies, answers, strict=True)
        ):
            above, below = panels[:, column]
            above.imshow(picture)
            above.set_title(f"{name}\n{answer}: {probability:.0%}", fontsize=7)
            if drop is None:
                continue
            side = picture.shape[0]
            norm = TwoSlopeNorm(0.0, -100 * most, 100 * most)
            # Places lie a sixteenth of the picture apart, the middle one in its middle.
            edge = side / 2 - len(drop) / 32 * side, side / 2 + len(drop) / 32 * side
            below.imshow(np.full_like(picture, 255))
            shown = below.imshow(
                100 * drop,
                cmap=_DIVERGING,
                norm=norm,
                extent=(edge[0], edge[1], edge[1], edge[0]),
                interpolation="bilinear",
            )
            below.contour(
                picture.mean(axis=2), levels=_levels(picture), colors=INK, linewidths=0.4, alpha=0.6
            )
            below.set(xlim=(0, side), ylim=(side, 0))
            width = patch * side
            below.add_patch(Rectangle((2, side - width - 2), width, width, fill=False, edgecolor=INK, lw=0.7))
        if shown is not None:
            bar = figure.colorbar(shown, ax=panels[1, :], fraction=0.02, pad=0.01)
            bar.set_label("fall (points)", fontsize=7)
            bar.outline.set_visible(False)
    return figure


def _levels(picture: NDArray[np.uint8]) -> list[float]:
    """Two isophotes: the picture's faint and bright parts."""
    grey = picture.mean(axis=2)
    low, high = float(np.median(grey)), float(grey.max())
    return [low + part * (high - low) for part in (0.2, 0.6)] if high > low + 1 else [high + 1]
