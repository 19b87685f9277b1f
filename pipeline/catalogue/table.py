"""The catalogue's table in its store: its state, its log, and versions written just once."""

from __future__ import annotations

from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from pipeline import storage
from pipeline.catalogue.delta import find_table, load_table, reading_log
from pipeline.catalogue.log import actions, content_of, files_transaction, version_of_entry
from pipeline.catalogue.schema import catalogue_schema, planned_schema
from pipeline.errors import InputError, RunError, StorageTrouble
from pipeline.protocol.commit import CreateTable, OpenTable, TableState, Unclear, WriteVersion
from pipeline.protocol.layout import catalogue_uri
from pipeline.protocol.records.plans import read_plans
from pipeline.protocol.steps import Handlers
from pipeline.protocol.vacuum import TableLog
from pipeline.tree import DecisionTree

_LEASE = "lease"
"""The application whose transactions in the log are epochs of the lease."""

_APPEND_ONLY = "delta.appendOnly"
_RETENTION = "delta.deletedFileRetentionDuration"
_SECONDS = {
    "nanosecond": 1e-9,
    "microsecond": 1e-6,
    "millisecond": 1e-3,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
}


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
    try:
        return _state_now(output, run)
    except StorageTrouble:  # the Delta library doesn't ask again where an answer breaks off
        return _state_now(output, run)


def _state_now(output: str, run: str | None) -> TableState | None:
    table = load_table(catalogue_uri(output))
    if table is None:
        return None
    with storage.explained("read the log of", catalogue_uri(output)):
        return state_of(output, table, run)


def state_of(output: str, table: DeltaTable, run: str | None = None) -> TableState:
    """The state of an output's table as it was opened.

    Raises
    ------
    DamagedCatalogue
        If its log can't be understood.
    """
    with reading_log(table.table_uri):
        content = content_of(catalogue_uri(output), table, lambda: [plan.run for plan in read_plans(output)])
        made = None if run is None else table.transaction_version(run)
        epoch = table.transaction_version(_LEASE) or 0
        append_only = (table.metadata().configuration.get(_APPEND_ONLY) or "").lower() == "true"
    version, run_of_it = (None, None) if content is None else (content.version, content.run)
    return TableState(table.version(), version, run_of_it, made, epoch, append_only)


def table_handlers(output: str, tree: DecisionTree | None = None) -> Handlers:
    """What carries out the instructions about the table itself.

    Parameters
    ----------
    tree
        Tree that the columns are of; needed to make it, and to write versions of a run.
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
    """Write a version of the table over the one before it; False if that isn't the newest any more.

    Nothing is ever rebased on a later version. See `WriteVersion`.

    Raises
    ------
    Unclear
        If the store failed.
    """
    uri, plan = catalogue_uri(output), instruction.plan
    transactions = [Transaction(_LEASE, instruction.epoch)]
    if plan is not None:
        transactions.append(Transaction(plan.run, instruction.version))
        transactions.append(files_transaction(plan.run, (file.path for file in instruction.files)))
    try:
        with storage.explained("commit to", uri), storage.panics_unprinted():
            table = DeltaTable(
                uri, version=instruction.version - 1, storage_options=storage.delta_options(output)
            )
            schema = table.schema()
            if plan is not None and tree is not None:
                schema = planned_schema(tree, plan)
            try:
                table.create_write_transaction(
                    list(instruction.files),
                    mode="append" if plan is None else "overwrite",
                    schema=schema,
                    commit_properties=CommitProperties(
                        app_transactions=transactions,
                        custom_metadata={"fence": "true"} if plan is None else {"run": plan.run},
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
    table = load_table(uri)
    if table is None:
        raise InputError(f"{uri} is not a catalogue; expected the folder that classify made")
    live = frozenset(storage.name(unquote(file)) for file in table.file_uris())
    named, superseded = set(live), dict[str, float]()
    for file in storage.list_files(storage.join(uri, "_delta_log"), ".json"):
        if version_of_entry(file.uri) is None:
            continue
        for action in actions(file.uri):
            for kind in action.keys() & {"add", "remove"}:
                name = storage.name(unquote(action[kind]["path"]))
                named.add(name)
                if kind == "remove":
                    superseded[name] = file.modified
    configured = table.metadata().configuration.get(_RETENTION) or "interval 1 week"
    return TableLog(live, frozenset(named), superseded, retention_seconds(configured))


def retention_seconds(text: str) -> float:
    """How long a table wants superseded files kept, from its property.

    Raises
    ------
    InputError
        If it is no duration.

    Examples
    --------
    >>> retention_seconds("interval 1 week")
    604800.0
    """
    words = text.lower().removeprefix("interval ").split()
    counts, units = words[::2], [word.removesuffix("s") for word in words[1::2]]
    if not words or len(words) % 2 or not all(map(str.isdecimal, counts)) or set(units) - _SECONDS.keys():
        raise InputError(
            f"the catalogue's property {_RETENTION} is {text!r}; expected a duration such as "
            "'interval 7 days'"
        )
    return sum(int(count) * _SECONDS[unit] for count, unit in zip(counts, units, strict=True))
