"""A catalogue's embeddings in batches: all current galaxies, and no two networks' together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.catalogue.embedding import NUMBERS, STEP, to_binary, to_vectors, with_projection
from pipeline.catalogue.snapshot import BATCH_ROWS
from pipeline.errors import InputError
from pipeline.representations import open_embeddings
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import galaxies, write_catalogue


def rows_of(tree: DecisionTree, count: int, **columns: list) -> pa.Table:
    """Rows of a catalogue with embeddings, some columns of which are as they are given."""
    rows = galaxies(tree, [(f"g{row}", row / 100, -1.0) for row in range(count)], embedding=True)
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(
            place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type)
        )
    return rows


def test_vectors_come_with_their_galaxies_and_answers(tree: DecisionTree, tmp_path: Path) -> None:
    rows = rows_of(tree, BATCH_ROWS + 10)
    rows = rows.cast(with_projection(rows.schema, "p" * 64))
    embeddings = open_embeddings(write_catalogue(str(tmp_path / "c"), tree, rows), tree)
    assert (embeddings.weights, embeddings.projection, embeddings.step) == ("w" * 64, "p" * 64, STEP)
    batches = list(embeddings.batches(["bar_yes", "ra"]))
    assert len(batches) > 1
    assert sum(map(len, batches)) == BATCH_ROWS + 10
    read = pa.Table.from_batches([batch.rows for batch in batches])
    assert read.schema.names == ["object_id", "ra", "dec", "bar_yes"]
    assert read.equals(rows.select(read.schema.names).cast(read.schema))
    vectors = np.concatenate([batch.vectors for batch in batches])
    expected = [np.frombuffer(vector, np.int8) for vector in rows["embedding"].to_pylist()]
    np.testing.assert_array_equal(vectors, expected)


def test_they_are_not_copied(tree: DecisionTree, tmp_path: Path) -> None:
    embeddings = open_embeddings(write_catalogue(str(tmp_path / "c"), tree, rows_of(tree, 10)), tree)
    (batch,) = embeddings.batches()
    assert batch.vectors.dtype == np.int8
    assert not batch.vectors.flags.owndata
    column = to_binary(np.arange(3 * NUMBERS, dtype=np.uint8).view(np.int8).reshape(3, NUMBERS))
    np.testing.assert_array_equal(to_vectors(column.slice(1)), to_vectors(column)[1:])
    assert np.shares_memory(to_vectors(column.slice(1)), to_vectors(column))


def test_galaxies_that_the_source_has_no_longer_are_left_out(tree: DecisionTree, tmp_path: Path) -> None:
    gone = ["gone", *[None] * 9]
    weights = ["v" * 64, *["w" * 64] * 9]
    rows = rows_of(tree, 10, stale=gone, weights=weights)
    embeddings = open_embeddings(write_catalogue(str(tmp_path / "c"), tree, rows), tree)
    (batch,) = embeddings.batches()
    assert batch.rows["object_id"].to_pylist() == [f"g{row}" for row in range(1, 10)]
    first = np.frombuffer(rows["embedding"][1].as_py(), np.int8)
    np.testing.assert_array_equal(batch.vectors[0], first)
    assert embeddings.weights == "w" * 64


def test_vectors_of_two_networks_are_refused(tree: DecisionTree, tmp_path: Path) -> None:
    rows = rows_of(tree, 10, weights=["v" * 64, *["w" * 64] * 9])
    catalogue = write_catalogue(str(tmp_path / "c"), tree, rows)
    with pytest.raises(InputError, match=r"rows of 2 weights, such as v{12}… and w{12}…, whose embeddings"):
        open_embeddings(catalogue, tree)


def test_a_catalogue_without_them_says_how_to_get_them(tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, [("a", 1.0, 2.0)])
    catalogue = write_catalogue(str(tmp_path / "c"), tree, rows)
    with pytest.raises(InputError, match=r"has no embeddings: say embedding=true"):
        open_embeddings(catalogue, tree)


def test_an_unknown_column_and_a_short_vector_are_named(tree: DecisionTree, tmp_path: Path) -> None:
    rows = rows_of(tree, 2, embedding=[b"x" * NUMBERS, b"short"])
    embeddings = open_embeddings(write_catalogue(str(tmp_path / "c"), tree, rows), tree)
    with pytest.raises(InputError, match=r"has no column 'beauty'"):
        next(embeddings.batches(["beauty"]))
    with pytest.raises(InputError, match=r"rows without 64 bytes; expected a vector of 64 int8"):
        next(embeddings.batches())


def test_an_empty_catalogue_has_none(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_catalogue(str(tmp_path / "c"), tree, rows_of(tree, 1)[:0])
    embeddings = open_embeddings(catalogue, tree)
    assert list(embeddings.batches()) == []
    assert embeddings.weights == ""
