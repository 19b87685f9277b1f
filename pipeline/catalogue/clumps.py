"""The catalogue's columns of clumps: how many a galaxy has, and all that is said of each as plain binary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import InputError

CLUMPS, CLUMP_COUNT = "clumps", "clump_count"
"""Names of the columns."""

CLUMP = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("ra", "<f8"),
        ("dec", "<f8"),
        ("width", "<f4"),
        ("probability", "<f4"),
        ("flux_ratio_red", "<f4"),
        ("flux_ratio_green", "<f4"),
        ("flux_ratio_blue", "<f4"),
    ]
)
"""What is said of a clump: its middle, in pixels of the picture (0 is the middle of the first) and in degrees
(NaN where the scale isn't known); width of its box in pixels; its probability; and its flux over the
galaxy's in each band of the picture."""

CRITERIA = {"relaxed": 0.03, "strict": 0.08}
"""Flux ratios from which on a clump counts, in the bluest band: those of Adams et al. 2022 and of Guo et
al. 2015, whose bands are ultraviolet."""


def pack_clumps(clumps: Iterable[NDArray[np.void]]) -> pa.BinaryArray:
    """The clumps of galaxies, each an array of `CLUMP`, as the column `CLUMPS`."""
    return pa.array([np.ascontiguousarray(one, CLUMP).tobytes() for one in clumps], pa.binary())


def count_clumps(packed: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """The column `CLUMP_COUNT` that goes with a column `CLUMPS`."""
    lengths = [len(data) if data else 0 for data in packed.to_pylist()]
    return np.array(lengths, np.int64) // CLUMP.itemsize


def unpack_clumps(packed: Sequence[bytes | None]) -> list[NDArray[np.void]]:
    """The clumps of galaxies, from the column `CLUMPS`.

    Raises
    ------
    InputError
        If a value has no whole number of clumps.
    """
    odd = next((len(data) for data in packed if data and len(data) % CLUMP.itemsize), None)
    if odd is not None:
        raise InputError(
            f"the column {CLUMPS!r} has a row of {odd} bytes; expected a multiple of {CLUMP.itemsize}: see "
            "`tuningfork verify`"
        )
    return [np.frombuffer(data or b"", CLUMP) for data in packed]
