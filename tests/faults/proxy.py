"""A proxy between a client and an object store that fails as networks and stores do.

It stands at its own address, which the client takes for the store's: the ``Host`` header, which a signature
covers, is passed on as it came. One request is served per connection, and held in memory.

    python -m tests.faults.proxy http://127.0.0.1:7480 --rate 0.1 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import enum
import itertools
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit


class Fault(enum.Enum):
    """What can go wrong with a request. Only with the first three is it certain that nothing was done."""

    SLOW_DOWN = "slow_down"
    """The store refuses: 503, `SlowDown`."""
    RESET = "reset"
    """The connection is reset before the store gets the request."""
    CUT_UPLOAD = "cut_upload"
    """The store gets half of the request's content, and the client a reset."""
    LOST_REPLY = "lost_reply"
    """The store does what was asked; the connection is reset before the reply."""
    STALL = "stall"
    """The store does what was asked; nothing comes back for `stall_s`, and then the connection ends."""
    SLOW_BODY = "slow_body"
    """The reply's content comes in pieces over `slow_s`, but comes."""
    TRUNCATED = "truncated"
    """The connection ends in the middle of the reply's content, or of its head if there is no more."""
    EXPIRED = "expired"
    """The store refuses: 400, `ExpiredToken`."""


ALL = tuple(fault for fault in Fault if fault is not Fault.EXPIRED)
"""All that the same request, sent again, may not meet."""

_PIECES = 8
_REFUSALS = {
    Fault.SLOW_DOWN: ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    Fault.EXPIRED: ("400 Bad Request", "ExpiredToken", "The provided token has expired."),
}


def random_faults(seed: int, rate: float, kinds: Sequence[Fault] = ALL) -> Iterator[Fault | None]:
    """What happens to one request after another: a fault of any kind, at a rate, or nothing (None)."""
    rng = random.Random(seed)
    while True:
        yield rng.choice(kinds) if rng.random() < rate else None


class FaultProxy:
    """A proxy on a free port of loopback, in a thread of its own, for the length of a `with` block.

    Parameters
    ----------
    upstream
        The store's URL, ``http://HOST:PORT``.
    faults
        What happens to the first request, the second, …; when they are used up, nothing more does.
    stall_s, slow_s
        Length of a stall, which should be longer than the client waits, and of a slow reply.
    port
        Its port; 0 for a free one.

    Attributes
    ----------
    injected
        Number of requests that met each kind of fault.
    requests
        Number of requests, with a fault or without.
    """

    def __init__(
        self,
        upstream: str,
        faults: Iterable[Fault | None],
        stall_s: float = 60.0,
        slow_s: float = 2.0,
        port: int = 0,
    ) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"upstream is {upstream!r}; expected http://HOST:PORT")
        self._upstream = (parts.hostname, parts.port or 80)
        self._faults = itertools.chain(faults, itertools.repeat(None))
        self._stall_s, self._slow_s, self._port = stall_s, slow_s, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fault proxy", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.injected: Counter[Fault] = Counter()
        self.requests = 0

    @property
    def endpoint(self) -> str:
        """The URL by which a client finds the proxy."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> FaultProxy:
        """Start to serve."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the proxy did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        async def run() -> None:
            server = await asyncio.start_server(self._connection, "127.0.0.1", self._port)
            self._port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()
            server.close()
            open_connections = asyncio.all_tasks() - {asyncio.current_task()}
            for task in open_connections:
                task.cancel()
            await asyncio.gather(*open_connections, return_exceptions=True)

        with contextlib.closing(self._loop):
            self._loop.run_until_complete(run())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What breaks here is the client's to bear: it sees the connection end.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await _read_request(reader, writer)
            fault = next(self._faults)
            self.requests += 1
            if fault is not None:
                self.injected[fault] += 1
            await self._answer(request, fault, writer)
        with contextlib.suppress(OSError):
            writer.close()

    async def _answer(self, request: _Request, fault: Fault | None, writer: asyncio.StreamWriter) -> None:
        if fault in _REFUSALS:
            status, code, message = _REFUSALS[fault]
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            writer.write(head + (b"" if request.is_head else body))
            await writer.drain()
            return
        if fault is Fault.RESET:
            _reset(writer)
            return
        if fault is Fault.CUT_UPLOAD:
            await self._forward(request.head + request.body[: len(request.body) // 2], whole=False)
            _reset(writer)
            return
        reply = await self._forward(request.head + request.body)
        head, separator, body = reply.partition(b"\r\n\r\n")
        head += separator
        if fault is Fault.LOST_REPLY:
            _reset(writer)
        elif fault is Fault.STALL:
            await asyncio.sleep(self._stall_s)
        elif fault is Fault.TRUNCATED:
            writer.write(head + body[: len(body) // 2] if len(body) > 1 else head[: len(head) // 2])
            await writer.drain()
        elif fault is Fault.SLOW_BODY:
            writer.write(head)
            size = max(1, -(-len(body) // _PIECES))
            for start in range(0, len(body), size):
                await asyncio.sleep(self._slow_s / _PIECES)
                writer.write(body[start : start + size])
                await writer.drain()
        else:
            writer.write(reply)
            await writer.drain()

    async def _forward(self, data: bytes, whole: bool = True) -> bytes:
        """Send bytes to the store, and give its reply; with `whole` false, break off without one."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(data)
            await writer.drain()
            return await reader.read() if whole else b""
        finally:
            writer.close()


@dataclass(frozen=True)
class _Request:
    head: bytes
    body: bytes

    @property
    def is_head(self) -> bool:
        return self.head.startswith(b"HEAD ")


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request:
    """One request, its head changed only so that the store closes the connection after the reply."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).rstrip(b"\r\n").split(b"\r\n")
    headers = [(line.partition(b":")[0].strip().lower(), line) for line in lines]
    values = {key: line.partition(b":")[2].strip().lower() for key, line in headers}
    if values.get(b"expect") == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    if values.get(b"transfer-encoding") == b"chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(values.get(b"content-length", b"0")))
    kept = [line for key, line in headers if key not in (b"connection", b"expect", b"keep-alive")]
    return _Request(b"\r\n".join([first, *kept, b"Connection: close", b"", b""]), body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Content in chunks, as it came."""
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return body


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other side sees a reset, not an orderly end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def main() -> None:
    """Serve until interrupted, then print what was injected."""
    parser = argparse.ArgumentParser(description="Inject faults between a client and an object store.")
    parser.add_argument("upstream", help="the store, http://HOST:PORT")
    parser.add_argument("--rate", type=float, default=0.1, help="share of requests that meet a fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stall", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--kinds", nargs="+", choices=[fault.value for fault in Fault], metavar="FAULT")
    given = parser.parse_args()
    kinds = [Fault(kind) for kind in given.kinds] if given.kinds else ALL
    faults = random_faults(given.seed, given.rate, kinds)
    with FaultProxy(given.upstream, faults, stall_s=given.stall, port=given.port) as proxy:
        print(proxy.endpoint, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    counts = ", ".join(f"{fault.value} {count}" for fault, count in sorted(proxy.injected.items(), key=str))
    print(f"{proxy.requests} requests; {counts or 'no fault'}")


if __name__ == "__main__":
    main()
