"""Ray Data as its documentation shows batch inference: read_parquet, map, map_batches, write_parquet.

python -m tests.benchmarks.peers.ray_data CUTOUTS OUT
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import numpy as np
import ray
import torch
from PIL import Image

from pipeline.averaging import naive_average
from pipeline.network import DEFAULT_WEIGHTS, ViewpointSampler, load_network
from pipeline.tree import load_tree
from tests.benchmarks.peers.dataloader import BATCH, regions_of


def decode(row: dict[str, Any]) -> dict[str, Any]:
    """A row's image as pixels."""
    image = Image.open(io.BytesIO(row["image"])).convert("RGB")
    return {"object_id": row["object_id"], "pixels": np.array(image)}


class Predictor:
    """Sixty forward passes."""

    def __init__(self) -> None:
        torch.set_num_threads(os.cpu_count() or 1)  # Ray allows as many as CPUs are reserved, one
        self.network, _ = load_network(DEFAULT_WEIGHTS, load_tree())
        self.sampler = ViewpointSampler()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        pixels = torch.from_numpy(np.stack(list(batch["pixels"])))
        answers = naive_average(self.network, self.sampler, regions_of(pixels))
        return {"object_id": batch["object_id"], "answers": answers.numpy()}


def main() -> None:
    """Classify."""
    folder, out = sys.argv[1:]
    ray.init(include_dashboard=False, log_to_driver=False)
    (
        ray.data.read_parquet(folder, columns=["object_id", "image"], file_extensions=["parquet"])
        .map(decode)
        .map_batches(Predictor, batch_size=BATCH, compute=ray.data.ActorPoolStrategy(size=1), num_cpus=1)
        .write_parquet(out)
    )


if __name__ == "__main__":
    main()
