"""The commit of a run: every unit accounted for, then one atomic snapshot of the catalogue."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from pydantic import Field

from pipeline import storage
from pipeline.catalogue.layout import RunLayout, catalogue_uri
from pipeline.catalogue.ledger import LedgerEntry, read_stored
from pipeline.catalogue.plan import Plan, read_plans
from pipeline.catalogue.quarantine import read_quarantine, write_quarantine
from pipeline.catalogue.refresh import Keeper, ReadIds, kept_batches
from pipeline.catalogue.schema import catalogue_schema
from pipeline.catalogue.snapshot import find_table, open_catalogue, snapshot_dataset
from pipeline.config import StrictModel
from pipeline.errors import HeldError, InputError, RunError
from pipeline.faults import crash_point
from pipeline.tree import DecisionTree

_TARGET_FILE_BYTES = 256 << 20
_BATCH_ROWS = 65_536
_LEASE = "lease"
_PAUSES = (1.0, 2.0, 4.0)
"""Seconds between attempts to commit."""


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


def is_committed(output: str, plan: Plan) -> bool:
    """Whether the catalogue already holds this run."""
    table = open_catalogue(catalogue_uri(output))
    return table is not None and table.transaction_version(plan.run) is not None


def last_committed(output: str) -> Plan | None:
    """The plan of the run that made the catalogue's snapshot; None if there is none yet."""
    table = open_catalogue(catalogue_uri(output))
    if table is None:
        return None
    plans = reversed(read_plans(output))
    return next((plan for plan in plans if table.transaction_version(plan.run) is not None), None)


def last_epoch(output: str) -> int:
    """The lease's epoch under which the catalogue was last committed; 0 if there is none yet."""
    table = open_catalogue(catalogue_uri(output))
    return (table.transaction_version(_LEASE) or 0) if table is not None else 0


def commit_run(
    layout: RunLayout,
    tree: DecisionTree,
    plan: Plan,
    ledger: dict[int, LedgerEntry],
    epoch: int,
    read_ids: ReadIds | None = None,
) -> None:
    """Compact the parts of a run into the catalogue, as one snapshot that replaces the one before.

    The rows of a plan's base that the run didn't classify anew are kept in it (see `Keeper`). Committing a
    run twice changes nothing. The snapshot records the lease's epoch: a writer of an older one is refused,
    and of two writers at once the Delta log lets one through: both name the same transaction.

    Parameters
    ----------
    epoch
        Of the lease under which this writer works.
    read_ids
        Reads the object ids of an input shard; needed by a plan with a base.

    Raises
    ------
    InputError
        If a unit is not accounted for, a part is gone or damaged, or the store keeps failing.
    HeldError
        If a later holder of the lease has committed already.
    """
    _check_accounts(plan, ledger)
    write_quarantine(layout, plan, ledger)
    keeper = None
    if plan.base is not None and read_ids is not None:
        keeper = Keeper(plan, read_ids, read_quarantine(layout))
    for pause in (*_PAUSES, None):
        try:
            _commit_unless_there(layout, tree, plan, ledger, epoch, keeper)
            return
        except (OSError, DeltaError):
            if pause is None:
                with storage.explained("commit to", catalogue_uri(layout.output)):
                    raise
            time.sleep(pause)


def _commit_unless_there(
    layout: RunLayout,
    tree: DecisionTree,
    plan: Plan,
    ledger: dict[int, LedgerEntry],
    epoch: int,
    keeper: Keeper | None,
) -> None:
    # Looked up before every attempt: a failed write may have landed though its answer was lost.
    table = find_table(catalogue_uri(layout.output))
    if table is not None and table.transaction_version(plan.run) is not None:
        return
    if table is not None and (table.transaction_version(_LEASE) or 0) > epoch:
        raise HeldError(f"a later run has committed to {layout.output}; this one stops")
    with storage.panics_unprinted():
        _write_snapshot(layout, tree, plan, ledger, table, epoch, keeper)
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
    keeper: Keeper | None,
) -> None:
    schema = catalogue_schema(tree)
    problems: list[Exception] = []
    rows = _batches(layout, schema, ledger)
    if table is not None and keeper is not None:
        before = snapshot_dataset(catalogue_uri(layout.output), table).to_batches(schema.names)
        rows = itertools.chain(kept_batches(before, keeper), rows)
    batches = _noting(rows, problems)
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
