"""The regions of a batch of `DECODED_SCHEMA`, as models take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.images import ImageError
from pipeline.images.jpeg import CELLS
from pipeline.network import RegionBatch
from pipeline.streaming.decoders import Decoder, KeptJpegs, cut_jpegs

_MOST_ROWS, _MOST_BYTES = 512, 512 << 20
"""Most pictures that are decoded together, and most memory that they or their regions take."""


@dataclass(frozen=True)
class RegionPart:
    """Regions of some rows, all of a width.

    Attributes
    ----------
    rows
        Of the batch.
    pixels : Tensor, shape (rows, side, side, 3), uint8
    problems
        Rows whose picture couldn't be decoded, and why; they aren't among `rows`.
    left_to_cpu
        See `CutRegions`.
    """

    rows: NDArray[np.int64]
    pixels: Tensor
    problems: dict[int, ImageError] = field(default_factory=dict)
    left_to_cpu: int = 0


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
    starts, _, every = _places(pixels, rows)
    size = side * side * 3
    if np.all(np.diff(starts) == size):
        images = every[starts[0] : starts[0] + len(rows) * size]
    else:
        images = np.stack([every[start : start + size] for start in starts])
    return images.reshape(len(rows), side, side, 3)


def region_parts(
    batch: pa.Table, rows: NDArray[np.int64], side: int, decoder: Decoder
) -> Iterator[RegionPart]:
    """Regions of some rows of one width; what isn't decoded yet is decoded now, so many rows at a time."""
    jpegs = batch["jpeg"].combine_chunks()
    if jpegs.null_count == len(jpegs):
        yield RegionPart(rows, torch.from_numpy(images_of(batch["pixels"], rows, side)))
        return
    facts = {name: jpegs.field(name).fill_null(0).to_numpy() for name in ("width", "height", "left", "top")}
    brightness = jpegs.field("brightness")
    encoded = jpegs.is_valid().to_numpy(zero_copy_only=False)
    sizes = 3 * np.maximum(facts["width"].astype(np.int64) * facts["height"], side * side)
    for part in _chunks(rows, sizes[rows]):
        plain, kept = np.flatnonzero(~encoded[part]), np.flatnonzero(encoded[part])
        own = {name: values[part[kept]].astype(np.int64) for name, values in facts.items()}
        of_cells = brightness.take(pa.array(part[kept])).flatten().to_numpy().reshape(-1, CELLS, CELLS)
        data = KeptJpegs(_bytes_of(batch["pixels"], part[kept]), **own, brightness=of_cells)
        with decoder.at_work():
            cut = cut_jpegs(decoder, data, side)
            pixels = cut.pixels
            if len(plain):
                images = torch.from_numpy(images_of(batch["pixels"], part[plain], side))
                order = np.argsort(np.concatenate([kept, plain]))
                pixels = torch.cat([pixels, images.to(decoder.device)])[order]
            problems = {int(part[kept[place]]): problem for place, problem in cut.problems.items()}
            good = np.flatnonzero(~np.isin(part, list(problems)))
            if problems:
                pixels = pixels[good]
        yield RegionPart(part[good], pixels, problems, cut.left_to_cpu)


def _chunks(rows: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows in order, so many at a time that they fit in memory; one that doesn't is alone."""
    start = 0
    while start < len(rows):
        fitting = np.searchsorted(np.cumsum(sizes[start : start + _MOST_ROWS]), _MOST_BYTES, side="right")
        stop = start + max(1, int(fitting))
        yield rows[start:stop]
        start = stop


def _bytes_of(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """The bytes of some rows, as views of the column."""
    starts, stops, every = _places(column, rows)
    return [every[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def _places(
    column: pa.ChunkedArray, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Where the values of some rows start and stop, and the bytes of all."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset :]
    return bounds[rows], bounds[rows + 1], np.frombuffer(data, np.uint8)
