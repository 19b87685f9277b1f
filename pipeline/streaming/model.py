"""The model stage: regions → answer probabilities."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.averaging import SharedAverage, map_chunks, naive_average
from pipeline.geometry import IDENTITY
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler, load_network
from pipeline.tree import load_tree

_GALAXIES_AT_ONCE = 16
"""Without averaging: of sixteen viewpoints each."""

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
        # Ray's shared memory is read-only, and nothing here writes to it.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network, _ = load_network(weights, load_tree(tree))
        self._answers = network.tree.answer_count
        self._predict = predictor(network.to(self._device), transforms, getattr(torch, precision))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Classify the good rows of one unit."""
        started = time.perf_counter()
        probabilities = np.zeros((len(batch), self._answers), np.float32)
        sides = batch["side"].to_numpy()
        good = np.flatnonzero(batch["reason"].is_null().to_numpy())
        for side in np.unique(sides[good]):
            rows = good[sides[good] == side]
            probabilities[rows] = self._classify(batch, rows, int(side))
        seconds = pa.array(np.full(len(batch), time.perf_counter() - started))
        flat = pa.array(probabilities.reshape(-1))
        answered = batch.select(ANSWERED_COLUMNS)
        answered = answered.append_column("model_seconds", seconds)
        return answered.append_column("probabilities", pa.FixedSizeListArray.from_arrays(flat, self._answers))

    def _classify(self, batch: pa.Table, rows: NDArray[np.int64], side: int) -> NDArray[np.float32]:
        center = np.stack([batch["center_x"].to_numpy(), batch["center_y"].to_numpy()], axis=1)
        regions = RegionBatch(
            torch.from_numpy(images_of(batch["pixels"], rows, side)),
            torch.from_numpy(center[rows]),
            torch.from_numpy(batch["scale"].to_numpy()[rows]),
        )
        return self._predict(regions).cpu().numpy()


def images_of(pixels: pa.ChunkedArray, rows: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """Images of some rows, (n, side, side, 3): a view of the column where they lie one behind the other."""
    column = pixels.chunk(0) if pixels.num_chunks == 1 else pixels.combine_chunks()
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int64)[column.offset :][rows]
    every, size = np.frombuffer(data, np.uint8), side * side * 3
    if np.all(np.diff(starts) == size):
        images = every[starts[0] : starts[0] + len(rows) * size]
    else:
        images = np.stack([every[start : start + size] for start in starts])
    return images.reshape(len(rows), side, side, 3)


def predictor(
    network: ViewpointNetwork, transforms: int, dtype: torch.dtype
) -> Callable[[RegionBatch], Tensor]:
    """The function from regions to mean answer probabilities over 60 transforms, or of the view as it is."""
    if transforms == 60:
        return SharedAverage(network, dtype=dtype)
    sampler = ViewpointSampler().to(network.device)
    lowered = network.lowered(dtype)

    def once(regions: RegionBatch) -> Tensor:
        return naive_average(lowered, sampler, regions, (IDENTITY,))

    return lambda regions: torch.cat(map_chunks(once, regions, _GALAXIES_AT_ONCE, network.device))
