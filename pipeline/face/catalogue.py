"""The rows of a catalogue as a notebook wants them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pa_dataset
from pyarrow.parquet import filters_to_expression

from pipeline import storage
from pipeline.catalogue.delta import snapshot_dataset
from pipeline.catalogue.embedding import EMBEDDING
from pipeline.catalogue.region import Cone, parse_cone
from pipeline.catalogue.snapshot import open_table
from pipeline.catalogue.where import Condition, parse_where
from pipeline.config import shipped
from pipeline.errors import InputError
from pipeline.representations import (
    example_columns,
    examples_by_id,
    open_embeddings,
)
from pipeline.representations.alike import SIMILARITY
from pipeline.representations.finding import find_alike
from pipeline.representations.index import open_index
from pipeline.tree import LEAST_ASKED, DecisionTree, is_asked, load_tree

Where: TypeAlias = Any
"""A condition as a text, such as ``"bar_yes > 0.5 and class == 'Spiral'"``; an expression of
`pyarrow.compute.field`; or what `pandas.read_parquet` takes as ``filters``: ``[("bar_yes", ">", 0.5)]``."""


@dataclass(frozen=True)
class Catalogue:
    """A snapshot of a catalogue, without the galaxies that its source has no longer.

    Attributes
    ----------
    uri
        The folder.
    version
        Of the snapshot.
    tree
        The decision tree whose answers it holds.
    """

    uri: str
    version: int
    tree: DecisionTree = field(repr=False)
    _rows: pa_dataset.Dataset = field(repr=False)

    @property
    def columns(self) -> list[str]:
        """Names of the catalogue's columns."""
        names: list[str] = self._rows.schema.names
        return names

    def __len__(self) -> int:
        with storage.explained("read", self.uri):
            return int(self._rows.count_rows(filter=_current(None)))

    def to_arrow(self, columns: Iterable[str] | None = None, where: Where = None) -> pa.Table:
        """Read rows as an Arrow table.

        Parameters
        ----------
        columns
            Names of the columns to read; all if not given.
        where
            Which rows: see `Where`.

        Raises
        ------
        InputError
            If there is no such column, `where` can't be understood, or a file can't be read.
        """
        if isinstance(columns, str):
            raise InputError(f"columns is {columns!r}; expected a list of names, such as [{columns!r}]")
        names = None if columns is None else list(columns)
        unknown = [name for name in names or () if name not in self.columns]
        if unknown:
            raise InputError(
                f"{self.uri} has no column {unknown[0]!r}; `columns` lists all {len(self.columns)}"
            )
        with _explained(where):
            chosen = self._rows.scanner(names, filter=_current(self._expression(where)))
        with storage.explained("read", self.uri):
            return chosen.to_table()

    def to_pandas(self, columns: Iterable[str] | None = None, where: Where = None) -> pd.DataFrame:
        """Read rows as a pandas table; see `to_arrow` for what it takes and raises."""
        table: pd.DataFrame = self.to_arrow(columns, where).to_pandas()
        return table

    def similar(
        self,
        object_id: str | Sequence[str],
        count: int = 24,
        *,
        unlike: str | Sequence[str] = (),
        where: Where = None,
        cone: tuple[float, float, float] | None = None,
        index: str | os.PathLike[str] | None = None,
    ) -> pd.DataFrame:
        """The galaxies that look most like some examples, as `tuningfork similar` finds them.

        The catalogue's vectors are read once, or by an index just some of them.

        Parameters
        ----------
        object_id
            Of one example, or of several.
        count
            How many galaxies to find.
        unlike
            Galaxies that others shall not be like.
        where
            Which galaxies count: see `Where`.
        cone
            Only galaxies within it: right ascension, declination and radius in degrees.
        index
            Folder that `tuningfork index` made of this version.

        Returns
        -------
        pandas.DataFrame
            The nearest first: ``similarity``, which with `unlike` is a distance and else 1 for the same and
            about 0 for a galaxy at random, and the columns of the catalogue but the vectors.

        Raises
        ------
        InputError
            If a galaxy isn't there, the catalogue has no embeddings, the index isn't of this version, or
            `where` can't be understood. An empty region is no error: nothing is found in it.
        """
        if count < 1 or not len(object_id):
            raise InputError(
                f"count is {count} and object_id {object_id!r}; expected 1 or more, and an example"
            )
        embeddings = open_embeddings(self.uri, self.tree, str(self.version), _region(cone))
        like, others = (examples_by_id(embeddings, _names(ids)) for ids in (object_id, unlike))
        condition = None if where is None else self._condition(where)
        opened = None if index is None else open_index(os.fspath(index), embeddings, self.version)
        found = find_alike(embeddings, like, others, count, condition, opened)
        names = example_columns(embeddings).names
        rows: pd.DataFrame = embeddings.find(found["object_id"].to_pylist(), names).rows.to_pandas()
        rows.insert(1, SIMILARITY, found[SIMILARITY].to_numpy())
        return rows

    def question(self, key: str, where: Where = None, least_asked: float = LEAST_ASKED) -> pd.DataFrame:
        """One question's answers, the most probable one and the agreement, by ``object_id``.

        Parameters
        ----------
        least_asked
            Share of all volunteers that would be asked at least, or the most probable answer is null; 0 for
            an answer wherever the question has any probability.

        Raises
        ------
        InputError
            If the tree has no such question, and as `to_arrow`.
        """
        if key not in self.tree.slices:
            raise InputError(
                f"tree {self.tree.name!r} has no question {key!r}; expected one of "
                f"{', '.join(self.tree.slices)}"
            )
        answers = self.tree.columns[self.tree.slices[key]]
        rows = self.to_pandas(["object_id", *answers, f"{key}_agreement"], where).set_index("object_id")
        p = rows[list(answers)].to_numpy()
        keys = np.array([name.removeprefix(f"{key}_") for name in answers], object)
        best = np.where(is_asked(p, least_asked), keys[p.argmax(axis=1)], None)
        rows.insert(len(answers), f"{key}_answer", pd.Series(best, rows.index, "str"))
        return rows

    def _expression(self, where: Where) -> Any:
        return parse_where(where, self._rows.schema).expression if isinstance(where, str) else where

    def _condition(self, where: Where) -> Condition:
        if isinstance(where, str):
            return parse_where(where, self._rows.schema)
        with _explained(where):
            expression = where if isinstance(where, pa_dataset.Expression) else filters_to_expression(where)
            condition = Condition(tuple(name for name in self.columns if name != EMBEDDING), expression)
            condition.holds(pa.RecordBatch.from_pylist([], self._rows.schema))
        return condition


def open_catalogue(
    uri: str | os.PathLike[str],
    as_of: str | int | datetime | None = None,
    tree: str | os.PathLike[str] = "galaxy_zoo_2",
) -> Catalogue:
    """Open a catalogue.

    Parameters
    ----------
    uri
        The folder ``catalogue`` of an output, wherever it is.
    as_of
        A version, or a date and time (UTC if it names no zone), of an older snapshot.
    tree
        The decision tree whose answers it holds: a path, or the name of one that comes along.

    Raises
    ------
    InputError
        If there is no such catalogue or snapshot, or it has not the columns of `tree`.
    """
    decision_tree = load_tree(shipped("trees", os.fspath(tree)))
    uri = os.fspath(uri)
    table = open_table(uri, decision_tree, None if as_of is None else str(as_of))
    try:
        with storage.explained("read", uri):
            return Catalogue(uri, table.version(), decision_tree, snapshot_dataset(uri, table))
    except InputError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise InputError(
            f"a file of version {table.version()} of {uri} is gone ({error.__cause__}); a vacuum removes "
            "what only older versions need: open a newer one, or `tuningfork verify` if this is the newest"
        ) from error


def _current(where: Where) -> pa_dataset.Expression:
    current = pa_dataset.field("stale").is_null()
    if where is None:
        return current
    return current & (where if isinstance(where, pa_dataset.Expression) else filters_to_expression(where))


@contextlib.contextmanager
def _explained(where: Where) -> Iterator[None]:
    """Say what is expected where a condition can't be applied."""
    try:
        yield
    except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"where is {where!s}, which can't be applied ({reason}); expected such as "
            '"bar_yes > 0.5" or [("bar_yes", ">", 0.5)]'
        ) from error


def _names(ids: str | Sequence[str]) -> list[str]:
    return [ids] if isinstance(ids, str) else list(ids)


def _region(cone: tuple[float, float, float] | None) -> Cone | None:
    try:
        return None if cone is None else parse_cone(",".join(map(str, cone)))
    except (ValueError, TypeError) as error:
        raise InputError(f"cone is {cone!r}: {error}") from error
