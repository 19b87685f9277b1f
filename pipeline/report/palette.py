"""Colours that colour-blind readers can tell apart, and the look of all figures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, YELLOW = "#cc79a7", "#56b4e9", "#f0e442"

SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, YELLOW)
"""Colours of curves, in the order of use: those that read on white and on black come first.

References
----------
Okabe & Ito 2008, Color universal design; https://jfly.uni-koeln.de/color.
"""

SEQUENTIAL = "cividis"
"""Colour map from little to much, made for colour-blind readers (Nuñez, Anderton & Renslow 2018)."""

INK, SOFT, LINE, PANEL = "#1b1d23", "#5a5e69", "#dedbd2", "#ffffff"
"""Text, less important text, grid lines and ground of a figure. In a page they follow its theme."""

THEMED = {INK: "var(--ink)", SOFT: "var(--soft)", LINE: "var(--line)", PANEL: "var(--panel)"}
"""The variable of the page's style that stands for each of these colours in a page."""

_LEAST_LIT = 0.2
"""Share of the colour map that is too near to the page's ground to be seen on it."""


def ramp(shades: int, *, dark: bool) -> list[str]:
    """Shades from little to much (``#rrggbb``), that grow away from a page's dark or light ground.

    Examples
    --------
    >>> ramp(3, dark=True)
    ['#35456c', '#948e77', '#fee838']
    """
    position = np.linspace(_LEAST_LIT, 1, shades) if dark else np.linspace(1 - _LEAST_LIT, 0, shades)
    return [mpl.colors.to_hex(color) for color in mpl.colormaps[SEQUENTIAL](position)]


_STYLE: Any = {
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 9,
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "figure.facecolor": PANEL,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "image.cmap": SEQUENTIAL,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "savefig.facecolor": PANEL,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": SOFT,
    "xtick.labelsize": 8,
    "ytick.color": SOFT,
    "ytick.labelsize": 8,
}


@contextlib.contextmanager
def plot_style() -> Iterator[None]:
    """Within this, figures get the look of the pages: make them here, as ``matplotlib.figure.Figure``."""
    with mpl.rc_context(_STYLE):
        yield
