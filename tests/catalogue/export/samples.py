"""Catalogues to export: written as Delta tables, without a run behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from pipeline.catalogue import catalogue_rows, catalogue_schema
from pipeline.catalogue.embedding import NUMBERS, to_binary
from pipeline.tree import DecisionTree

AWKWARD: list[tuple[str, float | None, float | None]] = [
    ("north", 12.0, 90.0),
    ("south", 350.0, -90.0),
    ("zero", 0.0, 0.0),
    ("round", 360.0, 0.0),
    ("almost round", 359.9999999999, -1e-12),
    ("west", -0.5, 0.25),
    ("Galaxie é ζ 🌌", 150.1, 2.2),
    ('quote " comma, <xml> & co', 150.10001, 2.2),
    ("no position", None, None),
    ("no declination", 10.0, None),
    ("not a number", 10.0, float("nan")),
]
"""Identifier, right ascension and declination of galaxies that writers stumble over."""


def galaxies(
    tree: DecisionTree,
    places: Sequence[tuple[str, float | None, float | None]],
    seed: int = 0,
    embedding: bool = False,
) -> pa.Table:
    """Rows of a catalogue; the first question is never asked of every third, and so has no answer."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random((len(places), tree.answer_count), dtype=np.float32)
    for question in tree.questions[::2]:
        probabilities[::3, tree.slices[question.key]] = 0
    ids, ra, dec = zip(*places, strict=True) if places else ((), (), ())
    positions = pa.table(
        {
            "object_id": pa.array(ids, pa.string()),
            "ra": pa.array(ra, pa.float64(), from_pandas=False),
            "dec": pa.array(dec, pa.float64(), from_pandas=False),
            "content": pa.array([f"{row:032x}" for row in range(len(places))], pa.string()),
        }
    )
    inputs = [f"shard.parquet#{row}" for row in range(len(places))]
    vectors = rng.integers(-128, 128, (len(places), NUMBERS)).astype(np.int8) if embedding else None
    column = None if vectors is None else pa.chunked_array([to_binary(vectors)])
    return catalogue_rows(tree, positions, probabilities, f"run{seed}", "w" * 64, inputs, embedding=column)


def write_catalogue(uri: str, tree: DecisionTree, rows: pa.Table) -> str:
    """A catalogue of these rows, as a run writes it."""
    write_deltalake(uri, rows, commit_properties=CommitProperties(custom_metadata={"run": "0" * 12}))
    return uri


def write_sky(uri: str, tree: DecisionTree, count: int, seed: int = 0) -> str:
    """A catalogue of so many galaxies all over the sky, made a batch at a time."""
    schema = catalogue_schema(tree)
    batches = pa.RecordBatchReader.from_batches(schema, _sky(tree, count, seed))
    write_deltalake(uri, batches)
    return uri


def _sky(tree: DecisionTree, count: int, seed: int) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(seed)
    for start in range(0, count, 10_000):
        n = min(10_000, count - start)
        ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
        places = [(f"g{start + i:09d}", float(ra[i]), float(dec[i])) for i in range(n)]
        yield from galaxies(tree, places, seed + start).combine_chunks().to_batches()
