"""Decoding in child processes, so that a row that kills its process costs that row alone.

The child says which row it begins, so its death names the suspect; nothing has to be halved and tried. A
suspect is tried once more, alone in a fresh child: an earlier row may have done the harm, or the machine.
What dies twice is the culprit. So n culprits cost 2n deaths, however they lie.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from pipeline.errors import InputError, StorageTrouble
from pipeline.protocol.plan import WorkUnit
from pipeline.streaming.child import pack, unpack
from pipeline.streaming.limits import DecodeLimits
from pipeline.streaming.process import GRACE_SECONDS, READ_SECONDS, START_SECONDS, ChildProcess
from pipeline.streaming.rows import DECODE_DEFAULTS, DecodeSettings
from pipeline.survey.source import Inventory

CHILD = "pipeline.streaming.child"
"""The module that is run as the child."""

_LEAST_SHARE = 0.1

Rows = list[dict[str, Any]]


class ChildDied(Exception):
    """A child process ended, or had to be ended, while it read or decoded.

    Attributes
    ----------
    facts
        What was known of the row that was being decoded; None if rows were being read.
    reason
        A code for the quarantine.
    description
        How the child ended, as a verb phrase: ``took more than 30 s``.
    """

    def __init__(self, facts: dict[str, Any] | None, reason: str, description: str) -> None:
        super().__init__(description)
        self.facts = facts
        self.reason = reason
        self.description = description


def decode_around_culprits(
    pieces: list[tuple[int, int]], run: Callable[[int, int], Iterator[dict[str, Any]]]
) -> Rows:
    """Rows of all pieces in order, those that kill the child replaced by the reason for it.

    Parameters
    ----------
    pieces
        Row ranges [start, stop), each what is read at once.
    run
        Decodes rows [start, stop) in a child, and yields each as it's done. Raises `ChildDied`; the call
        after that has a fresh child.
    """
    return [row for piece in pieces for row in _decode_piece(*piece, run)]


def _decode_piece(start: int, stop: int, run: Callable[[int, int], Iterator[dict[str, Any]]]) -> Rows:
    rows: Rows = []
    end, suspect = stop, None
    while start + len(rows) < stop:
        here = start + len(rows)
        try:
            for row in run(here, end):
                rows.append(row)  # one by one: what came before a death counts
            end, suspect = stop, None
        except ChildDied as death:
            culprit = start + len(rows)
            if suspect != culprit:
                end, suspect = (culprit + 1, culprit) if death.facts else (stop, culprit)
            elif death.facts:
                rows.append(_verdict(death))
                end, suspect = stop, None
            else:
                rows += [_unreadable(row, death) for row in range(culprit, end)]
                end, suspect = stop, None
    return rows


def _verdict(death: ChildDied) -> dict[str, Any]:
    assert death.facts is not None
    message = f"decoding this image alone {death.description}, twice; look at the image, or replace it"
    return death.facts | {"reason": death.reason, "message": message}


def _unreadable(row: int, death: ChildDied) -> dict[str, Any]:
    message = f"reading the rows around this one {death.description}, twice; write the shard anew"
    return {"row": row, "reason": "unreadable_rows", "message": message}


class IsolatedDecoder:
    """Decodes units in a child process, which is kept for the next unit and replaced when it dies.

    Parameters
    ----------
    source
        Tells where units are cut, and what the child is to read by.
    index
        See `pipeline.streaming.sources.open_source`.
    settings
        How rows are decoded.
    """

    def __init__(
        self,
        limits: DecodeLimits,
        source: Inventory,
        index: str | None = None,
        settings: DecodeSettings = DECODE_DEFAULTS,
    ) -> None:
        self._source, self._index, self._settings = source, index, settings
        self._isolation = Isolation(limits)

    def decode(self, unit: WorkUnit) -> Rows:
        """The rows of a unit, in order.

        Raises
        ------
        InputError
            If the shard or the store is at fault.
        """
        pieces = [
            piece for row_range in unit.ranges for piece in self._source.group_ranges(unit.shard, *row_range)
        ]

        def request(start: int, stop: int) -> dict[str, Any]:
            duplicates = [row for row in unit.duplicates if start <= row < stop]
            rows = request_of(self._source, self._index, unit.shard, range(start, stop))
            return rows | {"duplicates": duplicates, "settings": self._settings._asdict()}

        return self._isolation.answers(pieces, request)

    def close(self) -> None:
        """End the child, if there is one."""
        self._isolation.close()


def request_of(source: Inventory, index: str | None, shard: str, rows: Sequence[int]) -> dict[str, Any]:
    """What a child must know to read some rows, ascending."""
    survey = None if source.survey is None else source.survey.model_dump_json()
    return {"shard": shard, "rows": list(rows), "survey": survey, "index": index}


class Isolation:
    """A child process that answers requests; it is kept for the next and replaced when it dies."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._child: _Child | None = None
        self._timeouts = 0

    def answers(self, pieces: list[tuple[int, int]], request: Callable[[int, int], dict[str, Any]]) -> Rows:
        """What a child answers about each row, or why it can't, in order.

        Parameters
        ----------
        pieces
            See `decode_around_culprits`.
        request
            Asks about the rows [start, stop) of a piece.

        Raises
        ------
        InputError
            If the shard or the store is at fault.
        """
        self._timeouts = 0
        return decode_around_culprits(pieces, lambda start, stop: self._ask(request(start, stop)))

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._child is None:
            self._child = _Child()
        # A unit full of endless rows must not take longer than the run waits for progress.
        seconds = self._limits.row_seconds * max(_LEAST_SHARE, 1 / (1 + self._timeouts // 2))
        finished = False
        try:
            limits = {"seconds": seconds, "memory": self._limits.memory_bytes}
            yield from self._child.ask(request | limits, seconds)
            finished = True
        except ChildDied as death:
            self._timeouts += death.reason == "decode_timeout"
            raise
        finally:
            if not finished:
                self.close()


class _Child:
    """One child process and the connection to it."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        self._process = ChildProcess(CHILD, [theirs])
        if self._receive(START_SECONDS) is None:
            self._connection.close()
            raise self._process.failed_start()

    def ask(self, request: dict[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
        """The rows that answer a request, as they are done."""
        facts: dict[str, Any] | None = None
        with contextlib.suppress(OSError):  # if it is dead, what follows says how
            self._connection.send_bytes(pack(request))
        while True:
            message = self._receive(READ_SECONDS if facts is None else seconds + GRACE_SECONDS)
            if message is None:
                ending = self._process.ending(seconds)
                if facts is None and ending.reason != "killed_decoder":
                    # Too slow, or killed from outside: that is the store's fault or the machine's.
                    raise StorageTrouble(
                        f"reading {request['shard']} took more than {READ_SECONDS:g} s, or memory ran out; "
                        "look at the store and the machine, then run the same command again"
                    )
                raise ChildDied(facts, ending.reason, ending.description)
            kind = message.pop("kind")
            if kind == "end":
                return
            if kind == "failed":
                raise InputError(message["message"])
            if kind == "trouble":
                raise StorageTrouble(message["message"])
            if kind == "out_of_memory":
                raise ChildDied(
                    facts, "out_of_memory", f"took more than {request['memory'] >> 20:,} MiB of memory"
                )
            if kind == "row":
                yield message
            else:
                facts = message

    def end(self) -> None:
        """Kill the process, if it still runs."""
        self._connection.close()
        self._process.end()

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None if the process died or said nothing for so long."""
        connection: Connection = self._connection
        try:
            return unpack(connection.recv_bytes()) if connection.poll(seconds) else None
        except (EOFError, OSError):
            return None
