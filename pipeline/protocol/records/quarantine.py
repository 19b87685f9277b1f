"""The quarantine of a run: every input row that can't be classified, in one file."""

from __future__ import annotations

import functools
import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.ledger import Ledger
from pipeline.protocol.plan import Plan
from pipeline.protocol.records.ledger import read_stored

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("object_id", pa.string(), metadata={"description": "Null if the row has none"}),
        pa.field("shard", pa.string(), metadata={"description": "Input shard"}),
        pa.field("row", pa.int64(), metadata={"description": "Row in the shard, from 0"}),
        pa.field("reason", pa.string(), metadata={"description": "Short code to count by"}),
        pa.field("message", pa.string(), metadata={"description": "What is wrong and what was expected"}),
    ]
)
"""One row for each input row that could not be classified."""

QUARANTINE_REASONS = frozenset(
    {
        "alpha",
        "bad_center",
        "bad_frame",
        "bad_metadata",
        "bad_object_id",
        "bad_pixels",
        "bad_position",
        "bad_shape",
        "bad_size",
        "bad_wcs",
        "cmyk",
        "damaged",
        "damaged_tile",
        "decode_timeout",
        "decoder_failed",
        "duplicate_object_id",
        "empty",
        "grey",
        "killed_decoder",
        "missing_band",
        "no_extension",
        "no_object_id",
        "no_pixel_scale",
        "no_source",
        "no_wcs",
        "not_an_image",
        "not_finite",
        "out_of_memory",
        "outside",
        "too_large",
        "too_small",
        "truncated",
        "unreadable_rows",
    }
)
"""Every reason for which a row is quarantined; `verify` takes any other for damage."""

GONE, UNREADABLE = "gone", "quarantined"
"""What a row of the catalogue is marked with, in column ``stale``, that a refresh didn't find in the source,
or found there as one that can't be classified: its answers are those of the last row that could."""


def write_quarantine(layout: RunLayout, plan: Plan, ledger: Ledger) -> None:
    """Gather the rejects of all units, and of the base run those of the shards that are carried over."""
    if storage.exists(layout.parts_removed):
        return  # the rejects are gone, and the quarantine was whole before they went
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, QUARANTINE_SCHEMA, compression="zstd") as writer:
        if plan.base is not None:
            before = read_quarantine(RunLayout(layout.output, plan.base))
            carried = pa.array([shard.uri for shard in plan.shards if shard.carried], pa.string())
            writer.write_table(before.filter(pc.is_in(before["shard"], carried)))
        rejects = [rejects for index in sorted(ledger) if (rejects := ledger[index].rejects)]
        for rows in storage.read_ahead(functools.partial(read_stored, layout), rejects):
            writer.write_table(rows.cast(QUARANTINE_SCHEMA))
    storage.write_bytes(layout.quarantine, sink.getvalue())


def read_quarantine(layout: RunLayout) -> pa.Table:
    """The quarantine of a committed run (`QUARANTINE_SCHEMA`).

    Raises
    ------
    InputError
        If it can't be read.
    """
    return pq.read_table(io.BytesIO(storage.read_bytes(layout.quarantine))).cast(QUARANTINE_SCHEMA)
