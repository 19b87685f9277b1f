"""The commit of a run: every unit accounted for, then one atomic snapshot of the catalogue."""

from __future__ import annotations

import functools
import io
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from pydantic import Field

from pipeline import storage
from pipeline.catalogue.layout import RunLayout, catalogue_uri
from pipeline.catalogue.ledger import LedgerEntry, read_stored
from pipeline.catalogue.plan import Plan
from pipeline.catalogue.schema import QUARANTINE_SCHEMA, catalogue_schema
from pipeline.config import StrictModel
from pipeline.errors import HeldError, InputError, RunError
from pipeline.faults import crash_point
from pipeline.tree import DecisionTree

_TARGET_FILE_BYTES = 256 << 20
_BATCH_ROWS = 65_536
_LEASE = "lease"
_PAUSES = (1.0, 2.0, 4.0)
"""Seconds between attempts to commit."""


class DamagedCatalogue(InputError):
    """A Delta table whose log can't be understood."""


class RunSummary(StrictModel):
    """What a run did.

    Attributes
    ----------
    replaced
        See `LedgerEntry`.
    seconds
        Wall-clock time; of the last attempt alone where the run was `resumed`.
    """

    run: str
    rows: int
    classified: int
    quarantined: dict[str, int]
    bytes_in: int
    seconds: float
    resumed: bool
    started: str
    replaced: dict[str, int] = Field(default_factory=dict)


def open_catalogue(uri: str) -> DeltaTable | None:
    """The Delta table at a URI; None if there is none yet.

    Raises
    ------
    DamagedCatalogue
        If its log can't be understood.
    InputError
        If the store can't be reached.
    """
    try:
        with storage.explained("open", uri):
            return _open(uri)
    except InputError as error:
        if isinstance(error.__cause__, DeltaError | ValueError):
            raise DamagedCatalogue(str(error)) from error.__cause__
        raise


def _open(uri: str) -> DeltaTable | None:
    try:
        return DeltaTable(uri, storage_options=storage.delta_options(uri))
    except TableNotFoundError:
        return None


@dataclass(frozen=True)
class SnapshotFile:
    """A file of the catalogue as the Delta log describes it."""

    uri: str
    size: int
    rows: int


def snapshot_files(uri: str, table: DeltaTable) -> list[SnapshotFile]:
    """The files of the table's snapshot."""
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return [
        SnapshotFile(storage.join(uri, unquote(file["path"])), file["size_bytes"], file["num_records"])
        for file in sorted(actions, key=lambda file: str(file["path"]))
    ]


def is_committed(output: str, plan: Plan) -> bool:
    """Whether the catalogue already holds this run."""
    table = open_catalogue(catalogue_uri(output))
    return table is not None and table.transaction_version(plan.run) is not None


def last_epoch(output: str) -> int:
    """The lease's epoch under which the catalogue was last committed; 0 if there is none yet."""
    table = open_catalogue(catalogue_uri(output))
    return (table.transaction_version(_LEASE) or 0) if table is not None else 0


def commit_run(
    layout: RunLayout, tree: DecisionTree, plan: Plan, ledger: dict[int, LedgerEntry], epoch: int
) -> None:
    """Compact the parts of a run into the catalogue, as one snapshot that replaces the one before.

    Committing a run twice changes nothing. The snapshot records the lease's epoch: a writer of an older one
    is refused, and of two writers at once the Delta log lets one through: both name the same transaction.

    Parameters
    ----------
    epoch
        Of the lease under which this writer works.

    Raises
    ------
    InputError
        If a unit is not accounted for, a part is gone or damaged, or the store keeps failing.
    HeldError
        If a later holder of the lease has committed already.
    """
    _check_accounts(plan, ledger)
    _write_quarantine(layout, ledger)
    for pause in (*_PAUSES, None):
        try:
            _commit_unless_there(layout, tree, plan, ledger, epoch)
            return
        except (OSError, DeltaError):
            if pause is None:
                with storage.explained("commit to", catalogue_uri(layout.output)):
                    raise
            time.sleep(pause)


def _commit_unless_there(
    layout: RunLayout, tree: DecisionTree, plan: Plan, ledger: dict[int, LedgerEntry], epoch: int
) -> None:
    # Looked up before every attempt: a failed write may have landed though its answer was lost.
    table = _open(catalogue_uri(layout.output))
    if table is not None and table.transaction_version(plan.run) is not None:
        return
    if table is not None and (table.transaction_version(_LEASE) or 0) > epoch:
        raise HeldError(f"a later run has committed to {layout.output}; this one stops")
    _write_snapshot(layout, tree, plan, ledger, table, epoch)
    crash_point("after_commit")


def _check_accounts(plan: Plan, ledger: dict[int, LedgerEntry]) -> None:
    missing = [unit.index for unit in plan.units() if unit.index not in ledger]
    if missing:
        raise InputError(
            f"{len(missing)} of {plan.unit_count} units are not finished, first unit {missing[0]}; "
            "run the same command again"
        )
    for unit in plan.units():
        if ledger[unit.index].rows != unit.rows:
            raise InputError(
                f"unit {unit.index} of run {plan.run} has {unit.rows} rows in the plan and "
                f"{ledger[unit.index].rows} in its ledger entry; remove the entry and run the same command "
                "again"
            )


def _write_snapshot(
    layout: RunLayout,
    tree: DecisionTree,
    plan: Plan,
    ledger: dict[int, LedgerEntry],
    table: DeltaTable | None,
    epoch: int,
) -> None:
    schema = catalogue_schema(tree)
    problems: list[Exception] = []
    batches = _noting(_batches(layout, schema, ledger), problems)
    try:
        write_deltalake(
            table if table is not None else catalogue_uri(layout.output),
            pa.RecordBatchReader.from_batches(schema, batches),
            # A first snapshot must be the first: another writer's, made meanwhile, is not overwritten.
            mode="overwrite" if table is not None else "error",
            schema_mode="overwrite" if table is not None else None,
            name="Galaxy morphology",
            description=f"Answers of the {tree.name} decision tree",
            target_file_size=_TARGET_FILE_BYTES,
            storage_options=storage.delta_options(layout.output),
            commit_properties=CommitProperties(
                app_transactions=[Transaction(plan.run, 0), Transaction(_LEASE, epoch)],
                custom_metadata={"run": plan.run},
            ),
        )
    except Exception as error:
        if problems:
            raise problems[0] from error
        raise


def _noting(batches: Iterator[pa.RecordBatch], problems: list[Exception]) -> Iterator[pa.RecordBatch]:
    """Pass batches on; an error among them is noted, since Delta's writer wraps it past recognition."""
    try:
        yield from batches
    except (InputError, RunError) as error:
        problems.append(error)
        raise


def summarize(
    plan: Plan, ledger: dict[int, LedgerEntry], seconds: float, resumed: bool = False
) -> RunSummary:
    """Count what a run did."""
    quarantined: Counter[str] = Counter()
    replaced: Counter[str] = Counter()
    for entry in ledger.values():
        quarantined.update(entry.quarantined)
        replaced.update(entry.replaced)
    return RunSummary(
        run=plan.run,
        rows=sum(entry.rows for entry in ledger.values()),
        classified=sum(entry.classified for entry in ledger.values()),
        quarantined=dict(sorted(quarantined.items())),
        replaced=dict(replaced),
        bytes_in=sum(shard.size for shard in plan.shards),
        seconds=round(seconds, 2),
        resumed=resumed,
        started=plan.created,
    )


def _batches(
    layout: RunLayout, schema: pa.Schema, ledger: dict[int, LedgerEntry]
) -> Iterator[pa.RecordBatch]:
    """Rows of all parts in the order of the plan, gathered to batches of one row group's size."""
    waiting: list[pa.Table] = []
    parts = [part for index in sorted(ledger) if (part := ledger[index].part)]
    for rows in storage.read_ahead(functools.partial(read_stored, layout), parts):
        waiting.append(rows.cast(schema))
        if sum(len(table) for table in waiting) >= _BATCH_ROWS:
            crash_point("in_compaction")
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting = []
    crash_point("in_compaction")
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()


def _write_quarantine(layout: RunLayout, ledger: dict[int, LedgerEntry]) -> None:
    if storage.exists(layout.parts_removed):
        return  # the rejects are gone, and the quarantine was whole before they went
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, QUARANTINE_SCHEMA, compression="zstd") as writer:
        rejects = [rejects for index in sorted(ledger) if (rejects := ledger[index].rejects)]
        for rows in storage.read_ahead(functools.partial(read_stored, layout), rejects):
            writer.write_table(rows.cast(QUARANTINE_SCHEMA))
    storage.write_bytes(layout.quarantine, sink.getvalue())
