"""What the rows of a shard hold, as digests: how a refresh knows which have changed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.cutouts.reading import SalvagedRows

CONTENT_SCHEMA = pa.schema([("object_id", pa.string()), ("content", pa.string())])


def content_digest(cutout: Mapping[str, Any]) -> str:
    """A digest of all of a row but its ``object_id`` (BLAKE2b, 128 bits, in hex).

    Parameters
    ----------
    cutout
        As `SalvagedRows.cutouts` gives it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(cutout.keys() - {"object_id"}):
        for piece in _pieces(cutout[name]):
            digest.update(piece)
    return digest.hexdigest()


def contents_of(read: SalvagedRows) -> pa.Table:
    """Ids and digests of rows, with `CONTENT_SCHEMA`."""
    digests = [
        None if offset in read.problems else content_digest(row) for offset, row in enumerate(read.cutouts())
    ]
    return pa.Table.from_arrays(
        [read.table["object_id"], pa.array(digests, pa.string())], schema=CONTENT_SCHEMA
    )


def _pieces(value: Any) -> list[bytes]:
    """Bytes that tell a value from any other."""
    if isinstance(value, pa.Scalar):
        return _pieces(value.as_py())
    if isinstance(value, bytes):
        return [b"%d:" % len(value), value]
    if isinstance(value, np.ndarray):
        return [f"{value.dtype.str}{value.shape}".encode(), value.tobytes()]
    if isinstance(value, Mapping):
        return [piece for item in sorted(value.items()) for piece in _pieces(item)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [b"[%d" % len(value), *(piece for item in value for piece in _pieces(item))]
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return [b"-;" if missing else f"{value!r};".encode()]
