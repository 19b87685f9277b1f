"""What a catalogue holds, by place: how many galaxies each part of the sky has, and their rows' digest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue.embedding import VECTOR
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.partitions import COUNTING_ORDER
from pipeline.catalogue.region import healpix_pixels, positions
from pipeline.catalogue.snapshot import Progress, silent

_MIX = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True)
class Census:
    """The rows of a catalogue, counted and digested, in whatever order they came.

    Attributes
    ----------
    counts : ndarray, shape (12 * 4**9,), int64
        Rows in each nested HEALPix pixel of order 9.
    digests : ndarray, shape (12 * 4**9,), uint64
        Sum of their digests.
    cells : ndarray, shape (12 * 4**order,), bool
        Which pixels of the coverage's order have any.
    unplaced, unplaced_digest
        Rows without a position, and the sum of their digests.
    """

    counts: NDArray[np.int64]
    digests: NDArray[np.uint64]
    cells: NDArray[np.bool_]
    unplaced: int
    unplaced_digest: int

    @property
    def placed(self) -> int:
        """Rows with a position."""
        return int(self.counts.sum())

    def of_pixel(self, order: int, pixel: int) -> tuple[int, str]:
        """Rows in a pixel of order 9 or less, and their digest."""
        inside = pixel_range(order, pixel, COUNTING_ORDER)
        total = np.add.reduce(self.digests[inside], dtype=np.uint64)
        return int(self.counts[inside].sum()), f"{int(total):016x}"

    @property
    def digest(self) -> str:
        """Of all rows, wherever they are."""
        total = int(np.add.reduce(self.digests, dtype=np.uint64)) + self.unplaced_digest
        return f"{self.placed}-{self.unplaced}-{total % 2**64:016x}"


def pixel_range(order: int, pixel: int, deeper: int) -> slice:
    """The nested pixels of a deeper order that lie in a pixel."""
    each = 4 ** (deeper - order)
    return slice(pixel * each, (pixel + 1) * each)


def take_census(source: ExportedRows, coverage_order: int, progress: Progress = silent) -> Census:
    """Read all rows once; memory doesn't grow with them."""
    counts = np.zeros(12 * 4**COUNTING_ORDER, np.int64)
    digests = np.zeros(len(counts), np.uint64)
    cells = np.zeros(12 * 4**coverage_order, np.bool_)
    unplaced, unplaced_digest = 0, 0
    for batch in source.batches(progress=progress):
        ra, dec, placed = positions(batch)
        of_rows = row_digests(batch)
        pixels = healpix_pixels(ra[placed], dec[placed], COUNTING_ORDER)
        np.add.at(counts, pixels, 1)
        np.add.at(digests, pixels, of_rows[placed])
        cells[healpix_pixels(ra[placed], dec[placed], coverage_order)] = True
        unplaced += int((~placed).sum())
        unplaced_digest += int(np.add.reduce(of_rows[~placed], dtype=np.uint64))
    return Census(counts, digests, cells, unplaced, unplaced_digest % 2**64)


def row_digests(batch: pa.RecordBatch | pa.Table) -> NDArray[np.uint64]:
    """A number of 64 bits for each row, by all its values; a sum of them doesn't depend on the rows' order.

    It tells what has changed, and is no safeguard against who wants to deceive.
    """
    digests = np.zeros(batch.num_rows, np.uint64)
    for column in batch.columns:
        for word in _words(column):
            digests = (digests ^ word) * _MIX
            digests ^= digests >> np.uint64(29)
    return digests


def _words(column: pa.Array | pa.ChunkedArray) -> list[NDArray[np.uint64]]:
    """The values of a column as numbers of 64 bits; one of vectors has several each."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.type == VECTOR:
        numbers = array.flatten().to_numpy(zero_copy_only=False)
        return list(np.ascontiguousarray(numbers).reshape(len(array), -1).view(np.uint64).T)
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        values = _text_words(array)
    else:
        zero = pa.scalar(0).cast(array.type)
        numbers = array.fill_null(zero).to_numpy(zero_copy_only=False)
        same_size = {4: np.uint32, 8: np.uint64}.get(numbers.dtype.itemsize)
        values = (numbers.view(same_size) if same_size else numbers).astype(np.uint64)
    if array.null_count:
        values = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, values)
    return [values]


def _text_words(array: pa.Array) -> NDArray[np.uint64]:
    coded = array.fill_null("" if pa.types.is_string(array.type) else b"").dictionary_encode()
    texts = coded.dictionary.to_numpy(zero_copy_only=False)
    known = np.asarray(pd.util.hash_array(texts, categorize=False), np.uint64)
    words: NDArray[np.uint64] = known[coded.indices.to_numpy()]
    return words
