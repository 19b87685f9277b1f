"""The commit of a run to a catalogue in its store; see `pipeline.protocol.commit`."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from pipeline import storage
from pipeline.catalogue.delta import find_table, snapshot_files
from pipeline.catalogue.files import BATCH_ROWS, read_batches, recorded_digest, write_data_files
from pipeline.catalogue.refresh import Keeper, ReadIds, RowHashes, kept_batches
from pipeline.catalogue.rows import with_readings
from pipeline.catalogue.schema import catalogue_schema, planned_schema, reading_columns
from pipeline.catalogue.table import read_state, table_handlers
from pipeline.faults import crash_point
from pipeline.protocol.commit import CheckInputs, WriteFiles, WriteVersion
from pipeline.protocol.layout import RunLayout, catalogue_uri
from pipeline.protocol.lease import Sleep
from pipeline.protocol.ledger import Ledger
from pipeline.protocol.plan import Plan
from pipeline.protocol.records.ledger import read_stored
from pipeline.protocol.records.plans import read_plans
from pipeline.protocol.records.quarantine import read_quarantine, write_quarantine
from pipeline.protocol.run import Base
from pipeline.protocol.steps import Handlers
from pipeline.tree import DecisionTree


def is_committed(output: str, plan: Plan) -> bool:
    """Whether a version of the catalogue ever took the rows of a run."""
    state = read_state(output, plan.run)
    return state is not None and state.made is not None


def is_finished(output: str, plan: Plan) -> bool:
    """Whether nothing is left to do of a run: its rows are committed, and its summary is written."""
    return storage.exists(RunLayout(output, plan.run).summary) and is_committed(output, plan)


def current_run(output: str) -> Plan | None:
    """The plan of the run whose rows the catalogue holds; None if there is none, or other rows."""
    state = read_state(output)
    return next((plan for plan in read_plans(output) if state is not None and plan.run == state.run), None)


def commit_handlers(
    output: str,
    tree: DecisionTree,
    read_ids: ReadIds | None = None,
    check_inputs: Callable[[Plan], None] = lambda plan: None,
) -> Handlers:
    """What carries out the instructions of `pipeline.protocol.commit`, but for those of the lease.

    Parameters
    ----------
    read_ids
        Reads the object ids of an input shard; needed by a plan that keeps rows.
    check_inputs
        See `CheckInputs`.
    """

    def write(instruction: WriteFiles) -> list[AddAction]:
        layout = RunLayout(output, instruction.plan.run)
        return write_files(layout, tree, instruction.plan, instruction.ledger, read_ids)

    table = table_handlers(output, tree)

    def write_version(instruction: WriteVersion) -> bool:
        written: bool = table[WriteVersion](instruction)
        crash_point("after_commit")
        return written

    return {
        **table,
        WriteFiles: write,
        WriteVersion: write_version,
        CheckInputs: lambda instruction: check_inputs(instruction.plan),
        Sleep: lambda instruction: time.sleep(instruction.seconds),
    }


def write_files(
    layout: RunLayout, tree: DecisionTree, plan: Plan, ledger: Ledger, read_ids: ReadIds | None = None
) -> list[AddAction]:
    """Make the rows of a run's version of the catalogue durable, and its quarantine.

    The rows of the version that the plan keeps, and that the run didn't classify anew, come first (see
    `Keeper`), what follows from their probabilities made anew.

    Raises
    ------
    InputError
        If a part or a data file is gone or damaged.
    """
    write_quarantine(layout, plan, ledger)
    schema, uri = planned_schema(tree, plan), catalogue_uri(layout.output)
    rows = _batches(layout, schema, ledger)
    if plan.kept is not None and read_ids is not None:
        table = find_table(uri, plan.kept)
        files = [] if table is None else kept_files(uri, table, plan.base is not None)
        keeper = Keeper(plan, read_ids, read_quarantine(layout))
        follows = set(reading_columns(tree))
        stored = pa.schema([field for field in schema if field.name not in follows])
        kept = kept_batches(read_batches(files, stored), keeper)
        rows = itertools.chain((with_readings(tree, schema, batch) for batch in kept), rows)
    return write_data_files(uri, schema, rows)


def kept_files(uri: str, table: DeltaTable, by_a_run: bool) -> list[str]:
    """The data files of a version whose rows a refresh may keep.

    Of a version that no run wrote these are the files that runs wrote, such as a restore brings back; what is
    in another program's files is classified anew.
    """
    files = [file.uri for file in snapshot_files(uri, table)]
    return [file for file in files if by_a_run or recorded_digest(file) is not None]


def holds_columns(output: str, schema: pa.Schema, version: int) -> bool:
    """Whether a version of the catalogue has all columns of a schema, so that its rows can be kept."""
    table = find_table(catalogue_uri(output), version)
    columns = pa.schema([]) if table is None else pa.schema(table.schema().to_arrow())
    return set(schema.names) <= set(columns.names)


def row_hashes(output: str, tree: DecisionTree, base: Base, runs: Sequence[str] | None) -> RowHashes:
    """Hashes of the rows that a refresh may keep, by which it tells whether the source still has them.

    Parameters
    ----------
    runs
        See `RowHashes`.

    Raises
    ------
    InputError
        If a data file is gone or damaged.
    """
    uri = catalogue_uri(output)
    table = find_table(uri, base.version)
    files = [] if table is None else kept_files(uri, table, base.plan is not None)
    schema = catalogue_schema(tree)
    columns = pa.schema([schema.field(name) for name in RowHashes.COLUMNS])
    return RowHashes(read_batches(files, columns), runs)


def _batches(layout: RunLayout, schema: pa.Schema, ledger: Ledger) -> Iterator[pa.RecordBatch]:
    """Rows of all parts in the order of the plan, gathered to batches of one row group's size."""
    waiting: list[pa.Table] = []
    parts = [part for index in sorted(ledger) if (part := ledger[index].part)]
    for rows in storage.read_ahead(functools.partial(read_stored, layout), parts):
        waiting.append(rows.cast(schema))
        if sum(len(table) for table in waiting) >= BATCH_ROWS:
            crash_point("in_compaction")
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting = []
    crash_point("in_compaction")
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()
