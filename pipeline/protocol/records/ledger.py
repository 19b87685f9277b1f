"""The ledger of a run in its store: units made durable and entered, and read again."""

from __future__ import annotations

import hashlib
import io
import socket
import uuid
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline import storage
from pipeline.errors import InputError
from pipeline.faults import crash_point
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.ledger import CreateEntry, LedgerEntry, ReadEntry, StoredTable, StoreUnit, enter_unit
from pipeline.protocol.plan import WorkUnit
from pipeline.protocol.steps import perform


def record_unit(
    layout: RunLayout,
    unit: WorkUnit,
    classified: pa.Table,
    rejects: pa.Table,
    seconds: dict[str, float],
    replaced: dict[str, int] | None = None,
    left_to_cpu: int = 0,
) -> LedgerEntry:
    """Make a unit's rows durable, then enter it into the ledger.

    A second writer of the same unit leaves its files as orphans; the entry that stands is returned.

    Parameters
    ----------
    classified
        Rows for the catalogue.
    rejects
        Quarantined rows (`QUARANTINE_SCHEMA`).
    seconds, replaced, left_to_cpu
        See `LedgerEntry`.

    Raises
    ------
    ValueError
        If rows in ≠ classified + quarantined.
    """

    def store(_: StoreUnit) -> LedgerEntry:
        attempt = uuid.uuid4().hex[:8]
        entry = LedgerEntry(
            unit=unit.index,
            rows=unit.rows,
            classified=len(classified),
            quarantined=dict(Counter(rejects["reason"].to_pylist())),
            part=store_table(layout, f"{unit.index:08d}-{attempt}.parquet", classified),
            rejects=store_table(layout, f"{unit.index:08d}-{attempt}-rejects.parquet", rejects),
            seconds={stage: round(value, 3) for stage, value in seconds.items()},
            node=socket.gethostname(),
            replaced=replaced or {},
            left_to_cpu=left_to_cpu,
            attempt=attempt,
            finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        crash_point("after_part")
        return entry

    def create(instruction: CreateEntry) -> bool:
        return storage.create(entry_uri(layout, unit.index), instruction.entry.model_dump_json().encode())

    def read(instruction: ReadEntry) -> LedgerEntry:
        return read_entry(entry_uri(layout, instruction.unit))

    return perform(enter_unit(), {StoreUnit: store, CreateEntry: create, ReadEntry: read})


def read_entry(uri: str) -> LedgerEntry:
    """Read one ledger entry.

    Raises
    ------
    InputError
        If it is gone or damaged.
    """
    return parse_entry(uri, storage.read_bytes(uri))


def parse_entry(uri: str, data: bytes) -> LedgerEntry:
    """Parse the content of a ledger entry.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        return LedgerEntry.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{uri} is not a ledger entry: {error.errors()[0]['msg']}") from error


def entry_uri(layout: RunLayout, unit: int) -> str:
    """URI of the ledger entry of a unit."""
    return storage.join(layout.ledger, f"{unit:08d}.json")


def read_ledger(layout: RunLayout) -> dict[int, LedgerEntry]:
    """Read the entries of all finished units, by unit.

    Raises
    ------
    InputError
        If an entry is damaged.
    """
    files = storage.list_files(layout.ledger, ".json")
    return {entry.unit: entry for entry in storage.read_ahead(lambda file: read_entry(file.uri), files)}


def read_stored(layout: RunLayout, stored: StoredTable) -> pa.Table:
    """Read a unit's file and check that it is the one entered.

    Raises
    ------
    InputError
        If it is gone or its content has changed.
    """
    uri = storage.join(layout.parts, stored.name)
    data = storage.read_bytes(uri)
    if hashlib.sha256(data).hexdigest() != stored.sha256:
        raise InputError(
            f"{uri} is not the file that the ledger names: its sha256 differs; remove the unit's entry in "
            f"{layout.ledger} and run the same command again"
        )
    return pq.read_table(io.BytesIO(data))


def store_table(layout: RunLayout, name: str, table: pa.Table) -> StoredTable | None:
    """Write one of a unit's files; an empty table needs none."""
    if not len(table):
        return None
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue()
    storage.write_bytes(storage.join(layout.parts, name), data)
    return StoredTable(name=name, rows=len(table), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
