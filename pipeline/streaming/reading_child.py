"""The process that a driver has files read in: ``python -m pipeline.streaming.reading_child FD,… SECONDS``.

Each connection has a thread, which answers one request after the other. A message is JSON; an answer that is
a table follows its message as an Arrow stream.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import InputError, StorageTrouble
from pipeline.survey import shards
from pipeline.survey.formats import open_source
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import FileSource, Source


def serve(connection: Connection, seconds: float) -> None:
    """Answer requests until the driver closes the connection, or is gone.

    A process that computes for longer than `seconds` between any two messages is killed by SIGPROF: waiting
    for a store takes no processor, so that only a file that C code never gets to the end of is meant.
    """
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            os._exit(0)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        message, table = _answer(**request)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        connection.send_bytes(json.dumps(message).encode())
        if table is not None:
            connection.send_bytes(_stream(table))


def _answer(call: str, survey: str | None, arguments: list[Any]) -> tuple[dict[str, Any], pa.Table | None]:
    try:
        value = _value(call, survey, arguments)
    except (InputError, StorageTrouble) as error:
        return {"kind": type(error).__name__, "message": str(error)}, None
    except MemoryError:
        return {"kind": "MemoryError"}, None
    except Exception as error:  # noqa: BLE001 - the driver is told of bugs, too
        return {"kind": "bug", "message": f"{type(error).__name__}: {error}"}, None
    if isinstance(value, pa.Table):
        return {"kind": "table"}, value
    return {"kind": "value", "value": value}, None


def _value(call: str, survey: str | None, arguments: list[Any]) -> Any:
    if call == "holds_bands":
        return shards.holds_bands(*arguments)
    source = _source(survey)
    if call == "read_footer":
        assert isinstance(source, FileSource)
        return dataclasses.asdict(source.read_footer(*arguments))
    if call == "read_ids":
        return pa.table({"object_id": source.read_ids(*arguments)})
    if call == "read_contents":
        return source.read_contents(*arguments)
    return source.group_ranges(*arguments)


@functools.lru_cache(maxsize=8)
def _source(survey: str | None) -> Source:
    return open_source(None if survey is None else SurveySettings.model_validate_json(survey))


def _stream(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _be_the_first_to_go() -> None:
    """Let the kernel end this process, and not the driver, where memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a ctrl-C the driver makes an end
    _be_the_first_to_go()
    connections = [Connection(int(descriptor)) for descriptor in sys.argv[1].split(",")]
    connections[0].send_bytes(b"ready")
    threads = [
        threading.Thread(target=serve, args=(connection, float(sys.argv[2])), daemon=True)
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:  # a main thread at its end would begin to take the interpreter down
        thread.join()
