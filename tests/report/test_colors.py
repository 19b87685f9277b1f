"""Classes can be told apart by readers who lack a kind of cone.

The simulation is Machado, Oliveira & Fernandes 2009 (IEEE TVCG 15, 1291) at full severity, in linear sRGB;
differences are CIEDE2000, where 1 is just noticeable side by side.
"""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from pipeline.report.palette import SERIES
from pipeline.report.templates import joined
from pipeline.tree import load_tree

LEAST = 10.0
MACHADO = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen_as(colors: list[str], kind: str) -> NDArray[np.float64]:
    """Colours ``#rrggbb`` as such a reader sees them, shape (n, 3), CIE Lab."""
    srgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(MACHADO[kind]).T, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def closest(colors: list[str], kind: str) -> float:
    lab = seen_as(colors, kind)
    return min(float(deltaE_ciede2000(a, b)) for a, b in combinations(lab, 2))


@pytest.mark.parametrize("kind", MACHADO)
def test_classes_differ_for_every_reader(kind: str) -> None:
    colors = [named.color for named in load_tree().classes]
    assert len(colors) == 8
    assert closest(colors, kind) >= LEAST


@pytest.mark.parametrize("kind", MACHADO)
def test_curves_differ_for_every_reader(kind: str) -> None:
    assert closest(list(SERIES), kind) >= LEAST


@pytest.mark.parametrize("kind", MACHADO)
@pytest.mark.parametrize("theme", [0, 1])
def test_votes_differ_from_answers_for_every_reader(kind: str, theme: int) -> None:
    names = dict(re.findall(r"--(accent|votes): light-dark\((#\w+, #\w+)\)", joined("base.css")))
    assert closest([names[name].split(", ")[theme] for name in ("accent", "votes")], kind) >= 4 * LEAST


def test_a_red_and_a_green_of_one_lightness_are_noticed() -> None:
    assert closest(["#b06060", "#708040"], "normal") > LEAST > closest(["#b06060", "#708040"], "deuteranopia")
