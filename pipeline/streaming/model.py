"""The model stage: regions → answer probabilities."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.averaging import (
    Precision,
    SharedAverage,
    check_precision,
    map_chunks,
    naive_average,
    use_precision,
)
from pipeline.errors import InputError
from pipeline.geometry import IDENTITY
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler, by_recentring, load_networks
from pipeline.tree import load_tree

_GALAXIES_AT_ONCE = 16
"""Galaxies that go through the network at once where nothing is averaged; each has sixteen viewpoints."""

ANSWERED_COLUMNS = (
    "unit",
    "shard",
    "row",
    "object_id",
    "ra",
    "dec",
    "content",
    "reason",
    "message",
    "replaced",
    "decode_seconds",
)
"""Columns that pass through the model stage."""


def ready_networks(
    weights: str, tree: str, precision: Precision, threads: int, device: str | None
) -> tuple[list[ViewpointNetwork], torch.dtype]:
    """Prepare this process for networks, and load them: on their device, and the data type to compute in.

    Parameters
    ----------
    weights, tree
        URIs.
    threads
        That torch may use.
    device
        ``cuda`` or ``cpu``; the GPU if there is one where not given.

    Raises
    ------
    InputError
        If torch can't use the GPU that it is to, or the networks can't be computed in the precision.
    """
    torch.set_num_threads(threads)
    # Ray's shared memory is read-only, and nothing here writes to it.
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "this node has a GPU that torch can't use: install its driver and a build of torch for it, "
            "or say device=cpu"
        )
    networks = [network.to(device) for network in load_networks(weights, load_tree(tree))]
    check_precision(precision, networks, device)
    return networks, use_precision(precision)


class ModelActor:
    """Ray Data stage: `DECODED_SCHEMA` → its `ANSWERED_COLUMNS`, with ``probabilities`` and times.

    Parameters
    ----------
    weights, tree
        URIs.
    transforms
        60, or 1 for the view as it is.
    precision, threads, device
        See `ready_networks`.
    """

    def __init__(
        self,
        weights: str,
        tree: str,
        transforms: int,
        precision: Precision,
        threads: int,
        device: str | None = None,
    ) -> None:
        networks, dtype = ready_networks(weights, tree, precision, threads, device)
        self._answers, self._count = networks[0].tree.answer_count, len(networks)
        self._groups = {
            threshold: (len(alike), predictor(alike, transforms, dtype))
            for threshold, alike in by_recentring(networks).items()
        }

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Classify the good rows of one unit."""
        started = time.perf_counter()
        probabilities = np.zeros((len(batch), self._answers), np.float32)
        for rows, side in good_rows(batch):
            probabilities[rows] = self._classify(batch, rows, side)
        seconds = pa.array(np.full(len(batch), time.perf_counter() - started))
        flat = pa.array(probabilities.reshape(-1))
        answered = batch.select(ANSWERED_COLUMNS)
        answered = answered.append_column("model_seconds", seconds)
        return answered.append_column("probabilities", pa.FixedSizeListArray.from_arrays(flat, self._answers))

    def _classify(self, batch: pa.Table, rows: NDArray[np.int64], side: int) -> NDArray[np.float32]:
        pixels = torch.from_numpy(images_of(batch["pixels"], rows, side))
        total = torch.zeros(len(rows), self._answers)
        thresholds = sorted(threshold for threshold in self._groups if threshold is not None)
        for threshold, (count, predict) in self._groups.items():
            frames = frames_of(batch, rows, None if threshold is None else thresholds.index(threshold))
            regions = RegionBatch(pixels, torch.from_numpy(frames[:, :2]), torch.from_numpy(frames[:, 2]))
            total += count / self._count * predict(regions).cpu()
        return total.numpy()


def good_rows(batch: pa.Table) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Rows of a batch of `DECODED_SCHEMA` with a galaxy: those of each width of region, and the width."""
    sides = batch["side"].to_numpy()
    good = np.flatnonzero(batch["reason"].is_null().to_numpy())
    for side in np.unique(sides[good]):
        yield good[sides[good] == side], int(side)


def frames_of(batch: pa.Table, rows: NDArray[np.int64], recentring: int | None) -> NDArray[np.float64]:
    """Centre and scale, (n, 3), of some rows: of their own frames, or of a recentring by its place."""
    if recentring is None:
        columns = ("center_x", "center_y", "scale")
        return np.stack([batch[name].to_numpy()[rows] for name in columns], axis=1)
    return np.array([batch["recentred"][int(row)].as_py()[recentring] for row in rows])


def regions_of(batch: pa.Table, rows: NDArray[np.int64], side: int, recentring: int | None) -> RegionBatch:
    """Regions of some rows, in their frames (see `frames_of`)."""
    frames = torch.from_numpy(frames_of(batch, rows, recentring))
    return RegionBatch(torch.from_numpy(images_of(batch["pixels"], rows, side)), frames[:, :2], frames[:, 2])


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
    networks: Sequence[ViewpointNetwork], transforms: int, dtype: torch.dtype
) -> Callable[[RegionBatch], Tensor]:
    """The function from regions to mean answer probabilities.

    The mean is over networks, and over 60 transforms or of the view as it is.
    """
    if transforms == 60:
        return SharedAverage(*networks, dtype=dtype)
    device = networks[0].device
    sampler = ViewpointSampler().to(device)
    lowered = [network.lowered(dtype) for network in networks]

    def once(regions: RegionBatch) -> Tensor:
        each = [naive_average(network, sampler, regions, (IDENTITY,)) for network in lowered]
        return torch.stack(each).mean(0)

    return lambda regions: torch.cat(map_chunks(once, regions, _GALAXIES_AT_ONCE, device))
