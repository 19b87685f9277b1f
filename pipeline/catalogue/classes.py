"""Class and confidence of every galaxy of a catalogue, read off its probabilities a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue.rows import answer_matrix
from pipeline.errors import InputError
from pipeline.tree import DecisionTree, MorphologyClass, Step, most_probable_classes

BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class Reading:
    """The class of each row of a catalogue, and how surely it is that one.

    Attributes
    ----------
    classes : ndarray, shape (rows,), int64
        Index into ``tree.classes``; ``len(tree.classes)`` where the path leads to no class.
    confidence : ndarray, shape (rows,), float64
        Product of the step probabilities along the path up to the answer that decides the class.
    """

    classes: NDArray[np.int64]
    confidence: NDArray[np.float64]


def require_columns(table: pa.Table, names: Iterable[str], what: str) -> None:
    """Check that a table has some columns.

    Raises
    ------
    InputError
        Naming the table and the columns that it lacks.
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise InputError(
            f"{what} has no column {', '.join(missing)} (it has {', '.join(table.column_names) or 'none'})"
        )


def without_views(table: pa.Table) -> pa.Table:
    """The table with its view types, which some readers return and Arrow can't take rows of, made plain."""
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return table.cast(
        pa.schema([field.with_type(plain.get(field.type, field.type)) for field in table.schema])
    )


def probability_batches(tree: DecisionTree, catalogue: pa.Table) -> Iterator[NDArray[np.float64]]:
    """The catalogue's cumulative probabilities, a bounded number of rows at a time.

    Yields
    ------
    ndarray, shape (at most BATCH_ROWS, answers), float64
    """
    require_columns(catalogue, tree.columns, "the catalogue")
    for batch in catalogue.select(list(tree.columns)).to_batches(max_chunksize=BATCH_ROWS):
        yield answer_matrix(tree, pa.Table.from_batches([batch])).astype(np.float64)


def read_classes(tree: DecisionTree, catalogue: pa.Table) -> Reading:
    """Follow each galaxy's most probable path to its class.

    The same as `pipeline.tree.most_probable_classes`, a bounded number of rows at a time.

    Raises
    ------
    InputError
        If a column of probabilities is missing.
    """
    parts = [most_probable_classes(tree, p) for p in probability_batches(tree, catalogue)]
    if not parts:
        return Reading(np.zeros(0, np.int64), np.zeros(0))
    return Reading(np.concatenate([c for c, _ in parts]), np.concatenate([c for _, c in parts]))


def steps_to_class(named: MorphologyClass | None, steps: Sequence[Step]) -> int:
    """How many steps of a path it takes until the class is decided; all of them where there is no class."""
    if named is not None:
        chosen: set[str] = set()
        for count, step in enumerate(steps, start=1):
            chosen.add(f"{step.question.key}_{step.answer.key}")
            if named.answers <= chosen:
                return count
    return len(steps)
