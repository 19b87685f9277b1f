"""Galaxies with clumps at known places, and a detector that finds them, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from pipeline.clumps.detector import CentreDetector
from pipeline.clumps.light import galaxy_light, to_light, to_picture
from pipeline.clumps.weights import DetectorCard, save_detector
from pipeline.cutouts import CUTOUT_SCHEMA
from tests.support.galaxies import png

PLACES = ((-60.0, 20.0), (45.0, 45.0), (10.0, -70.0))
"""(x, y) of clumps, in frame pixels from the middle."""

RATIO = 0.1
"""Flux of each over its galaxy's, in blue."""

_WIDTH = 9.0


def clumpy(places: tuple[tuple[float, float], ...] = PLACES, side: int = 424) -> NDArray[np.uint8]:
    """A smooth disk with clumps, at any resolution."""
    scale = side / 424
    rows, columns = (np.mgrid[:side, :side] - (side - 1) / 2) / scale
    disk = 110 * np.exp(-np.hypot(rows, columns) / 45)
    picture = np.clip(8 + disk[..., None] * [1.0, 0.9, 0.7], 0, 255).astype(np.uint8)
    light, galaxy = to_light(picture), galaxy_light(picture)
    sigma = _WIDTH / 2.355
    for x, y in places:
        point = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
        ratio = np.array([0.4, 0.6, 1.0]) * RATIO
        light += (point / point.sum())[..., None].astype(np.float32) * (galaxy.total * ratio).astype(
            np.float32
        )
    return to_picture(light)


def write_clumpy(folder: Path, count: int, rows: int = 4) -> list[str]:
    """A cutout set, every second galaxy with clumps, `rows` a shard; the ids."""
    folder.mkdir()
    clumped, smooth = png(clumpy()), png(clumpy(()))
    made = [
        {
            "object_id": f"g{i:03d}",
            "image": smooth if i % 2 else clumped,
            "ra": 10.0 + i,
            "dec": -5.0,
        }
        for i in range(count)
    ]
    for start in range(0, count, rows):
        table = pa.Table.from_pylist(made[start : start + rows], schema=CUTOUT_SCHEMA)
        pq.write_table(table, folder / f"{start:04d}.parquet")
    return [row["object_id"] for row in made]


def write_point_detector(weights: str) -> DetectorCard:
    """A detector made by hand: it takes what is bluer than its surroundings for a clump."""
    detector = CentreDetector()
    parts = dict(detector.named_parameters())
    blob = torch.zeros(6, 6)
    blob[1:4, 1:4] = 1 / 9  # where the padding puts a pixel's own neighbours
    ring = torch.full((6, 6), 1 / 27)
    ring[1:4, 1:4] = 0
    with torch.no_grad():
        for part in parts.values():
            part.zero_()
        parts["convolutions.0.weight"][0, 2] = blob - ring
        parts["convolutions.0.weight"][0, 0] = -0.7 * (blob - ring)
        parts["laterals.0.weight"][0, 0] = 1
        parts["blend.weight"][0, 0, 1, 1] = 1
        parts["last.weight"][0, 0] = 60.0
        parts["last.bias"][0] = -2.0
    return save_detector(detector, weights, DetectorCard(threshold=0.5))
