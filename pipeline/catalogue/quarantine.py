"""The quarantine of a run: every input row that can't be classified, in one file."""

from __future__ import annotations

import functools
import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.catalogue.ledger import read_stored
from pipeline.catalogue.schema import QUARANTINE_SCHEMA
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.ledger import Ledger
from pipeline.protocol.plan import Plan


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
