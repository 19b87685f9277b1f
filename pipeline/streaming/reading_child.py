"""The process that a driver has files read in: ``python -m pipeline.streaming.reading_child FD,… SECONDS``.

Each connection has a thread, which answers one request after the other. A request is JSON; an answer is JSON,
then a zero byte, then a table as an Arrow stream or nothing.
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
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.cutouts import shards
from pipeline.errors import InputError, StorageTrouble
from pipeline.streaming.sources import open_source
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import FileSource, Source

_ALIGNMENT = 8
"""Arrow's buffers begin at multiples of it."""


class Allowance:
    """How long the process may compute until a request begins or ends; else SIGPROF kills it.

    Waiting for a store takes no processor, so that only a file that C code never gets to the end of is meant.

    Parameters
    ----------
    seconds
        For each request that is under way: they share the processors.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._under_way, self._lock = seconds, 0, threading.Lock()

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *_: object) -> None:
        self._count(-1)

    def _count(self, more: int) -> None:
        with self._lock:
            self._under_way += more
            signal.setitimer(signal.ITIMER_PROF, self._seconds * self._under_way)


def serve(connection: Connection, allowance: Allowance) -> None:
    """Answer requests until the driver closes the connection or is gone; what goes wrong ends the process."""
    try:
        while True:
            request = json.loads(connection.recv_bytes())
            with allowance:
                connection.send_bytes(_answer(**request))
    except EOFError:
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a driver would wait for this thread's answer
        try:
            traceback.print_exc()
        finally:
            os._exit(1)


def unpack(answer: bytes) -> tuple[dict[str, Any], memoryview]:
    """The message of an answer, and the stream of its table."""
    end = answer.index(b"\0")
    return json.loads(answer[:end]), memoryview(answer)[end + 1 :]


def _answer(call: str, survey: str | None, arguments: list[Any]) -> memoryview:
    try:
        value = _value(call, survey, arguments)
        if isinstance(value, pa.Table):
            return _packed({"kind": "table"}, value)
        return _packed({"kind": "value", "value": value})
    except (InputError, StorageTrouble) as error:
        return _packed({"kind": type(error).__name__, "message": str(error)})
    except MemoryError:
        return _packed({"kind": "MemoryError"})
    except Exception as error:  # noqa: BLE001 - the driver is told of bugs, too
        return _packed({"kind": "bug", "message": f"{type(error).__name__}: {error}"})


def _packed(message: dict[str, Any], table: pa.Table | None = None) -> memoryview:
    head = json.dumps(message).encode()
    sink = pa.BufferOutputStream()
    sink.write(head + b" " * (-(len(head) + 1) % _ALIGNMENT) + b"\0")
    if table is not None:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return memoryview(sink.getvalue())


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


def _be_the_first_to_go() -> None:
    """Let the kernel end this process, and not the driver, where memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a ctrl-C the driver makes an end
    _be_the_first_to_go()
    allowance = Allowance(float(sys.argv[2]))
    connections = [Connection(int(descriptor)) for descriptor in sys.argv[1].split(",")]
    threads = [
        threading.Thread(target=serve, args=(connection, allowance), daemon=True)
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    connections[0].send_bytes(b"ready")
    for thread in threads:  # a main thread at its end would begin to take the interpreter down
        thread.join()
