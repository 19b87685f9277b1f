"""The page that shows what a network looks at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.evaluation.ranking import RankedGalaxy
from pipeline.report.document import Figure, Gallery, Picture, Section, Table
from pipeline.report.explanation_plots import activation_maps, dense_strips, filters_figure, occlusion_figure
from pipeline.tree import DecisionTree

_IN_A_ROW = 4


@dataclass(frozen=True)
class Portrait:
    """A galaxy as the network sees it.

    Attributes
    ----------
    picture : ndarray, shape (side, side, 3), uint8
    probabilities : ndarray, shape (answers,)
    answer
        The most probable one of the first question.
    drop : ndarray, shape (places, places), or None
        By how much its probability falls where the picture is covered.
    """

    object_id: str
    picture: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    answer: int
    drop: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class UnitGalaxies:
    """The galaxies that excite one hidden unit of the last hidden layer most and least.

    Attributes
    ----------
    unit
        Number of the hidden unit, from 0.
    variance
        Variance of its activation over the survey.
    most, least
        The galaxies, the extreme ones first.
    """

    unit: int
    variance: float
    most: Sequence[RankedGalaxy]
    least: Sequence[RankedGalaxy]


@dataclass(frozen=True)
class Explanation:
    """All that the page shows.

    Attributes
    ----------
    filters : ndarray, shape (filters, kernel, kernel, 3)
        The first layer's filters, in [0, 1].
    layers
        Activations of `galaxy` from `viewpoint`, by layer: ``viewpoint`` (3, 45, 45), maps (filters, size,
        size) and vectors.
    hardest, easiest
        Galaxies by their RMSE; None without labels.
    patch, reach
        Width of the square that is covered, and half of a picture's width; in frame pixels.
    """

    tree: DecisionTree
    network: str
    filters: NDArray[np.float32]
    galaxy: str
    viewpoint: int
    layers: Mapping[str, NDArray[np.float32]]
    units: Sequence[UnitGalaxies]
    hardest: Sequence[RankedGalaxy] | None
    easiest: Sequence[RankedGalaxy] | None
    portraits: Mapping[str, Portrait]
    occluded: Sequence[str]
    patch: float
    reach: float


def explanation_sections(explanation: Explanation) -> list[Section]:
    """The page's sections, in the order of the paper's figures."""
    sections = [_filters(explanation), _activations(explanation), _units(explanation)]
    if explanation.hardest is not None and explanation.easiest is not None:
        sections.append(_hard_and_easy(explanation, explanation.hardest, explanation.easiest))
    return [*sections, _occlusion(explanation)]


def _filters(explanation: Explanation) -> Section:
    count, kernel = explanation.filters.shape[:2]
    caption = f"The {count} filters of the first layer, {kernel} × {kernel} pixels, each stretched by itself."
    return Section(
        "First-layer filters",
        "What the first convolution answers to: edges, spots, and differences of colour. The contrast of "
        "each filter is normalised, so that its pattern shows and its strength doesn't.",
        [Figure("filters", caption, filters_figure(explanation.filters))],
    )


def _activations(explanation: Explanation) -> Section:
    maps = {
        name: values
        for name, values in explanation.layers.items()
        if values.ndim == 3 and name != "viewpoint"
    }
    vectors = {name: values for name, values in explanation.layers.items() if values.ndim == 1}
    parts: list[Figure | Table | Gallery] = [
        Figure(
            name,
            f"{_title(name)}: {len(values)} maps of {values.shape[1]} × {values.shape[2]}, after ReLU and "
            "pooling, on one scale.",
            activation_maps(explanation.layers["viewpoint"] if i == 0 else None, values),
        )
        for i, (name, values) in enumerate(maps.items())
    ]
    caption = "The dense layers, which see all sixteen viewpoints, and the answers: one cell a unit."
    parts.append(Figure("dense_layers", caption, dense_strips({_title(n): v for n, v in vectors.items()})))
    whose = f"Of galaxy {explanation.galaxy} from viewpoint {explanation.viewpoint} of 0 to 15"
    return Section("Activations", f"{whose}, layer by layer. The viewpoint itself stands on the left.", parts)


def _units(explanation: Explanation) -> Section:
    parts: list[Figure | Table | Gallery] = []
    for galaxies in explanation.units:
        for what, places in (("most", galaxies.most), ("least", galaxies.least)):
            caption = f"Unit {galaxies.unit}: the galaxies that excite it {what}, with its activation."
            parts.append(Gallery(caption, _pictures(explanation, places, "{:.3g}")))
    rows = [
        (galaxies.unit, kind, number, place.object_id, place.value, place.shard, place.row)
        for galaxies in explanation.units
        for kind, places in (("most", galaxies.most), ("least", galaxies.least))
        for number, place in enumerate(places, 1)
    ]
    columns = ("unit", "excited", "rank", "object_id", "activation", "shard", "row")
    parts.append(Table("units", "The same as a table.", columns, rows))
    return Section(
        "Galaxies that excite units",
        "Of all galaxies of the survey, those that give the largest and the smallest activation of a unit of "
        "the last hidden layer, seen as they are. Ties go by object_id.",
        parts,
    )


def _hard_and_easy(
    explanation: Explanation, hardest: Sequence[RankedGalaxy], easiest: Sequence[RankedGalaxy]
) -> Section:
    rows = [
        (kind, number, place.object_id, place.value, place.shard, place.row)
        for kind, places in (("hardest", hardest), ("easiest", easiest))
        for number, place in enumerate(places, 1)
    ]
    columns = ("kind", "rank", "object_id", "rmse", "shard", "row")
    return Section(
        "Hardest and easiest galaxies",
        "Those whose answers are farthest from the volunteers' votes and nearest to them: the root mean "
        "squared error over the answers of one galaxy, from a single view.",
        [
            Gallery("Hardest, with their RMSE.", _pictures(explanation, hardest, "{:.3f}")),
            Gallery("Easiest, with their RMSE.", _pictures(explanation, easiest, "{:.3f}")),
            Table("errors", "The same as a table.", columns, rows),
        ],
    )


def _occlusion(explanation: Explanation) -> Section:
    shown = [explanation.portraits[name] for name in explanation.occluded if name in explanation.portraits]
    answers = [explanation.tree.columns[portrait.answer] for portrait in shown]
    named = [
        answer.removeprefix(f"{explanation.tree.questions[0].key}_").replace("_", " ") for answer in answers
    ]
    caption = (
        "Above the galaxy; below, by how many percentage points the probability of its answer falls when a "
        "square there is covered with the background (white: nothing changes; orange: it falls; purple: it "
        "rises). The square in the corner is what is covered."
    )
    most = max([0.01, *(float(np.abs(p.drop).max()) for p in shown if p.drop is not None)])
    figures = [
        Figure(
            f"occlusion_{start // _IN_A_ROW + 1}",
            caption,
            occlusion_figure(
                [(p.object_id, p.picture, p.drop, float(p.probabilities[p.answer])) for p in portraits],
                named[start : start + _IN_A_ROW],
                explanation.patch / (2 * explanation.reach),
                most,
            ),
        )
        for start in range(0, len(shown), _IN_A_ROW)
        for portraits in [shown[start : start + _IN_A_ROW]]
    ]
    rows = [
        (p.object_id, answer, float(p.probabilities[p.answer]), float(p.drop.max()), float(p.drop.min()))
        for p, answer in zip(shown, answers, strict=True)
        if p.drop is not None
    ]
    columns = ("object_id", "answer", "probability", "largest_fall", "largest_rise")
    return Section(
        "Occlusion",
        "Where a galaxy's answer comes from: the most probable answer to the first question is asked for "
        "again with one part of the picture covered after the other.",
        [
            *figures,
            Table("occlusion", "Probability of the answer, and by how much it changes.", columns, rows),
        ],
    )


def _pictures(explanation: Explanation, places: Sequence[RankedGalaxy], form: str) -> list[Picture]:
    return [
        Picture(
            place.object_id, webp(explanation.portraits[place.object_id].picture), form.format(place.value)
        )
        for place in places
        if place.object_id in explanation.portraits
    ]


def webp(picture: NDArray[np.uint8]) -> bytes:
    """A picture (side, side, 3) as WebP."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=84)
    return buffer.getvalue()


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
