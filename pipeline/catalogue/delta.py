"""Snapshots of the catalogue: opening the table, its files and its rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as pa_dataset
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from pipeline import storage
from pipeline.catalogue.log import content_of
from pipeline.errors import InputError

_STATISTICS = ("min.", "max.", "null_count.")


class DamagedCatalogue(InputError):
    """A Delta table whose log can't be understood."""


def load_table(uri: str) -> DeltaTable | None:
    """The Delta table at a URI; None if there is none yet.

    Raises
    ------
    DamagedCatalogue
        If its log can't be understood.
    InputError
        If the store can't be reached.
    """
    with reading_log(uri):
        return find_table(uri)


@contextlib.contextmanager
def reading_log(uri: str) -> Iterator[None]:
    """Tell a log that can't be understood from a store that can't be reached.

    The Delta library reads the history of a table and its transactions when they are asked for, so that
    damage to them shows only then.

    Raises
    ------
    DamagedCatalogue, InputError
        See `load_table`.
    """
    try:
        with storage.explained("open", uri):
            yield
    except InputError as error:
        if isinstance(error.__cause__, DeltaError | ValueError):
            raise DamagedCatalogue(str(error)) from error.__cause__
        raise


def open_version(uri: str, as_of: str | None = None) -> DeltaTable:
    """The catalogue's snapshot as it is, or as it was.

    Parameters
    ----------
    as_of
        A version from 0, or a date and time (ISO 8601; UTC where it names no zone) at which it stood.

    Raises
    ------
    InputError
        If there is no catalogue, it had no such snapshot, or no run was committed yet.
    """
    try:
        table = load_table(uri)
    except DamagedCatalogue as error:
        fs, path = storage.filesystem(uri)
        if fs.isfile(path):
            raise InputError(
                f"{uri} is a file, and a catalogue is a folder: the Delta table `catalogue` in the output of "
                "classify; name that"
            ) from error
        raise
    if table is None:
        raise InputError(f"{uri} is not a catalogue; expected the folder `catalogue` that classify made")
    if as_of is not None:
        table.load_as_version(_version_at(uri, table, as_of))
    with reading_log(uri):
        content = content_of(uri, table, tuple)
    if content is None:
        raise InputError(
            f"{uri} is empty{'' if as_of is None else ' as of ' + as_of}: no run was committed yet; "
            "`tuningfork status` tells how far it is"
        )
    return table


def _version_at(uri: str, table: DeltaTable, as_of: str) -> int:
    times: dict[int, float] = {entry["version"]: entry["timestamp"] / 1000 for entry in table.history()}
    if as_of.isdecimal():
        if int(as_of) not in times:
            raise InputError(f"{uri} has no version {as_of}; expected {min(times)} to {max(times)}")
        return int(as_of)
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise InputError(
            f"as_of is {as_of!r}; expected a version, or a date and time such as 2031-05-09T14:03"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    before = [version for version, time in times.items() if time <= moment.timestamp()]
    if not before:
        first = datetime.fromtimestamp(min(times.values()), UTC).isoformat(timespec="seconds")
        raise InputError(f"{uri} had no snapshot at {as_of}; its first is of {first}")
    return max(before)


def find_table(uri: str, version: int | None = None) -> DeltaTable | None:
    """The Delta table at a URI; None if there is none yet. Errors are the Delta library's own."""
    try:
        return DeltaTable(uri, version=version, storage_options=storage.delta_options(uri))
    except TableNotFoundError:
        return None


@dataclass(frozen=True)
class SnapshotFile:
    """A file of the catalogue as the Delta log describes it.

    Attributes
    ----------
    statistics
        Of its columns, by ``min.``, ``max.`` or ``null_count.`` and the column; readers pass over files by
        them.
    """

    uri: str
    size: int
    rows: int
    statistics: dict[str, Any] = field(default_factory=dict)


def snapshot_files(uri: str, table: DeltaTable) -> list[SnapshotFile]:
    """The files of the table's snapshot."""
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return [
        SnapshotFile(
            storage.join(uri, unquote(file["path"])),
            file["size_bytes"],
            file["num_records"],
            {name: value for name, value in file.items() if name.startswith(_STATISTICS)},
        )
        for file in sorted(actions, key=lambda file: str(file["path"]))
    ]


def snapshot_dataset(uri: str, table: DeltaTable) -> pa_dataset.Dataset:
    """The rows of the table's snapshot.

    They are read through fsspec: through Delta's own file system, Arrow's reader threads now and then abort
    the process as it ends (deltalake 1.6.6).
    """
    fs, _ = storage.filesystem(uri)
    return pa_dataset.dataset(
        [storage.filesystem(file.uri)[1] for file in snapshot_files(uri, table)],
        schema=pa.schema(table.schema().to_arrow()),
        format="parquet",
        filesystem=fs,
    )
