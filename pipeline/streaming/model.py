"""The model stage: regions → answer probabilities."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.averaging import SharedAverage, naive_average
from pipeline.geometry import IDENTITY
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler, load_network
from pipeline.tree import load_tree

_BATCH = {"cpu": 16, "cuda": 256}

ANSWERED_COLUMNS = ("unit", "shard", "row", "object_id", "ra", "dec", "reason", "message", "decode_seconds")
"""Columns that pass through the model stage."""


class ModelActor:
    """Ray Data stage: `DECODED_SCHEMA` → its `ANSWERED_COLUMNS`, with ``probabilities`` and times.

    Parameters
    ----------
    weights, tree
        URIs.
    transforms
        60, or 1 for the view as it is.
    precision
        ``float32`` or ``bfloat16``.
    threads
        That torch may use.
    """

    def __init__(self, weights: str, tree: str, transforms: int, precision: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network, _ = load_network(weights, load_tree(tree), getattr(torch, precision))
        self._answers = network.tree.answer_count
        self._predict = predictor(network.to(self._device), transforms)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Classify the good rows of one unit."""
        started = time.perf_counter()
        probabilities = np.zeros((len(batch), self._answers), np.float32)
        sides = batch["side"].to_numpy()
        good = np.flatnonzero(batch["reason"].is_null().to_numpy())
        for side in np.unique(sides[good]):
            rows = good[sides[good] == side]
            for some in np.split(rows, range(_BATCH[self._device], len(rows), _BATCH[self._device])):
                probabilities[some] = self._classify(batch, some, int(side))
        seconds = pa.array(np.full(len(batch), time.perf_counter() - started))
        flat = pa.array(probabilities.reshape(-1))
        answered = batch.select(ANSWERED_COLUMNS)
        answered = answered.append_column("model_seconds", seconds)
        return answered.append_column("probabilities", pa.FixedSizeListArray.from_arrays(flat, self._answers))

    def _classify(self, batch: pa.Table, rows: NDArray[np.int64], side: int) -> NDArray[np.float32]:
        chosen = batch.select(["pixels", "center_x", "center_y", "scale"]).take(rows)
        pixels = np.stack([np.frombuffer(value.as_buffer(), np.uint8) for value in chosen["pixels"]])
        center = np.stack([chosen["center_x"].to_numpy(), chosen["center_y"].to_numpy()], axis=1)
        regions = RegionBatch(
            torch.from_numpy(pixels.reshape(len(rows), side, side, 3)),
            torch.from_numpy(center),
            torch.from_numpy(chosen["scale"].to_numpy().copy()),
        )
        return self._predict(regions.to(self._device)).cpu().numpy()


def predictor(network: ViewpointNetwork, transforms: int) -> Callable[[RegionBatch], Tensor]:
    """The function from regions to mean answer probabilities over 60 transforms, or of the view as it is."""
    if transforms == 60:
        return SharedAverage(network)
    sampler = ViewpointSampler().to(network.last.weight.device)
    return lambda regions: naive_average(network, sampler, regions, (IDENTITY,))
