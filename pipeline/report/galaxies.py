"""The shown galaxies: what the page says about each, and the data that its script reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.classes import (
    probability_batches,
    read_classes,
    require_columns,
    steps_to_class,
    without_views,
)
from pipeline.catalogue.rows import Uncertainty, read_uncertainty
from pipeline.cutouts.table import REQUIRED_COLUMNS, conform
from pipeline.evaluation.metrics import galaxy_rmse
from pipeline.report.classes import ClassView
from pipeline.report.thumbnails import thumbnail_side, thumbnail_uri
from pipeline.tree import DecisionTree, Step, most_probable_path

RING_LEAST = 0.008
"""Radius of the smallest ring, as a share of the field's width."""


@dataclass(frozen=True)
class Judged:
    """What volunteers said of a galaxy.

    Attributes
    ----------
    votes
        Cumulative vote fractions, in the order of ``tree.columns``.
    morphology
        The class that they lead to, like a galaxy's own.
    rmse
        Root mean squared error of the network's answers, over all columns.
    """

    votes: tuple[float, ...]
    morphology: int
    rmse: float


@dataclass(frozen=True)
class Alike:
    """How a galaxy stands to the examples of a search.

    Attributes
    ----------
    similarity
        To the examples; None for an example itself.
    unwanted
        Whether it is an example of what the others shall not be like.
    shared
        The answers that it and the examples have more than usual, in words.
    tags
        What people call it.
    """

    similarity: float | None
    unwanted: bool = False
    shared: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """What its tile says."""
        if self.similarity is None:
            return "not like this" if self.unwanted else "example"
        return f"{self.similarity:.3f}"


@dataclass(frozen=True)
class Galaxy:
    """One shown galaxy.

    Attributes
    ----------
    index
        Number of the galaxy on the page.
    ra, dec
        ICRS, degrees.
    x, y, radius
        Position in the field and Petrosian 90 % radius, in field pixels.
    frame
        Width of its frame, in pixels of its image.
    morphology
        Index into ``tree.classes``; ``len(tree.classes)`` if it has no class.
    probabilities
        Cumulative, in the order of ``tree.columns``.
    agreements
        One for each question; None where it was never asked.
    steps
        Its most probable path, of which the first `deciding` steps decide the class.
    picture
        Thumbnail as a data URI; None if there is no cutout.
    judged
        None where the page has no votes.
    uncertainty
        How sure its answers are, one row; None where the catalogue doesn't say.
    alike
        None where the page shows no look-alikes.
    rejection
        What its picture shows in place of a galaxy, ``none`` if a galaxy; None if the catalogue doesn't say.
    """

    index: int
    object_id: str
    ra: float | None
    dec: float | None
    x: float | None
    y: float | None
    radius: float | None
    frame: float | None
    morphology: int
    confidence: float
    probabilities: tuple[float, ...]
    agreements: tuple[float | None, ...]
    steps: tuple[Step, ...]
    deciding: int
    picture: str | None
    judged: Judged | None = None
    uncertainty: Uncertainty | None = None
    alike: Alike | None = None
    rejection: str | None = None

    @property
    def on_field(self) -> bool:
        """Whether its position in the field is known."""
        return self.x is not None and self.y is not None

    @property
    def unfamiliar(self) -> bool:
        """Whether its picture is known to be unlike those trained on."""
        return self.uncertainty is not None and float(self.uncertainty.out_of_place[0]) > 1


def read_galaxies(
    tree: DecisionTree, shown: pa.Table, cutouts: pa.Table, votes: NDArray[np.float64] | None = None
) -> list[Galaxy]:
    """Join the shown rows with their cutouts, and read each one's path.

    Parameters
    ----------
    shown
        Rows of a catalogue.
    cutouts
        Columns of `pipeline.cutouts.table.CUTOUT_SCHEMA`; rows of other galaxies are left out, and a galaxy
        without one has no picture.
    votes
        Shape (rows of `shown`, answers): the volunteers' cumulative fractions, NaN where one is missing; None
        for a page without votes.

    Raises
    ------
    InputError
        If a column is missing.
    """
    agreement_names = [f"{question.key}_agreement" for question in tree.questions]
    require_columns(shown, ["object_id", "ra", "dec", *agreement_names], "the table of shown galaxies")
    require_columns(cutouts, REQUIRED_COLUMNS, "the cutouts")
    reading = read_classes(tree, shown)
    vectors = np.concatenate([np.zeros((0, tree.answer_count)), *probability_batches(tree, shown)])
    cutouts = without_views(cutouts)
    ids = shown["object_id"].cast(pa.string()).combine_chunks()
    is_shown = pc.is_in(cutouts["object_id"].cast(pa.string()), ids)
    images = {row["object_id"]: row for row in conform(cutouts.filter(is_shown)).to_pylist()}
    side = thumbnail_side(len(shown))
    judged = [None] * len(shown) if votes is None else _judged(tree, vectors, votes)
    uncertainty = read_uncertainty(tree, shown)
    has_rejection = "rejection" in shown.column_names
    rejections = shown["rejection"].to_pylist() if has_rejection else [None] * len(shown)

    galaxies: list[Galaxy] = []
    for index, row in enumerate(shown.select(["object_id", "ra", "dec", *agreement_names]).to_pylist()):
        cutout: Mapping[str, Any] = images.get(row["object_id"], {})
        steps = most_probable_path(tree, vectors[index])
        morphology = int(reading.classes[index])
        named = tree.classes[morphology] if morphology < len(tree.classes) else None
        galaxies.append(
            Galaxy(
                index=index,
                object_id=row["object_id"],
                ra=_finite_or_none(row["ra"]),
                dec=_finite_or_none(row["dec"]),
                x=_finite_or_none(cutout.get("x")),
                y=_finite_or_none(cutout.get("y")),
                radius=_finite_or_none(cutout.get("radius")),
                frame=_finite_or_none(cutout.get("frame_pixels")),
                morphology=morphology,
                confidence=float(reading.confidence[index]),
                probabilities=tuple(np.nan_to_num(vectors[index]).tolist()),
                agreements=tuple(_finite_or_none(row[name]) for name in agreement_names),
                steps=tuple(steps),
                deciding=steps_to_class(named, steps),
                picture=thumbnail_uri(images.get(row["object_id"]), side),
                judged=judged[index],
                uncertainty=None if uncertainty is None else _finite(uncertainty[np.array([index])]),
                rejection=rejections[index],
            )
        )
    return galaxies


def ring_radius(galaxy: Galaxy, width: int) -> float:
    """Radius of a galaxy's ring on a field of this width, in field pixels: its own unless it is too small."""
    return max(galaxy.radius or 0.0, RING_LEAST * width)


def page_data(
    tree: DecisionTree,
    classes: Sequence[ClassView],
    galaxies: list[Galaxy],
    usual_frames: tuple[float, float] | None = None,
) -> str:
    """What the page's script reads, as JSON that can't end the element it stands in.

    Parameters
    ----------
    usual_frames
        Frame ratios between which nearly all training pictures are, where they are known.
    """
    answers = {q.key: {a.key: j for j, a in enumerate(q.answers)} for q in tree.questions}
    numbers = {q.key: i for i, q in enumerate(tree.questions)}
    data = {
        "questions": [{"text": q.text, "answers": [a.text for a in q.answers]} for q in tree.questions],
        "classes": [{"name": c.name, "code": c.code, "color": c.color, "ink": c.ink} for c in classes],
        "usualFrames": usual_frames,
        "galaxies": [
            {
                "id": g.object_id,
                "ra": g.ra,
                "dec": g.dec,
                "x": g.x,
                "y": g.y,
                "radius": g.radius,
                "frame": g.frame,
                "class": g.morphology,
                "confidence": round(g.confidence, 4),
                "p": [round(p, 6) for p in g.probabilities],
                "agreement": [None if a is None else round(a, 3) for a in g.agreements],
                "path": [
                    [numbers[s.question.key], answers[s.question.key][s.answer.key], round(s.probability, 4)]
                    for s in g.steps
                ],
                "deciding": g.deciding,
                **_judged_data(g.judged),
                **_uncertainty_data(g.uncertainty),
                **_alike_data(g.alike),
                **({} if g.rejection in (None, "none") else {"rejection": g.rejection}),
            }
            for g in galaxies
        ],
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _judged(
    tree: DecisionTree, vectors: NDArray[np.float64], votes: NDArray[np.float64]
) -> list[Judged | None]:
    errors, votes = galaxy_rmse(vectors, votes), np.nan_to_num(votes)
    table = pa.table({name: votes[:, j] for j, name in enumerate(tree.columns)})
    classes = read_classes(tree, table).classes
    return [
        Judged(tuple(row.tolist()), int(morphology), float(error)) if math.isfinite(error) else None
        for row, morphology, error in zip(votes, classes, errors, strict=True)
    ]


def _judged_data(judged: Judged | None) -> dict[str, Any]:
    if judged is None:
        return {}
    return {
        "votes": [round(v, 6) for v in judged.votes],
        "votesClass": judged.morphology,
        "rmse": round(judged.rmse, 6),
    }


def _finite(uncertainty: Uncertainty) -> Uncertainty | None:
    """The same, unless a part of it is missing."""
    return uncertainty if all(np.isfinite(column).all() for column in uncertainty.columns()) else None


def _uncertainty_data(uncertainty: Uncertainty | None) -> dict[str, Any]:
    if uncertainty is None:
        return {}
    low, high, volunteers = (
        [round(value, 4) for value in part[0].tolist()]
        for part in (uncertainty.low, uncertainty.high, uncertainty.volunteers)
    )
    return {
        "low": low,
        "high": high,
        "volunteers": volunteers,
        "outOfPlace": round(float(uncertainty.out_of_place[0]), 4),
        "frameRatio": round(float(uncertainty.frame_ratio[0]), 4),
    }


def _alike_data(alike: Alike | None) -> dict[str, Any]:
    if alike is None:
        return {}
    shown = {"similarity": alike.similarity, "word": alike.word}
    return {"alike": shown | {"shared": alike.shared, "tags": alike.tags}}


def _finite_or_none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
