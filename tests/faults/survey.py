"""A survey of synthetic galaxies to kill runs on."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from pipeline.survey import CUTOUT_SCHEMA

BAD_EVERY = 13
"""One galaxy of so many is damaged, so that the quarantine has work too: those whose number leaves 5."""


def galaxy(seed: int, size: int = 160) -> NDArray[np.uint8]:
    """An inclined exponential disk with noise, shape (size, size, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle, axis_ratio, scale = rng.uniform(0, np.pi), rng.uniform(0.2, 1), size / 14
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    light = 200 * np.exp(-np.hypot(along, across / axis_ratio) / scale)
    color = np.array([1.0, 0.85, 0.6])
    return np.clip(light[..., None] * color + rng.normal(8, 3, (size, size, 3)), 0, 255).astype(np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def cutout_table(first: int, count: int) -> pa.Table:
    """Rows of a cutout shard."""
    rows = []
    for index in range(first, first + count):
        image = png(galaxy(index % 64))
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
