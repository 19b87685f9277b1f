"""Tables of votes: the fractions of volunteers that gave each answer, as published or as in a catalogue."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError
from pipeline.identifiers import id_column
from pipeline.tree import DecisionTree

_TOLERANCE = 0.01
"""By which the answers of a question may miss the fraction that was asked it: published votes are rounded."""


@dataclass(frozen=True)
class VoteTable:
    """A label table as read.

    Attributes
    ----------
    uri
        Where it lies.
    ids
        The galaxies' identifiers.
    votes : ndarray, shape (n, answers), float32
        Cumulative vote fractions in the order of the tree; NaN where a vote is missing.
    frame
        All its columns.
    """

    uri: str
    ids: tuple[str, ...]
    votes: NDArray[np.float32]
    frame: pd.DataFrame

    def numbers(self, columns: list[str], maximum: float, expected: str) -> NDArray[np.float64]:
        """Columns as numbers in [0, `maximum`], shape (n, columns); NaN where empty.

        Raises
        ------
        InputError
            If a value isn't `expected`.
        """
        return _numbers(self.frame, columns, self.ids, self.uri, maximum, expected)


def read_votes(uri: str, tree: DecisionTree) -> VoteTable:
    """Read a label table (CSV).

    It has a column of identifiers (see `pipeline.identifiers.ID_COLUMNS`), and one for each answer, named as
    in the Galaxy Challenge (``Class1.1`` …) or as in the catalogue (``<question>_<answer>``). A missing vote
    is left empty. Ids may be as a CSV export guards them from spreadsheets (see `storage.guarded`).

    Raises
    ------
    InputError
        If the file, its rows or a column are missing, an id is missing or appears twice, a value isn't a
        fraction, or the answers of a question don't sum to the fraction that was asked it.
    """
    frame = _read_table(uri)
    ids_in = id_column(frame.columns) or "GalaxyID"
    columns = tree.columns if tree.columns[0] in frame.columns else tree.class_columns
    required = [ids_in, *columns]
    missing = [column for column in required if column not in frame.columns]
    if missing:
        raise InputError(
            f"{uri} lacks {len(missing)} of {len(required)} columns, first {missing[0]!r}; expected "
            f"GalaxyID, object_id or objid, and {columns[0]} … {columns[-1]} or {tree.columns[0]} … "
            f"{tree.columns[-1]}"
        )
    if frame.empty:
        raise InputError(f"{uri} holds no galaxies; expected one row for each")
    ids = _ids(frame[ids_in], uri)
    votes = _numbers(frame, list(columns), ids, uri, 1.0001, "a fraction between 0 and 1").astype(np.float32)
    _check_sums(votes, tree, ids, uri)
    return VoteTable(uri, ids, votes, frame)


def _read_table(uri: str) -> pd.DataFrame:
    try:
        content = storage.read_bytes(uri)
        names = pd.read_csv(io.BytesIO(content), nrows=0).columns
        ids = {name: str for name in [id_column(names)] if name}  # as numbers, long ones would be rounded
        return pd.read_csv(io.BytesIO(content), dtype=ids)
    except ValueError as error:
        raise InputError(f"cannot read labels {uri}: {' '.join(str(error).split())}") from error


def _ids(column: pd.Series, uri: str) -> tuple[str, ...]:
    for row, name in enumerate(column):
        if not isinstance(name, str) or not name.strip():
            raise InputError(
                f"{uri}: {column.name} of row {row + 1} is empty; expected the galaxy's identifier"
            )
    twice = column[column.duplicated()]
    if len(twice):
        raise InputError(f"{uri}: galaxy {twice.iloc[0]} appears more than once; keep one row of it")
    return tuple(map(storage.unguarded, column))


def _numbers(
    frame: pd.DataFrame, columns: list[str], ids: tuple[str, ...], uri: str, maximum: float, expected: str
) -> NDArray[np.float64]:
    """Columns as numbers in [0, most], NaN where empty."""
    cells = frame[columns]
    values = cells.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64, copy=True)
    empty = cells.isna().to_numpy()
    bad = np.argwhere(~empty & ~((values >= 0) & (values <= maximum)))
    if len(bad):
        row, column = bad[0]
        value = cells.iat[row, column]
        raise InputError(f"{uri}: {columns[column]} of galaxy {ids[row]} is {value!s}; expected {expected}")
    return np.asarray(values, np.float64)


def _check_sums(votes: NDArray[np.float32], tree: DecisionTree, ids: tuple[str, ...], uri: str) -> None:
    """Refuse votes that contradict the tree; that nobody answered what was asked is no harm."""
    for question in tree.questions:
        total = votes[:, tree.slices[question.key]].sum(axis=1)
        gate = tree.gates.get(question.key)
        asked = np.ones_like(total) if gate is None else votes[:, list(gate)].sum(axis=1)
        bad = np.flatnonzero((np.abs(total - asked) > _TOLERANCE) & (total > 0))
        if len(bad):
            raise InputError(
                f"{uri}: the answers to {question.key!r} of galaxy {ids[bad[0]]} sum to "
                f"{total[bad[0]]:.3f}, and {asked[bad[0]]:.3f} were asked it; "
                f"expected cumulative vote fractions of tree {tree.name!r}"
            )
