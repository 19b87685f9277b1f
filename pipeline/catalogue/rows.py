"""From probabilities to rows of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue.schema import catalogue_schema
from pipeline.tree import DecisionTree, agreement


def catalogue_rows(
    tree: DecisionTree,
    positions: pa.Table,
    probabilities: NDArray[np.float32],
    run: str,
    weights: str,
    inputs: Sequence[str],
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

    Returns
    -------
    pyarrow.Table
        With `catalogue_schema`.
    """
    n = len(positions)
    columns: list[pa.Array | pa.ChunkedArray] = [positions[name] for name in ("object_id", "ra", "dec")]
    columns += [pa.array(np.ascontiguousarray(column)) for column in probabilities.T]
    for question in tree.questions:
        p = probabilities[:, tree.slices[question.key]]
        asked = p.sum(axis=1) > 0
        keys = np.array([answer.key for answer in question.answers])
        columns.append(pa.array(keys[p.argmax(axis=1)], pa.string(), mask=~asked))
        columns.append(pa.array(agreement(p).astype(np.float32), mask=~asked))
    columns += [
        pa.array([run] * n, pa.string()),
        pa.array([weights] * n, pa.string()),
        pa.array(inputs, pa.string()),
        positions["content"],
        pa.nulls(n, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=catalogue_schema(tree))


def answer_matrix(tree: DecisionTree, catalogue: pa.Table) -> NDArray[np.float32]:
    """The answer columns of a catalogue as an array of shape (n, answers), float32."""
    return np.stack([catalogue[name].to_numpy() for name in tree.columns], axis=1).astype(
        np.float32, copy=False
    )
