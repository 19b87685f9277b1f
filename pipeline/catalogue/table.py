"""The catalogue's table in its store: its state, its log, and versions written just once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pandas as pd
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from pipeline import storage
from pipeline.catalogue.schema import catalogue_schema
from pipeline.catalogue.snapshot import find_table, open_catalogue, reading_log
from pipeline.errors import InputError, RunError
from pipeline.protocol.commit import CreateTable, OpenTable, TableState, Unclear, WriteVersion
from pipeline.protocol.layout import catalogue_uri
from pipeline.protocol.steps import Handlers
from pipeline.protocol.vacuum import TableLog
from pipeline.tree import DecisionTree

_LEASE = "lease"
"""The application whose transactions in the log are epochs of the lease."""

_FENCE = "fence"
"""Marks versions that change no row, in their commit's information."""

_ROWS_UNCHANGED = frozenset({"VACUUM START", "VACUUM END", "SET TBLPROPERTIES"})
"""Operations of the Delta library that change no row either."""

_RETENTION = "delta.deletedFileRetentionDuration"


def read_state(output: str, run: str | None = None) -> TableState | None:
    """The state of an output's table; None if there is none yet.

    Parameters
    ----------
    run
        Whose version is looked up as `TableState.made`.

    Raises
    ------
    InputError
        If the table can't be read.
    """
    table = open_catalogue(catalogue_uri(output))
    if table is None:
        return None
    with storage.explained("read the log of", catalogue_uri(output)):
        return state_of(table, run)


def state_of(table: DeltaTable, run: str | None = None) -> TableState:
    """The state of a table as it was opened.

    Raises
    ------
    InputError
        If its log can't be understood.
    """
    content, writer = table.version(), None
    with reading_log(table.table_uri):
        for entry in _newest_first(table):
            if _FENCE not in entry and entry.get("operation") not in _ROWS_UNCHANGED:
                content, writer = entry["version"], entry.get("run")
                break
        made = None if run is None else table.transaction_version(run)
        epoch = table.transaction_version(_LEASE) or 0
    return TableState(table.version(), content, writer, made, epoch)


def _newest_first(table: DeltaTable) -> Iterator[dict[str, Any]]:
    """What the log says of each version; most often only the newest is asked for."""
    told = 0
    for limit in (1, 16, None):
        entries = table.history(limit)
        yield from entries[told:]
        told = len(entries)


def table_handlers(output: str, tree: DecisionTree | None = None) -> Handlers:
    """What carries out the instructions about the table itself.

    Parameters
    ----------
    tree
        Its columns; needed to make it, and to write versions of a run.
    """
    handlers: Handlers = {
        OpenTable: lambda instruction: read_state(output, instruction.run),
        WriteVersion: lambda instruction: write_version(output, tree, instruction),
    }
    if tree is None:
        return handlers
    return {**handlers, CreateTable: lambda _: create_table(output, tree)}


def create_table(output: str, tree: DecisionTree) -> None:
    """Make the table, empty; one that is there already stays as it is."""
    uri = catalogue_uri(output)
    with storage.explained("create", uri), storage.panics_unprinted():
        try:
            DeltaTable.create(
                uri,
                catalogue_schema(tree),
                mode="error",
                name="Galaxy morphology",
                description=f"Answers of the {tree.name} decision tree",
                storage_options=storage.delta_options(output),
            )
        except (DeltaError, OSError):
            if find_table(uri) is None:
                raise


def write_version(output: str, tree: DecisionTree | None, instruction: WriteVersion) -> bool:
    """See `WriteVersion`. Nothing is ever rebased: a version is written over the one before it or not at all.

    Raises
    ------
    Unclear
        If the store failed.
    """
    uri, plan = catalogue_uri(output), instruction.plan
    transactions = [Transaction(_LEASE, instruction.epoch)]
    if plan is not None:
        transactions.append(Transaction(plan.run, instruction.version))
    try:
        with storage.explained("commit to", uri), storage.panics_unprinted():
            table = DeltaTable(
                uri, version=instruction.version - 1, storage_options=storage.delta_options(output)
            )
            schema = table.schema() if plan is None or tree is None else catalogue_schema(tree)
            try:
                table.create_write_transaction(
                    list(instruction.files),
                    mode="append" if plan is None else "overwrite",
                    schema=schema,
                    commit_properties=CommitProperties(
                        app_transactions=transactions,
                        custom_metadata={_FENCE: "true"} if plan is None else {"run": plan.run},
                        max_commit_retries=0,
                    ),
                )
            except CommitFailedError:
                if (
                    DeltaTable(uri, storage_options=storage.delta_options(output)).version()
                    == table.version()
                ):
                    raise
                return False
    except (InputError, RunError) as error:
        raise Unclear(error) from error
    return True


def read_log(output: str) -> TableLog:
    """What the log of an output's table says of its files.

    Raises
    ------
    InputError
        If there is no table, or its log can't be read.
    """
    uri = catalogue_uri(output)
    table = open_catalogue(uri)
    if table is None:
        raise InputError(f"{uri} is not a catalogue; expected the folder that classify made")
    live = frozenset(storage.name(unquote(file)) for file in table.file_uris())
    named, superseded = set(live), dict[str, float]()
    for file in storage.list_files(storage.join(uri, "_delta_log"), ".json"):
        for action in actions(file.uri):
            for kind in action.keys() & {"add", "remove"}:
                name = storage.name(unquote(action[kind]["path"]))
                named.add(name)
                if kind == "remove":
                    superseded[name] = file.modified
    configured = table.metadata().configuration.get(_RETENTION) or "interval 1 week"
    retention = pd.Timedelta(_weeks_as_days(configured.removeprefix("interval ")))
    return TableLog(table.version(), live, frozenset(named), superseded, retention.total_seconds())


def _weeks_as_days(text: str) -> str:
    """A duration of Delta's as pandas reads it."""
    number, unit = text.split()
    return f"{int(number) * 7} days" if unit.startswith("week") else text


def actions(uri: str) -> list[dict[str, Any]]:
    """What an entry of the log does, in the terms of the Delta protocol."""
    return [json.loads(line) for line in storage.read_bytes(uri).splitlines() if line.strip()]
