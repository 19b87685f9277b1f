"""Label tables: which image each galaxy is, and the fractions of volunteers that gave each answer."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

LABELS_FILE = "training_solutions_rev1.csv"
IMAGES_FOLDER = "images_training_rev1"
"""The Galaxy Challenge's names."""

_ID_COLUMNS = ("GalaxyID", "object_id")
_TOLERANCE = 0.01
"""By which the answers of a question may miss the fraction that was asked it: published votes are rounded."""


@dataclass(frozen=True)
class Labels:
    """What is known of galaxies to train on.

    Attributes
    ----------
    ids
        Their identifiers.
    images
        URI of each one's image.
    frames : ndarray, shape (n,), float64
        Image pixels that each one's 424-pixel frame covers; NaN for the image's larger side.
    votes : ndarray, shape (n, answers), float32
        Cumulative vote fractions in the order of the tree; NaN where a vote is missing.
    weights : ndarray, shape (n,), float32
        What each galaxy counts for; 1 on average.
    """

    ids: tuple[str, ...]
    images: tuple[str, ...]
    frames: NDArray[np.float64]
    votes: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Labels:
        """Neighbouring rows."""
        return Labels(
            self.ids[rows], self.images[rows], self.frames[rows], self.votes[rows], self.weights[rows]
        )


def read_labels(folder: str, tree: DecisionTree, table: str = LABELS_FILE) -> Labels:
    """Read the label table of a folder.

    It has a column ``GalaxyID`` or ``object_id``, and one for each answer, named as in the Galaxy Challenge
    (``Class1.1`` …) or as in the catalogue (``<question>_<answer>``). A missing vote is left empty. Where
    there are columns of these names, ``image`` is each image's URI or path in the folder (else
    ``images_training_rev1/<id>.jpg``), ``frame_pixels`` the image pixels that the galaxy's 424-pixel frame
    covers (else its larger side), and ``volunteers`` how many voted, by which galaxies are weighted.

    Raises
    ------
    InputError
        If the file, its rows or a column are missing, an id is missing or appears twice, a value isn't a
        fraction, or the answers of a question don't sum to the fraction that was asked it.
    """
    uri = storage.join(folder, table)
    frame = _read_table(uri)
    id_column = next((name for name in _ID_COLUMNS if name in frame.columns), _ID_COLUMNS[0])
    columns = tree.columns if tree.columns[0] in frame.columns else tree.class_columns
    wanted = [id_column, *columns]
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise InputError(
            f"{uri} lacks {len(missing)} of {len(wanted)} columns, first {missing[0]!r}; expected GalaxyID "
            f"or object_id, and {columns[0]} … {columns[-1]} or {tree.columns[0]} … {tree.columns[-1]}"
        )
    if frame.empty:
        raise InputError(f"{uri} holds no galaxies; expected one row for each")
    ids = _ids(frame[id_column], uri)
    votes = _numbers(frame, list(columns), ids, uri, 1.0001, "a fraction between 0 and 1").astype(np.float32)
    _check_sums(votes, tree, ids, uri)
    frames = _optional(frame, "frame_pixels", ids, uri, np.nan)
    volunteers = _optional(frame, "volunteers", ids, uri, 1.0)
    if not volunteers.sum() > 0:
        raise InputError(f"{uri}: volunteers sum to {volunteers.sum():g}; expected some")
    paths = frame["image"] if "image" in frame.columns else [f"{IMAGES_FOLDER}/{name}.jpg" for name in ids]
    return Labels(
        ids=ids,
        images=tuple(path if _is_whole(path) else storage.join(folder, path) for path in map(str, paths)),
        frames=frames,
        votes=votes,
        weights=(volunteers / volunteers.mean()).astype(np.float32),
    )


def _is_whole(path: str) -> bool:
    return path.startswith("/") or "://" in path


def _read_table(uri: str) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(storage.read_bytes(uri)), dtype=dict.fromkeys(_ID_COLUMNS, str))
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
    return tuple(column)


def _numbers(
    frame: pd.DataFrame, columns: list[str], ids: tuple[str, ...], uri: str, most: float, expected: str
) -> NDArray[np.float64]:
    """Columns as numbers in [0, most], NaN where empty."""
    given = frame[columns]
    values = given.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64, copy=True)
    empty = given.isna().to_numpy()
    bad = np.argwhere(~empty & ~((values >= 0) & (values <= most)))
    if len(bad):
        row, column = bad[0]
        value = given.iat[row, column]
        raise InputError(f"{uri}: {columns[column]} of galaxy {ids[row]} is {value!s}; expected {expected}")
    return np.asarray(values, np.float64)


def _optional(
    frame: pd.DataFrame, column: str, ids: tuple[str, ...], uri: str, default: float
) -> NDArray[np.float64]:
    if column not in frame.columns:
        return np.full(len(ids), default)
    values = _numbers(frame, [column], ids, uri, math.inf, "a number from 0")[:, 0]
    return np.where(np.isnan(values), default, values)


def _check_sums(votes: NDArray[np.float32], tree: DecisionTree, ids: tuple[str, ...], uri: str) -> None:
    """Refuse votes that contradict the tree; that nobody answered what was asked is no harm."""
    for question in tree.questions:
        given = votes[:, tree.slices[question.key]].sum(axis=1)
        gate = tree.gates.get(question.key)
        asked = np.ones_like(given) if gate is None else votes[:, list(gate)].sum(axis=1)
        bad = np.flatnonzero((np.abs(given - asked) > _TOLERANCE) & (given > 0))
        if len(bad):
            raise InputError(
                f"{uri}: the answers to {question.key!r} of galaxy {ids[bad[0]]} sum to "
                f"{given[bad[0]]:.3f}, and {asked[bad[0]]:.3f} were asked it; "
                f"expected cumulative vote fractions of tree {tree.name!r}"
            )
