"""A survey of synthetic galaxies to kill runs on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cutouts import CUTOUT_SCHEMA
from tests.support.galaxies import galaxy, png

BAD_EVERY = 13
"""One galaxy of so many is damaged, so that the quarantine has work too: those whose number leaves 5."""


def cutout_table(first: int, count: int) -> pa.Table:
    """Rows of a cutout shard."""
    rows = []
    for index in range(first, first + count):
        image = png(galaxy(index % 64, 160))
        if index % BAD_EVERY == 5:
            image = image[: len(image) // 2]
        rows.append({"object_id": f"g{index:06d}", "ra": index / 100, "dec": -index / 100, "image": image})
    return pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA)


def write_survey(folder: Path, galaxies: int, shards: int = 2) -> None:
    """Write a cutout set of so many galaxies to a folder."""
    folder.mkdir(parents=True)
    edges = np.linspace(0, galaxies, shards + 1).astype(int)
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        table = cutout_table(int(start), int(stop - start))
        pq.write_table(table, folder / f"shard-{number}.parquet", row_group_size=20)
