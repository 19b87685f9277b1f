"""The plain script: a PyTorch DataLoader and sixty forward passes.

python -m tests.benchmarks.peers.dataloader CUTOUTS OUT.parquet
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.averaging import naive_average
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, ViewpointSampler, load_network
from pipeline.tree import load_tree

BATCH = 16


class Cutouts(Dataset[tuple[str, Tensor]]):
    """All images of a cutout set, of one size."""

    def __init__(self, folder: str) -> None:
        files = sorted(Path(folder).glob("*.parquet"))
        self.table = pa.concat_tables([pq.read_table(file, columns=["object_id", "image"]) for file in files])

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[str, Tensor]:
        image = Image.open(io.BytesIO(self.table["image"][index].as_py())).convert("RGB")
        return self.table["object_id"][index].as_py(), torch.from_numpy(np.array(image))


def regions_of(pixels: Tensor) -> RegionBatch:
    """Whole square frames, the galaxy in the middle."""
    count, side = pixels.shape[:2]
    center = torch.full((count, 2), (side - 1) / 2, dtype=torch.float64)
    return RegionBatch(pixels, center, torch.full((count,), side / 424, dtype=torch.float64))


def main() -> None:
    """Classify."""
    folder, out = sys.argv[1:]
    network, _ = load_network(DEFAULT_WEIGHTS, load_tree())
    sampler = ViewpointSampler()
    names: list[str] = []
    answers = []
    for some, pixels in DataLoader(Cutouts(folder), batch_size=BATCH, num_workers=1):
        names += some
        answers.append(naive_average(network, sampler, regions_of(pixels)))
    table = pa.table({"object_id": names, "answers": torch.cat(answers).tolist()})
    pq.write_table(table, out)


if __name__ == "__main__":
    main()
