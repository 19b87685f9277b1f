"""Labels of some galaxies for a task of a user's own: a yes or no, a class, or a fraction each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError

YES_OR_NO = ("no", "yes")
FEWEST = 10
"""Labels below which nothing is learnt."""

_FEWEST_OF_A_CLASS = 2
_MOST_CLASSES = 50
_ID_COLUMNS = ("object_id", "GalaxyID")
_WORDS = {"no": 0.0, "yes": 1.0, "false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class Labels:
    """What a user says of some galaxies.

    Attributes
    ----------
    uri
        Of the table.
    column
        Its column that holds the labels.
    ids
        The galaxies' object_ids.
    classes
        Names of the classes; ``("no", "yes")`` of a yes or no and of a fraction.
    targets : ndarray, shape (n, classes)
        Share of each class, which sum to 1: 0 and 1 unless labels are fractions.
    """

    uri: str
    column: str
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, ids: Sequence[str]) -> Labels:
        """The labels of some of the galaxies, in that order.

        Raises
        ------
        InputError
            If they are too few to learn from, or one class has nearly all.
        """
        rows = {name: row for row, name in enumerate(self.ids)}
        targets = self.targets[[rows[name] for name in ids]]
        chosen = Labels(self.uri, self.column, tuple(ids), self.classes, targets.reshape(len(ids), -1))
        _check(chosen)
        return chosen


def read_labels(uri: str, column: str | None = None) -> Labels:
    """Read a table of labels (CSV): ``object_id`` or ``GalaxyID``, and one column.

    The column holds ``yes`` and ``no`` (or ``true`` and ``false``, 1 and 0), fractions from 0 to 1, or names
    of classes. Galaxies whose cell is empty are left out.

    Parameters
    ----------
    column
        Name of the column, where the table has several.

    Raises
    ------
    InputError
        If the table, the column or a label can't be used, labels are too few, or all are the same.
    """
    try:
        frame = pd.read_csv(io.BytesIO(storage.read_bytes(uri)), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise InputError(f"cannot read labels {uri}: {' '.join(str(error).split())}") from error
    key = next((name for name in _ID_COLUMNS if name in frame.columns), None)
    others = [str(name) for name in frame.columns if name != key]
    if key is None or not others:
        raise InputError(
            f"{uri} has the columns {', '.join(map(str, frame.columns))}; expected object_id and a column "
            "of labels"
        )
    chosen = column or others[0]
    if column is None and len(others) > 1:
        raise InputError(
            f"{uri} has the columns {', '.join(others)}; say which is learnt, as column={others[0]}"
        )
    if chosen not in others:
        raise InputError(f"{uri} has no column {chosen!r}; it has {', '.join(others)}")
    frame = frame[frame[chosen].str.strip() != ""]
    ids = tuple(map(storage.unguarded, frame[key]))
    repeated = frame[key][frame[key].duplicated()]
    if len(repeated):
        raise InputError(f"{uri}: galaxy {repeated.iloc[0]} appears more than once; keep one row of it")
    classes, targets = _targets(uri, chosen, ids, frame[chosen].str.strip())
    labels = Labels(uri, chosen, ids, classes, targets)
    _check(labels)
    return labels


def _targets(
    uri: str, column: str, ids: tuple[str, ...], cells: pd.Series
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The classes, and the share of each in each label."""
    words = cells.str.lower().map(_WORDS)
    numbers = words.fillna(pd.to_numeric(cells, errors="coerce")).to_numpy(np.float64)
    texts = np.isnan(numbers)
    if not texts.any() and ((numbers >= 0) & (numbers <= 1)).all():
        return YES_OR_NO, np.column_stack([1 - numbers, numbers])
    broken = np.flatnonzero(~texts & (numbers != np.round(numbers)))
    if len(broken):
        row = broken[0]
        raise InputError(
            f"{uri}: {column} of galaxy {ids[row]} is {cells.iloc[row]}; expected yes or no, a fraction from "
            "0 to 1, or the name of a class"
        )
    names, index = np.unique(cells.to_numpy(str), return_inverse=True)
    if len(names) > _MOST_CLASSES:
        raise InputError(
            f"{uri}: {column} has {len(names):,} different labels, such as {names[0]!r}; expected at most "
            f"{_MOST_CLASSES} classes, yes and no, or fractions from 0 to 1"
        )
    return tuple(map(str, names)), np.eye(len(names))[index]


def _check(labels: Labels) -> None:
    """Make sure that there is something to learn."""
    place = f"{labels.uri}: {labels.column}"
    if len(labels) < FEWEST:
        raise InputError(f"{place} has {len(labels)} labels; expected at least {FEWEST}: label some more")
    counts = np.bincount(labels.targets.argmax(axis=1), minlength=len(labels.classes))
    if counts.max() == len(labels):
        raise InputError(
            f"{place} is {labels.classes[int(counts.argmax())]!r} of all {len(labels)} galaxies; expected "
            "two classes or more: label some others"
        )
    if counts.min() < _FEWEST_OF_A_CLASS:
        raise InputError(
            f"{place} is {labels.classes[int(counts.argmin())]!r} of {counts.min()} of the galaxies; "
            f"expected at least {_FEWEST_OF_A_CLASS} of each class: label some more, or leave the class out"
        )
