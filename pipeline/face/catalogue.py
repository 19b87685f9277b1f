"""The rows of a catalogue as a notebook wants them."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
from pipeline.catalogue.snapshot import open_table
from pipeline.config import shipped
from pipeline.errors import InputError
from pipeline.tree import LEAST_ASKED, DecisionTree, is_asked, load_tree

Where: TypeAlias = Any
"""An expression of `pyarrow.compute.field`, or what `pandas.read_parquet` takes as ``filters``:
``[("bar_yes", ">", 0.5)]``."""


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
        try:
            chosen = self._rows.scanner(names, filter=_current(where))
        except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"where is {where!s}, which can't be applied ({reason}); expected such as "
                '[("bar_yes", ">", 0.5)]'
            ) from error
        with storage.explained("read", self.uri):
            return chosen.to_table()

    def to_pandas(self, columns: Iterable[str] | None = None, where: Where = None) -> pd.DataFrame:
        """Read rows as a pandas table; see `to_arrow` for what it takes and raises."""
        table: pd.DataFrame = self.to_arrow(columns, where).to_pandas()
        return table

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
