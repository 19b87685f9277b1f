"""The model stage: regions → answer probabilities."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.averaging import (
    Precision,
    Predictor,
    SingleView,
    average_of,
    check_precision,
    use_precision,
)
from pipeline.catalogue.clumps import CLUMP, CLUMPS, pack_clumps
from pipeline.catalogue.embedding import EMBEDDING, NUMBERS, to_binary
from pipeline.clumps.finder import ClumpFinder, Placed
from pipeline.confidence import COMPARED, Familiarity
from pipeline.confidence.appearance import Appearance
from pipeline.errors import InputError
from pipeline.images import ImageError
from pipeline.images.axes import SkyAxes
from pipeline.network import RegionBatch, ViewpointNetwork, by_recentring, load_networks
from pipeline.representations import Projection
from pipeline.streaming.decoders import DecoderName, decoder_on
from pipeline.streaming.regions import frames_of, good_rows, region_parts
from pipeline.tree import load_tree

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
    "verdict",
    "decode_seconds",
)
"""Columns that pass through the model stage."""

_UNKNOWN_AXES = (np.nan,) * len(SkyAxes._fields)


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
    """Ray Data stage: `DECODED_SCHEMA` → its `ANSWERED_COLUMNS`, with ``probabilities``, times and counts.

    Parameters
    ----------
    weights, tree
        URIs.
    transforms
        60, or 1 for the view as it is.
    precision, threads, device
        See `ready_networks`.
    decoder
        What decodes the JPEGs that weren't before: ``gpu``, where that is the device, or ``cpu``.
    familiarity
        By which pictures are compared with those trained on, in two more columns ``out_of_place`` and
        ``frame_ratio``; not at all if it isn't given.
    projection
        By which galaxies get an ``embedding``, in one more column; none if it isn't given.
    clump_weights
        URI of the detector by which galaxies get ``clumps``, in one more column; none if it isn't given.

    Notes
    -----
    Two threads may call it at a time: one batch is decoded while the network is at work on the other.
    """

    def __init__(
        self,
        weights: str,
        tree: str,
        transforms: int,
        precision: Precision,
        threads: int,
        device: str | None = None,
        decoder: DecoderName = "cpu",
        familiarity: Familiarity | None = None,
        projection: Projection | None = None,
        clump_weights: str | None = None,
    ) -> None:
        networks, dtype = ready_networks(weights, tree, precision, threads, device)
        self._decoder = decoder_on(networks[0].device, decoder)
        self._turn = threading.Lock()
        self._familiarity = familiarity
        self._appearance = None if familiarity is None else Appearance(networks[0])
        self._projection = projection
        self._finder = None if clump_weights is None else ClumpFinder(clump_weights, networks[0].device)
        self._answers, self._count = networks[0].tree.answer_count, len(networks)
        self._groups = {
            threshold: (len(alike), predictor(alike, transforms, dtype))
            for threshold, alike in by_recentring(networks).items()
        }

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Classify the good rows of one unit."""
        started = time.perf_counter()
        probabilities = np.zeros((len(batch), self._answers), np.float32)
        compared = np.zeros((len(batch), len(COMPARED)), np.float32)
        embeddings = np.zeros((len(batch), NUMBERS), np.int8)
        clumps = [np.zeros(0, CLUMP)] * len(batch)
        problems: dict[int, ImageError] = {}
        left_to_cpu = 0
        for rows, side in good_rows(batch):
            for part in region_parts(batch, rows, side, self._decoder):
                problems |= part.problems
                left_to_cpu += part.left_to_cpu
                if len(part.rows):
                    with self._turn:
                        probabilities[part.rows], hidden = self._classify(batch, part.rows, part.pixels)
                        if self._projection is not None and hidden is not None:
                            embeddings[part.rows] = self._projection(hidden)
                        compared[part.rows] = self._compare(batch, part.rows, part.pixels)
                        for row, own in self._clumps(batch, part.rows, part.pixels):
                            clumps[row] = own
        seconds = pa.array(np.full(len(batch), time.perf_counter() - started))
        flat = pa.array(probabilities.reshape(-1))
        answered = with_problems(batch.select(ANSWERED_COLUMNS), problems)
        answered = answered.append_column("model_seconds", seconds)
        answered = answered.append_column("left_to_cpu", pa.array(np.full(len(batch), left_to_cpu)))
        answered = answered.append_column(
            "probabilities", pa.FixedSizeListArray.from_arrays(flat, self._answers)
        )
        for name, column in zip(COMPARED if self._familiarity else (), compared.T, strict=False):
            answered = answered.append_column(name, pa.array(column))
        if self._projection is not None:
            answered = answered.append_column(EMBEDDING, to_binary(embeddings))
        if self._finder is not None:
            answered = answered.append_column(CLUMPS, pack_clumps(clumps))
        return answered

    def _classify(
        self, batch: pa.Table, rows: NDArray[np.int64], pixels: Tensor
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Answers of some rows and, where galaxies get embeddings, the first network's hidden layer."""
        total, first = torch.zeros(len(rows), self._answers), None
        for threshold, (count, predict) in self._groups.items():
            regions = self._regions(batch, rows, pixels, threshold)
            if self._projection is not None and first is None:
                answers, hidden = predict.with_hidden(regions)
                first = hidden.cpu().numpy()
            else:
                answers = predict(regions)
            total += count / self._count * answers.cpu()
        return total.numpy(), first

    def _compare(self, batch: pa.Table, rows: NDArray[np.int64], pixels: Tensor) -> NDArray[np.float32]:
        """The `COMPARED` columns of some rows, as the first network sees them."""
        if self._familiarity is None or self._appearance is None:
            return np.zeros((len(rows), len(COMPARED)), np.float32)
        statistics, sizes = self._appearance(self._regions(batch, rows, pixels, next(iter(self._groups))))
        out_of_place = self._familiarity.out_of_place(statistics.cpu().numpy())
        return np.stack([out_of_place, self._familiarity.frame_ratio(sizes.cpu().numpy())], axis=1)

    def _clumps(
        self, batch: pa.Table, rows: NDArray[np.int64], pixels: Tensor
    ) -> Iterator[tuple[int, NDArray[np.void]]]:
        """Some rows, each with its clumps, if they are wanted."""
        if self._finder is not None:
            left, top, ra, dec = (
                batch[name].cast(pa.float64()).fill_null(np.nan).to_numpy()[rows]
                for name in ("left", "top", "ra", "dec")
            )
            axes = [batch["axes"][row].as_py() or _UNKNOWN_AXES for row in rows.tolist()]
            placed = Placed(left, top, ra, dec, np.array(axes, np.float64).reshape(-1, len(_UNKNOWN_AXES)))
            found = self._finder(self._regions(batch, rows, pixels, None), placed)
            yield from zip(rows.tolist(), found, strict=True)

    def _regions(
        self, batch: pa.Table, rows: NDArray[np.int64], pixels: Tensor, threshold: float | None
    ) -> RegionBatch:
        """Regions in the frames of networks that recentre by a threshold, or don't."""
        thresholds = sorted(threshold for threshold in self._groups if threshold is not None)
        frames = frames_of(batch, rows, None if threshold is None else thresholds.index(threshold))
        regions = RegionBatch(pixels, torch.from_numpy(frames[:, :2]), torch.from_numpy(frames[:, 2]))
        return regions.to(pixels.device)


def with_problems(batch: pa.Table, problems: Mapping[int, ImageError]) -> pa.Table:
    """A batch in which some more rows have a reason why they can't be classified."""
    if not problems:
        return batch
    for name in ("reason", "message"):
        values = batch[name].to_pylist()
        for row, problem in problems.items():
            values[row] = getattr(problem, name)
        batch = batch.set_column(batch.schema.get_field_index(name), name, pa.array(values, pa.string()))
    return batch


def predictor(networks: Sequence[ViewpointNetwork], transforms: int, dtype: torch.dtype) -> Predictor:
    """The function from regions to mean answer probabilities.

    The mean is over networks, and over 60 transforms or of the view as it is.
    """
    return (average_of if transforms == 60 else SingleView)(*networks, dtype=dtype)
