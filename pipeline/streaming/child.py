"""The process that isolation decodes in: ``python -m pipeline.streaming.child FD``.

It takes requests from a connection until that ends, and imports neither Ray nor torch. A message is JSON,
then a zero byte, then a picture or nothing.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from pipeline.errors import InputError, StorageTrouble
from pipeline.streaming.limits import memory_limit, time_limit
from pipeline.streaming.rows import DecodeSettings, decode_row, known_facts, read_patiently, view_row
from pipeline.streaming.sources import open_source
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import Source


def pack(message: dict[str, Any]) -> bytes:
    """A message as bytes; its ``pixels``, an array or bytes, go as they are."""
    pixels = message.get("pixels")
    plain = {key: value for key, value in message.items() if key != "pixels"}
    return json.dumps(plain).encode() + b"\0" + (b"" if pixels is None else memoryview(pixels).tobytes())


def unpack(data: bytes) -> dict[str, Any]:
    """The message that `pack` made; without pixels it has no such key."""
    end = data.index(b"\0")
    message: dict[str, Any] = json.loads(data[:end])
    return message | ({"pixels": data[end + 1 :]} if len(data) > end + 1 else {})


def serve(connection: Connection) -> None:
    """Answer requests: ``begin`` before each row is looked at, ``row`` after it, ``end`` at the end."""
    connection.send_bytes(pack({"kind": "ready"}))
    while True:
        try:
            request = unpack(connection.recv_bytes())
        except EOFError:
            return
        try:
            _answer(connection, **request)
        except (InputError, StorageTrouble) as error:
            kind = "failed" if isinstance(error, InputError) else "trouble"
            connection.send_bytes(pack({"kind": kind, "message": str(error)}))


@functools.lru_cache(maxsize=1)
def _source(survey: str | None, index: str | None) -> Source:
    return open_source(None if survey is None else SurveySettings.model_validate_json(survey), index)


def _answer(
    connection: Connection,
    shard: str,
    rows: list[int],
    survey: str | None,
    index: str | None,
    seconds: float,
    memory: int,
    duplicates: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
    view: bool = False,
) -> None:
    source = _source(survey, index)
    repeated, how = set(duplicates), DecodeSettings(**(settings or {}))
    read = read_patiently(source, shard, rows[0], rows[-1] + 1)
    for row in rows:
        offset = row - rows[0]
        cutout, problem = read.cutout(offset), read.problems.get(offset)
        connection.send_bytes(pack({"kind": "begin", **known_facts(cutout, row)}))
        try:
            with memory_limit(memory), time_limit(seconds):
                if view:
                    done = view_row(cutout, row, problem, source)
                else:
                    done = decode_row(cutout, row, row in repeated, problem, source, how)
        except MemoryError:
            # What is left of a process whose memory ran out is not to be trusted with another row.
            connection.send_bytes(pack({"kind": "out_of_memory"}))
            return
        connection.send_bytes(pack({"kind": "row", **done}))
    connection.send_bytes(pack({"kind": "end"}))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
