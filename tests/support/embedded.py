"""Catalogues with embeddings, and the cutouts of some of their galaxies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.catalogue import catalogue_rows
from pipeline.catalogue.embedding import NUMBERS, to_binary, with_projection
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import write_catalogue
from tests.support.catalogues import random_probabilities
from tests.support.galaxies import galaxy, png

WEIGHTS, PROJECTION = "w" * 64, "p" * 64


def clouds(count: int, seed: int = 0) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Vectors of galaxies of two kinds, a fifth of them of the rarer one, and which those are."""
    rng = np.random.default_rng(seed)
    rare = rng.random(count) < 0.2
    values = rng.normal(0, 30, (count, NUMBERS))
    values[rare, :4] += 60
    return np.clip(values, -127, 127).astype(np.int8), rare


def write_embedded(
    folder: Path, tree: DecisionTree, vectors: NDArray[np.int8], pictured: int = 0, weights: str = WEIGHTS
) -> list[str]:
    """Write ``catalogue``, with cutouts of its first galaxies in the place of all; the ids."""
    count = len(vectors)
    ids = [f"g/{row:04d}" for row in range(count)]
    if pictured:
        images = [png(galaxy(row, 64)) for row in range(pictured)]
        pq.write_table(pa.table({"object_id": ids[:pictured], "image": images}), folder / "shard.parquet")
    known = pa.table({"object_id": ids, "ra": np.arange(count) / 4, "dec": np.zeros(count), "content": ids})
    inputs = [f"{folder}/shard.parquet#{row % max(pictured, 1)}" for row in range(count)]
    column = pa.chunked_array([to_binary(vectors)])
    probabilities = random_probabilities(count).astype(np.float32)
    rows = catalogue_rows(tree, known, probabilities, "run", weights, inputs, embedding=column)
    rows = rows.cast(with_projection(rows.schema, PROJECTION))
    write_catalogue(str(folder / "catalogue"), tree, rows)
    return ids
