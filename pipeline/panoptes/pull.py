"""A workflow's classification export, fetched whole."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline import storage
from pipeline.console import progress
from pipeline.errors import InputError, RunError
from pipeline.panoptes.connection import Connection, LostAnswer, Refused
from pipeline.volunteers.zooniverse import COLUMNS, OPTIONAL

_READY = ("ready", "finished")
_POLL_SECONDS = 10.0
_CHUNK = 1 << 20
_DOWNLOADS = 4


@dataclass(frozen=True)
class Export:
    """What the Zooniverse has of a workflow's classifications, in one file.

    Attributes
    ----------
    changed
        When it was made, or asked for, in the Zooniverse's words.
    ready
        Whether the file is as of then.
    address
        Where it is; who has it may read it.
    """

    changed: str
    ready: bool
    address: str


def find_export(connection: Connection, workflow: int) -> Export | None:
    """The workflow's last export, None if none was ever asked for."""
    try:
        (medium,) = connection.get(_path(workflow)).content["media"][:1]
    except (Refused, ValueError) as error:
        if isinstance(error, Refused) and error.status != 404:
            raise
        return None
    return _export(medium)


def ask_for_export(connection: Connection, workflow: int, before: Export | None) -> None:
    """Have the Zooniverse make one; it makes one a day at most.

    Raises
    ------
    RunError
        If it can't be told that it will.
    """
    for seconds in (1.0, 2.0, 4.0, 8.0, 16.0):
        try:
            connection.create(_path(workflow), {"media": {"content_type": "text/csv"}})
            return
        except LostAnswer:
            time.sleep(seconds)
            if find_export(connection, workflow) != before:
                return
    raise RunError(f"workflow={workflow}: no export could be asked for; run the same command again later")


def wait_for_export(
    connection: Connection, workflow: int, before: Export | None, seconds: float, poll: float = _POLL_SECONDS
) -> Export:
    """The workflow's export, once it's ready and another than the one of before.

    Raises
    ------
    RunError
        If it isn't within so many seconds.
    """
    until = time.monotonic() + seconds
    while True:
        export = find_export(connection, workflow)
        if export is not None and export.ready and (before is None or export.changed != before.changed):
            return export
        if time.monotonic() + poll > until:
            since = f"; it was asked for at {export.changed}" if export else ""
            raise RunError(
                f"workflow={workflow}: the export isn't ready after {seconds:,.0f} s{since}. The Zooniverse "
                "makes one a day at most, and takes hours for large ones: run the same command later without "
                "generate=true"
            )
        time.sleep(poll)


def fetch_export(connection: Connection, workflow: int, export: Export, folder: str) -> str:
    """Write an export into a folder, whole or not at all; the file is named by workflow and time.

    Returns
    -------
    str
        URI of the file. One that's there already isn't fetched again.

    Raises
    ------
    InputError
        If it is no export of classifications, or ends in the middle of a row.
    RunError
        If it breaks off again and again.
    """
    uri = storage.join(folder, f"{workflow}-{re.sub(r'[^0-9TZ]', '', export.changed)}.csv")
    if storage.exists(uri):
        return uri
    for attempt in range(1, _DOWNLOADS + 1):
        try:
            with storage.open_new(uri) as target:
                for chunk in _checked(f"the export of workflow {workflow}", _chunks(connection, export)):
                    target.write(chunk)
            return uri
        except RunError:
            if attempt == _DOWNLOADS:
                raise
            fresh = find_export(connection, workflow)  # its address may have expired
            if fresh is not None and fresh.changed == export.changed:
                export = fresh
    raise AssertionError("unreachable")


def _chunks(connection: Connection, export: Export) -> Iterator[bytes]:
    """The file; urllib3 raises where it's shorter than it was said to be."""
    with connection.download(export.address) as response:
        size = response.headers.get("Content-Length", "")
        with progress("Fetching", int(size) if size.isdecimal() else 0, "bytes") as advance:
            for chunk in response.iter_content(_CHUNK):
                advance(len(chunk))
                yield chunk


def _checked(what: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, if the first line is that of an export and the last one is whole."""
    begun, last = b"", b"\n"
    named = False
    for chunk in chunks:
        if not named:
            begun += chunk
            named = b"\n" in begun
            if named or len(begun) > _CHUNK:
                _check_header(what, begun)
        last = chunk[-1:] or last
        yield chunk
    if not named:
        _check_header(what, begun)
    if last != b"\n":
        raise InputError(f"{what} ends in the middle of a row; have another one made: generate=true")


def _check_header(what: str, begun: bytes) -> None:
    line = begun.split(b"\n", 1)[0].decode("utf-8-sig", errors="replace").strip("\r")
    names = next(csv.reader([line]), [])
    missing = [name for name in COLUMNS if name not in names and name not in OPTIONAL]
    if missing:
        raise InputError(f"{what} is none of classifications: its first line is {line[:80]!r}")


def _path(workflow: int) -> str:
    return f"/workflows/{workflow}/classifications_export"


def _export(medium: dict[str, Any]) -> Export:
    state = (medium.get("metadata") or {}).get("state", "")
    return Export(str(medium.get("updated_at", "")), state in _READY, str(medium["src"]))
