"""A catalogue in small, and the votes of volunteers for its galaxies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from numpy.typing import NDArray

from pipeline.catalogue import Uncertainty, catalogue_rows
from pipeline.tree import DecisionTree
from tests.support.galaxies import galaxy, png

PICTURED = 40
"""Galaxies that have a cutout; the places of the others hold these galaxies, too."""


def write_voted(
    folder: Path,
    tree: DecisionTree,
    predicted: NDArray[np.float64],
    votes: NDArray[np.float64],
    uncertainty: Uncertainty | None = None,
    weights: str = "w" * 64,
) -> list[str]:
    """Write ``catalogue``, ``votes.csv`` and a shard of cutouts; the galaxies' ids."""
    count = len(predicted)
    ids = [f"g/{row:03d}" for row in range(count)]
    images = [png(galaxy(row, 64)) for row in range(PICTURED)]
    pq.write_table(pa.table({"object_id": ids[:PICTURED], "image": images}), folder / "shard.parquet")
    known = pa.table({"object_id": ids, "ra": np.arange(count) / 4, "dec": np.zeros(count), "content": ids})
    inputs = [f"{folder}/shard.parquet#{row % PICTURED}" for row in range(count)]
    rows = catalogue_rows(tree, known, predicted.astype(np.float32), "run", weights, inputs, uncertainty)
    write_deltalake(str(folder / "catalogue"), rows)
    frame = pd.DataFrame(votes, columns=list(tree.columns))
    frame.insert(0, "object_id", ids)
    frame.to_csv(folder / "votes.csv", index=False)
    return ids
