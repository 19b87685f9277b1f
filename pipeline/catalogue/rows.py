"""From probabilities to rows of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.clumps import count_clumps
from pipeline.catalogue.schema import (
    CLASS,
    CLASS_CONFIDENCE,
    REJECTION_FIELDS,
    catalogue_schema,
    holds_uncertainty,
    uncertainty_columns,
)
from pipeline.tree import DecisionTree, agreement, is_asked, most_probable_classes


@dataclass(frozen=True)
class Uncertainty:
    """How sure the answers of some galaxies are.

    Attributes
    ----------
    low, high : ndarray, shape (n, answers), float32
        Bounds of the share of the volunteers that would give each answer, cumulative as the answers are:
        0 ≤ low ≤ answer ≤ high ≤ 1.
    volunteers : ndarray, shape (n, questions), float32
        How many volunteers' votes the answer to each question is worth.
    out_of_place : ndarray, shape (n,), float32
        How unlike the training pictures each picture is.
    frame_ratio : ndarray, shape (n,), float32
        Size of each galaxy in its frame, in units of the training pictures' median.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    volunteers: NDArray[np.float32]
    out_of_place: NDArray[np.float32]
    frame_ratio: NDArray[np.float32]

    def columns(self) -> list[NDArray[np.float32]]:
        """All of it in the order of the catalogue's columns."""
        bounds = np.stack([self.low, self.high], axis=2).reshape(len(self.low), 2 * self.low.shape[1])
        return [*bounds.T, *self.volunteers.T, self.out_of_place, self.frame_ratio]

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Uncertainty:
        """That of some rows, as a mask or by their indices."""
        return Uncertainty(
            self.low[rows],
            self.high[rows],
            self.volunteers[rows],
            self.out_of_place[rows],
            self.frame_ratio[rows],
        )


def catalogue_rows(
    tree: DecisionTree,
    positions: pa.Table,
    probabilities: NDArray[np.float32],
    run: str,
    weights: str,
    inputs: Sequence[str],
    uncertainty: Uncertainty | None = None,
    embedding: pa.ChunkedArray | None = None,
    verdicts: pa.ChunkedArray | None = None,
    clumps: pa.ChunkedArray | None = None,
) -> pa.Table:
    """Rows of the catalogue.

    Parameters
    ----------
    positions
        Columns ``object_id, ra, dec, content`` of the n galaxies.
    probabilities : ndarray, shape (n, answers), float32
        Cumulative probabilities in the order of the tree.
    run, weights
        Provenance: the run, and the weight file's sha256.
    inputs
        Where each galaxy was read.
    uncertainty
        How sure the answers are, for a catalogue that says it.
    embedding
        The galaxies' vectors, as the catalogue keeps them, for one that has any.
    verdicts
        Structs of what is said of their pictures, for one that says if these have galaxies.
    clumps
        The galaxies' clumps, as the catalogue keeps them, for one that has any.

    Returns
    -------
    pyarrow.Table
        With `catalogue_schema`.
    """
    n = len(positions)
    columns: list[pa.Array | pa.ChunkedArray] = [positions[name] for name in ("object_id", "ra", "dec")]
    columns += [pa.array(np.ascontiguousarray(column)) for column in probabilities.T]
    columns += readings(tree, probabilities).values()
    if uncertainty is not None:
        columns += [pa.array(np.ascontiguousarray(column)) for column in uncertainty.columns()]
    if embedding is not None:
        columns.append(embedding)
    if verdicts is not None:
        columns += [pc.struct_field(verdicts, field.name).cast(field.type) for field in REJECTION_FIELDS]
    if clumps is not None:
        columns += [pa.array(count_clumps(clumps)), clumps]
    columns += [
        pa.array([run] * n, pa.string()),
        pa.array([weights] * n, pa.string()),
        pa.array(inputs, pa.string()),
        positions["content"],
        pa.nulls(n, pa.string()),
    ]
    schema = catalogue_schema(
        tree, uncertainty is not None, embedding is not None, verdicts is not None, clumps is not None
    )
    return pa.Table.from_arrays(columns, schema=schema)


def readings(tree: DecisionTree, probabilities: NDArray[np.float32]) -> dict[str, pa.Array]:
    """What follows from probabilities, shape (n, answers): `reading_columns`, by name and in their order."""
    classes, confidence = most_probable_classes(tree, probabilities)
    names = np.array([*(named.name for named in tree.classes), ""])
    nameless = classes == len(tree.classes)
    columns = {
        CLASS: pa.array(names[classes], pa.string(), mask=nameless),
        CLASS_CONFIDENCE: pa.array(confidence.astype(np.float32), mask=nameless),
    }
    for question in tree.questions:
        p = probabilities[:, tree.slices[question.key]]
        keys = np.array([answer.key for answer in question.answers])
        agreed = agreement(p).astype(np.float32)
        columns[f"{question.key}_answer"] = pa.array(keys[p.argmax(axis=1)], pa.string(), mask=~is_asked(p))
        columns[f"{question.key}_agreement"] = pa.array(agreed, mask=np.isnan(agreed))
    return columns


def with_readings(tree: DecisionTree, schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows with the columns of `schema`, of which those that follow from probabilities are made anew."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns |= readings(tree, answer_matrix(tree, pa.Table.from_batches([batch])))
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def answer_matrix(tree: DecisionTree, catalogue: pa.Table) -> NDArray[np.float32]:
    """The answer columns of a catalogue as an array of shape (n, answers), float32."""
    return np.stack([catalogue[name].to_numpy() for name in tree.columns], axis=1).astype(
        np.float32, copy=False
    )


def read_uncertainty(tree: DecisionTree, catalogue: pa.Table) -> Uncertainty | None:
    """How sure the answers of a catalogue's rows are; None where it has not all columns that say it.

    Values that are null become NaN.
    """
    if not holds_uncertainty(tree, catalogue.column_names):
        return None
    names = uncertainty_columns(tree)
    columns = np.stack([catalogue[name].to_numpy() for name in names], axis=1).astype(np.float32, copy=False)
    bounds = columns[:, : 2 * tree.answer_count]
    return Uncertainty(
        low=bounds[:, 0::2],
        high=bounds[:, 1::2],
        volunteers=columns[:, bounds.shape[1] : -2],
        out_of_place=columns[:, -2],
        frame_ratio=columns[:, -1],
    )
