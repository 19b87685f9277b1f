"""The ledger: one entry a finished work unit, written once, after its part is durable."""

from __future__ import annotations

import hashlib
import io
import socket
import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError, model_validator

from pipeline import storage
from pipeline.catalogue.layout import RunLayout, is_part
from pipeline.catalogue.plan import WorkUnit
from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.faults import crash_point


class StoredTable(StrictModel):
    """A Parquet file of a unit: its name in the parts folder, and what it must contain."""

    name: str
    rows: int
    bytes: int
    sha256: str


class LedgerEntry(StrictModel):
    """What became of a unit's rows: rows in = classified + quarantined.

    Attributes
    ----------
    part
        Rows for the catalogue; None if all were quarantined.
    rejects
        Quarantined rows; None if there are none.
    quarantined
        Their number by reason.
    seconds
        Time spent on the unit by stage.
    replaced
        Classified ``galaxies`` of which bad ``pixels`` were replaced; empty if none was.
    attempt
        Tells this writing of the unit from others; part of its files' names.
    finished
        When the entry was written, ISO 8601 in UTC; None in entries of before there was such a stamp.
    """

    unit: int
    rows: int
    classified: int
    quarantined: dict[str, int]
    part: StoredTable | None
    rejects: StoredTable | None
    seconds: dict[str, float]
    node: str
    replaced: dict[str, int] = Field(default_factory=dict)
    attempt: str | None = None
    finished: str | None = None

    @property
    def stored(self) -> tuple[StoredTable, ...]:
        """The unit's files in the parts folder."""
        return tuple(table for table in (self.part, self.rejects) if table is not None)

    @model_validator(mode="after")
    def _balanced(self) -> LedgerEntry:
        if self.rows != self.classified + sum(self.quarantined.values()):
            raise ValueError(
                f"unit {self.unit}: {self.rows} rows in, {self.classified} classified and "
                f"{sum(self.quarantined.values())} quarantined"
            )
        return self


def record_unit(
    layout: RunLayout,
    unit: WorkUnit,
    classified: pa.Table,
    rejects: pa.Table,
    seconds: dict[str, float],
    replaced: dict[str, int] | None = None,
) -> LedgerEntry:
    """Make a unit's rows durable, then enter it into the ledger.

    A second writer of the same unit leaves its files as orphans; the entry that stands is returned.

    Parameters
    ----------
    classified
        Rows for the catalogue.
    rejects
        Quarantined rows (`QUARANTINE_SCHEMA`).
    seconds, replaced
        See `LedgerEntry`.

    Raises
    ------
    ValueError
        If rows in ≠ classified + quarantined.
    """
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
        attempt=attempt,
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    uri = entry_uri(layout, unit.index)
    crash_point("after_part")
    if storage.create(uri, entry.model_dump_json().encode()):
        return entry
    return read_entry(uri)


def read_entry(uri: str) -> LedgerEntry:
    """One ledger entry.

    Raises
    ------
    InputError
        If it is gone or damaged.
    """
    try:
        return LedgerEntry.model_validate_json(storage.read_bytes(uri))
    except ValidationError as error:
        raise InputError(f"{uri} is not a ledger entry: {error.errors()[0]['msg']}") from error


def entry_uri(layout: RunLayout, unit: int) -> str:
    """The ledger entry of a unit."""
    return storage.join(layout.ledger, f"{unit:08d}.json")


def orphaned_parts(
    parts: Iterable[storage.FileInfo], ledger: Collection[LedgerEntry]
) -> list[storage.FileInfo]:
    """Those files of a parts folder that no ledger entry names: a second writer's, or a killed one's.

    `parts` must have been listed before `ledger` was read: a file is there before its entry.
    """
    named = {table.name for entry in ledger for table in entry.stored}
    return [file for file in parts if is_part(file.uri) and storage.name(file.uri) not in named]


def read_ledger(layout: RunLayout) -> dict[int, LedgerEntry]:
    """Entries of all finished units, by unit.

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
