"""Which HEALPix pixel each row goes to, and rows gathered by pixel through a file on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import InputError

if TYPE_CHECKING:
    from hats.pixel_math import HealpixPixel

COUNTING_ORDER = 9
"""Order of the pixels by which positions are counted: of 7 arcmin, 3.1 million in all."""

_SPILL_ROWS = 65_536
_SPATIAL_ORDER = 29


def partition(counts: NDArray[np.int64], most_rows: int) -> list[HealpixPixel]:
    """The largest HEALPix pixels that hold at most so many rows each, none of them empty.

    Parameters
    ----------
    counts : ndarray, shape (12 * 4**k,), int64
        Rows in each pixel of an order k, nested.

    Raises
    ------
    InputError
        If a pixel of that order holds more.
    """
    from hats.pixel_math import HealpixPixel
    from hats.pixel_math.healpix_shim import npix2order
    from hats.pixel_math.partition_stats import generate_alignment

    if counts.max() > most_rows:
        raise InputError(
            f"partition_rows={most_rows}: {counts.max():,} galaxies lie in one pixel of "
            f"{_side_arcmin(npix2order(len(counts))):.0f} arcmin, the smallest; give at least that many"
        )
    # The alignment is a loop over the pixels: give it those of the lowest order that will do.
    while len(counts) > 12 and (merged := counts.reshape(-1, 4).sum(axis=1)).max() <= most_rows:
        counts = merged
    aligned = generate_alignment(counts, highest_order=npix2order(len(counts)), threshold=most_rows)
    pixels = {(int(entry[0]), int(entry[1])) for entry in aligned if entry is not None}
    return [HealpixPixel(order, pixel) for order, pixel in sorted(pixels, key=_first_of)]


def _side_arcmin(order: int) -> float:
    from hats.pixel_math.healpix_shim import order2resol

    return float(order2resol(order, arcmin=True))


def _first_of(pixel: tuple[int, int]) -> int:
    order, number = pixel
    return number << 2 * (_SPATIAL_ORDER - order)


class Spill:
    """Rows gathered by partition on disk, since they come in any order and don't fit into memory.

    At most `_SPILL_ROWS` of them are in memory, and those of the partition that is read.

    Parameters
    ----------
    path
        File to make.
    pixels
        The partitions, in the order of the sky; they don't overlap.
    index
        Name of the column of nested HEALPix pixels of order 29.
    """

    def __init__(self, path: Path, schema: pa.Schema, pixels: list[HealpixPixel], index: str) -> None:
        self.schema = schema
        self._path = path
        self._index = index
        self._starts = np.array([_first_of((pixel.order, pixel.pixel)) for pixel in pixels], np.int64)
        self._places: dict[int, list[int]] = defaultdict(list)
        self._waiting: list[pa.RecordBatch] = []
        self._written = 0
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_file(str(path), schema, options=options)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows; each has to lie in one of the partitions."""
        if len(batch):
            self._waiting.append(batch)
        if sum(map(len, self._waiting)) >= _SPILL_ROWS:
            self._flush()

    def read(self) -> Iterator[pa.Table]:
        """The rows of each partition, in the order of the sky."""
        self._flush()
        self._writer.close()
        with pa.OSFile(str(self._path)) as stream, pa.ipc.open_file(stream) as file:
            for number in range(len(self._starts)):
                yield pa.Table.from_batches(
                    [file.get_batch(place) for place in self._places[number]], file.schema
                )

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pa.Table.from_batches(self._waiting).sort_by(self._index).combine_chunks()
        self._waiting = []
        numbers = np.searchsorted(self._starts, rows[self._index].to_numpy(), side="right") - 1
        first = np.flatnonzero(np.diff(numbers, prepend=-1))
        for start, stop in zip(first, [*first[1:], len(rows)], strict=True):
            for batch in rows.slice(start, stop - start).to_batches():
                self._writer.write_batch(batch)
                self._places[int(numbers[start])].append(self._written)
                self._written += 1
