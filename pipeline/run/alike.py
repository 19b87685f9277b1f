"""A search for look-alikes: its examples, what it finds, and the rows and pictures to show of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.catalogue.rows import answer_matrix
from pipeline.catalogue.snapshot import open_table
from pipeline.catalogue.where import Condition, Tags
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.errors import InputError
from pipeline.report.galaxies import Alike
from pipeline.representations import (
    Embeddings,
    Examples,
    examples_by_id,
    shared_answers,
    usual_answers,
)
from pipeline.representations.finding import find_alike
from pipeline.representations.index import open_index
from pipeline.run.cutouts import readable_cutouts, reader_of
from pipeline.tree import DecisionTree


@dataclass(frozen=True)
class SearchResult:
    """What a search found, with all that a page shows of it: the examples first, then the neighbours.

    Attributes
    ----------
    rows
        Rows of the catalogue, of examples and neighbours.
    alike
        How each row stands to the examples.
    cutouts
        With `CUTOUT_SCHEMA`, of the rows whose cutouts can be read.
    count
        How many of the rows, the last ones, are neighbours.
    """

    rows: pa.Table
    alike: list[Alike]
    cutouts: pa.Table
    count: int

    def table(self, tree: DecisionTree) -> pa.Table:
        """The neighbours, the most alike first, with all their answers."""
        rows = self.rows[len(self.rows) - self.count :]
        alike = self.alike[len(self.alike) - self.count :]
        columns = {
            "object_id": rows["object_id"],
            "ra": rows["ra"],
            "dec": rows["dec"],
            "similarity": pa.array([how.similarity for how in alike], pa.float64()),
            "shared": pa.array(["; ".join(how.shared) for how in alike], pa.string()),
            "tags": pa.array(["; ".join(how.tags) for how in alike], pa.string()),
        }
        return pa.table(columns | {name: rows[name] for name in tree.columns})


def search(
    embeddings: Embeddings,
    tree: DecisionTree,
    like: Examples,
    unlike: Examples,
    count: int,
    condition: Condition | None = None,
    tags: Tags | None = None,
    index: str | None = None,
) -> SearchResult:
    """The galaxies that are most like some examples, and unlike others, with all that a page shows of them.

    Parameters
    ----------
    index
        The catalogue's index, to be searched in its place.

    Raises
    ------
    InputError
        If no galaxy is left by the condition and the region, or the index isn't the catalogue's.
    """
    opened = None
    if index is not None:
        opened = open_index(index, embeddings, open_table(embeddings.uri, tree).version())
    neighbours = find_alike(embeddings, like, unlike, count, condition, opened)
    if not len(neighbours):
        raise InputError(
            f"{embeddings.uri} has no galaxy beside the examples that the region and the condition leave; "
            "widen cone= or where="
        )
    nearest = examples_by_id(embeddings, neighbours["object_id"].to_pylist())
    shown = like.with_more(unlike).with_more(nearest)
    answers = answer_matrix(tree, shown.rows).astype(np.float64)
    usual, mean = usual_answers(embeddings, tree), np.nanmean(answers[: len(like)], axis=0)
    tags_by_id = _tags_by_id(tags or {}, shown.ids)
    alike = [
        Alike(None, number >= len(like), (), tags_by_id.get(name, ()))
        for number, name in enumerate([*like.ids, *unlike.ids])
    ]
    for name, similarity, row in zip(
        nearest.ids, neighbours["similarity"].to_pylist(), answers[-len(neighbours) :], strict=True
    ):
        shared = tuple(in_words(tree, place) for place in shared_answers(mean, row, usual))
        alike.append(Alike(round(similarity, 6), False, shared, tags_by_id.get(name, ())))
    return SearchResult(shown.rows, alike, _cutouts(embeddings.uri, shown), len(neighbours))


def in_words(tree: DecisionTree, place: int) -> str:
    """An answer of a tree with its question, by its column's place."""
    for question in tree.questions:
        where = tree.slices[question.key]
        if where.start <= place < where.stop:
            return f"{question.text} {question.answers[place - where.start].text}"
    raise ValueError(f"the tree has no column {place}")


def _tags_by_id(tags: Tags, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    tags_by_id: dict[str, tuple[str, ...]] = {}
    shown = set(ids)
    for tag in sorted(tags):
        for identifier in shown.intersection(tags[tag]):
            tags_by_id[identifier] = (*tags_by_id.get(identifier, ()), tag)
    return tags_by_id


def _cutouts(catalogue: str, shown: Examples) -> pa.Table:
    places = [place for place in shown.rows["input"].to_pylist() if place]
    read = readable_cutouts(places, reader_of(catalogue))
    own: list[dict[str, Any]] = [{"object_id": name, "image": data} for name, data in shown.pictures.items()]
    return pa.concat_tables([read, pa.Table.from_pylist(own, schema=CUTOUT_SCHEMA)])
