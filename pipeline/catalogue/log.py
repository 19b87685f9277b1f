"""What the log of the catalogue's table tells of its rows: which version wrote them, and which run.

The Delta library removes old entries of the log, behind a checkpoint. What an entry told is gone with it; but
transactions are kept, and with them a digest of the files that the newest run wrote.

References
----------
The Delta protocol, https://github.com/delta-io/delta/blob/master/PROTOCOL.md: actions, checkpoints, and the
transactions of applications.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable, Transaction

from pipeline import storage

_FILES = "files"
"""The application whose transaction in the log is a digest of the names of a run's files."""

_ACTIONS = frozenset({"metaData", "protocol", "add", "remove", "cdc", "txn", "commitInfo", "domainMetadata"})
"""All kinds of action that an entry of the log can hold."""

_OF_ROWS = frozenset({"add", "remove", "cdc"})
"""Actions by which a version changes rows."""

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*parquet")


@dataclass(frozen=True)
class Content:
    """Which version of a table wrote the rows that it holds, and which run.

    Attributes
    ----------
    version
        The version that wrote the rows: the newest but for those that changed no row. The oldest that can
        still be read where the log no longer has that one.
    run
        The run that wrote them; None if something else did.
    written
        When, in seconds since 1970; None where the log no longer tells.
    """

    version: int
    run: str | None
    written: float | None = None


def content_of(uri: str, table: DeltaTable, runs: Callable[[], Iterable[str]]) -> Content | None:
    """The rows of a table as it was opened; None if nothing ever wrote any.

    Parameters
    ----------
    runs
        All runs of the output; asked for only where the log no longer tells which of them it was.

    Raises
    ------
    ValueError
        If an entry of the log isn't JSON.
    InputError
        If the store can't be reached.
    """
    entries, checkpoints = _listed(uri)
    oldest = table.version() + 1
    for version in range(table.version(), -1, -1):
        if version not in entries:
            readable = min((one for one in checkpoints if one >= oldest - 1), default=oldest)
            return Content(readable, _run_by_files(table, runs()))
        oldest = version
        done = actions(entries[version])
        run, written = _writer(done)
        if run is not None or rows_changed_by(done):
            return Content(version, run, written)
    return None


def actions(uri: str) -> list[dict[str, Any]]:
    """What an entry of the log does, in the terms of the Delta protocol.

    Raises
    ------
    ValueError
        If it isn't lines of JSON, each of one action that there is.
    """
    done = [json.loads(line) for line in storage.read_bytes(uri).splitlines() if line.strip()]
    for action in done:
        if not isinstance(action, dict) or len(action) != 1 or not action.keys() <= _ACTIONS:
            raise ValueError(f"no action of the Delta protocol: {str(action)[:40]}")
    return done


def rows_changed_by(done: Iterable[dict[str, Any]]) -> list[str]:
    """The actions of an entry that change rows."""
    return sorted({kind for action in done for kind in _OF_ROWS & action.keys()})


def files_transaction(run: str, files: Iterable[str]) -> Transaction:
    """What a run's version says of its files, by their names."""
    return Transaction(_FILES, _digest(run, files))


def version_of_entry(uri: str) -> int | None:
    """The version that an entry of the log writes; None for any other file there."""
    match = _ENTRY.fullmatch(storage.name(uri))
    return None if match is None else int(match[1])


def _listed(uri: str) -> tuple[dict[int, str], list[int]]:
    """Entries of the log, by their versions, and the versions of its checkpoints."""
    entries, checkpoints = dict[int, str](), []
    for file in storage.list_files(storage.join(uri, "_delta_log")):
        if (version := version_of_entry(file.uri)) is not None:
            entries[version] = file.uri
        elif match := _CHECKPOINT.fullmatch(storage.name(file.uri)):
            checkpoints.append(int(match[1]))
    return entries, checkpoints


def _writer(done: Iterable[dict[str, Any]]) -> tuple[str | None, float | None]:
    """The run that wrote an entry, if one did, and when it was written."""
    information = next((action["commitInfo"] for action in done if "commitInfo" in action), None) or {}
    run, milliseconds = information.get("run"), information.get("timestamp")
    return (
        run if isinstance(run, str) else None,
        milliseconds / 1000 if isinstance(milliseconds, int | float) else None,
    )


def _run_by_files(table: DeltaTable, runs: Iterable[str]) -> str | None:
    """The run that was committed last, if the table still holds just its files, and all rows of them."""
    if len(table.deletion_vectors().read_all()):
        return None
    live = [storage.name(unquote(file)) for file in table.file_uris()]
    recorded = table.transaction_version(_FILES)
    return next((run for run in runs if _digest(run, live) == recorded), None)


def _digest(run: str, files: Iterable[str]) -> int:
    """Sixty bits, which fit into the version of a transaction."""
    return int(hashlib.sha256("\n".join([run, *sorted(files)]).encode()).hexdigest()[:15], 16)
