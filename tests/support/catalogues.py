"""A small catalogue, its cutouts and a run's facts, made up for the report's tests."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.catalogue.rows import Uncertainty, readings
from pipeline.catalogue.schema import catalogue_schema, uncertainty_columns
from pipeline.cutouts.table import CUTOUT_SCHEMA
from pipeline.report import RunCounts, RunFacts
from pipeline.tree import DecisionTree, load_tree

TREE = load_tree()

FACTS = RunFacts(
    title="Hubble deep field",
    run="hubble-1",
    input="s3://survey/hubble",
    weights="0123abcd",
    network="compact",
    transforms=60,
    counts=RunCounts(classified=120, quarantined_by_reason={"truncated": 2, "too_small": 7}),
    seconds=60.0,
    started="2031-05-09T14:03:00+00:00",
    versions={"tuningfork": "0.1.0", "ray": "2.60.0"},
    limits=("Not for <mergers>.",),
)


def consistent(tree: DecisionTree, choices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative probabilities, shape (n, answers), from any positive numbers of that shape."""
    asked = {q.key: np.zeros(len(choices)) for q in tree.questions}
    asked[tree.questions[0].key][:] = 1.0
    p = np.zeros(choices.shape)
    for key in tree.in_order():
        question = next(q for q in tree.questions if q.key == key)
        where = tree.slices[key]
        if question.always_asked:
            asked[key][:] = 1.0
        within = choices[:, where] / choices[:, where].sum(axis=1, keepdims=True)
        p[:, where] = within * asked[key][:, None]
        for offset, answer in enumerate(question.answers):
            if answer.next is not None:
                asked[answer.next] = asked[answer.next] + p[:, where.start + offset]
    return p


def random_probabilities(count: int, seed: int = 0) -> NDArray[np.float64]:
    return consistent(TREE, np.random.default_rng(seed).gamma(0.5, size=(count, TREE.answer_count)) + 1e-6)


def saying(**answers: str) -> NDArray[np.float64]:
    """Probabilities, shape (answers,), of a galaxy with 90 % for each named answer."""
    choices = np.ones((1, TREE.answer_count))
    for question in TREE.questions:
        where = TREE.slices[question.key]
        chosen = answers.get(question.key, question.answers[0].key)
        n = len(question.answers)
        choices[0, where] = [0.9 if a.key == chosen else 0.1 / (n - 1) for a in question.answers]
    return consistent(TREE, choices)[0]


def catalogue(
    p: NDArray[Any], ids: Sequence[str] | None = None, uncertainty: Uncertainty | None = None, **columns: Any
) -> pa.Table:
    p = np.asarray(p, dtype=np.float32).reshape(-1, TREE.answer_count)
    n = len(p)
    values: dict[str, Any] = {
        "object_id": list(ids) if ids is not None else [f"galaxy-{i:03d}" for i in range(n)],
        "ra": [150.0] * n,
        "dec": [2.0] * n,
        "run": ["r"] * n,
        "weights": ["w"] * n,
        "input": ["i"] * n,
        "content": ["c"] * n,
        "stale": [None] * n,
    }
    values |= {name: p[:, i] for i, name in enumerate(TREE.columns)}
    values |= readings(TREE, p)
    if uncertainty is not None:
        values |= dict(zip(uncertainty_columns(TREE), uncertainty.columns(), strict=True))
    values |= columns
    schema = catalogue_schema(TREE, uncertainty is not None)
    return pa.Table.from_arrays(
        [
            values[f.name] if isinstance(values[f.name], pa.Array) else pa.array(values[f.name], f.type)
            for f in schema
        ],
        schema=schema,
    )


def encoded(pixels: NDArray[np.uint8], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def blob(side: int = 40) -> NDArray[np.uint8]:
    """A white disk on black, shape (side, side, 3)."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.repeat((255 * (np.hypot(x, y) < side / 5))[..., None], 3, axis=2).astype(np.uint8)


def cutouts(ids: Sequence[str], **columns: Any) -> pa.Table:
    n = len(ids)
    values: dict[str, Any] = {
        "object_id": list(ids),
        "ra": [None] * n,
        "dec": [None] * n,
        "x": [10.0 + i for i in range(n)],
        "y": [20.0 + i for i in range(n)],
        "radius": [5.0] * n,
        "image": [encoded(blob())] * n,
        "frame_pixels": [None] * n,
        "center_x": [None] * n,
        "center_y": [None] * n,
    }
    values |= columns
    return pa.Table.from_arrays(
        [pa.array(values[f.name], f.type) for f in CUTOUT_SCHEMA], schema=CUTOUT_SCHEMA
    )


@dataclass
class Element:
    tag: str
    attributes: Mapping[str, str]
    text: str = ""

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()


@dataclass
class Page(HTMLParser):
    """The elements of a page in order, each with the text straight inside it."""

    elements: list[Element] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)

    VOID = ("meta", "link", "img", "input", "br", "hr")
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.unbalanced.append(tag)
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def of(self, tag: str = "", name: str = "") -> list[Element]:
        """Elements with this tag and this class."""
        return [e for e in self.elements if tag in ("", e.tag) and (not name or name in e.classes)]

    def by_id(self, identifier: str) -> list[Element]:
        return [e for e in self.elements if e.attributes.get("id") == identifier]


def parse(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    page.unbalanced += [element.tag for element in page._open]
    return page
