"""What goes wrong between a client and Panoptes, before a request is carried out and after."""

from __future__ import annotations

import contextlib
import io
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

KINDS = ("busy", "broken", "reset", "late", "silent", "throttled", "expired")
"""502 before anything is done; 502 after it is; the connection reset after; 504, and done a moment later;
done, and an answer that comes too late; 429; and all tokens forgotten."""


class Faults:
    """Faults that befall a share of all requests; none of those that begin with ``/_``.

    Attributes
    ----------
    made
        How often each kind befell one.
    """

    def __init__(self, tokens: dict[str, float]) -> None:
        self._tokens = tokens
        self._rate = 0.0
        self._kinds: tuple[str, ...] = KINDS
        self._paths = "/"
        self._times: float = float("inf")
        self._seconds: float | None = 1.0
        self._methods: tuple[str, ...] = ()
        self._held: list[Callable[[], object]] = []
        self._random = random.Random()
        self._day = 0
        self.made: dict[str, int] = {}

    def forget(self) -> None:
        """Begin anew: what was to be carried out late never is."""
        self._day += 1
        self._rate = 0.0
        self._held.clear()
        self.made.clear()

    def release(self) -> None:
        """Carry out what was to be carried out late, and was held for this."""
        while self._held:
            self._held.pop()()

    def set(self, asked: dict[str, Any] | None) -> None:
        """Change what befalls; nothing if nothing is asked for."""
        if asked is None:
            return
        self._rate = asked.get("rate", 0.0)
        self._kinds = tuple(asked.get("kinds", KINDS))
        self._paths = asked.get("paths", "/")
        self._times = asked.get("times", float("inf"))
        self._seconds = asked.get("seconds", 1.0)  # None: what is late is held until `release`
        self._methods = tuple(asked.get("methods", ()))
        self._random = random.Random(asked.get("seed"))

    def between(self, application: Application) -> Application:
        """An application with faults before and after it."""

        def serve(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            path = environ["PATH_INFO"]
            meant = path.startswith(self._paths) and not path.startswith("/_")
            meant = meant and (not self._methods or environ["REQUEST_METHOD"] in self._methods)
            kind = self._draw() if meant else ""
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            if kind == "busy":
                return _answer(start, "502 Bad Gateway")
            if kind == "throttled":
                return _answer(start, "429 Too Many Requests", ("Retry-After", "1"))
            if kind == "expired":
                self._tokens.clear()
            if kind == "late":
                day = self._day
                carry_out = lambda: self._day == day and _carry_out(application, environ)  # noqa: E731
                if self._seconds is None:
                    self._held.append(carry_out)
                else:
                    threading.Timer(self._seconds, carry_out).start()
                return _answer(start, "504 Gateway Time-out")
            if kind in ("broken", "reset"):
                _carry_out(application, environ)
                if kind == "broken":
                    return _answer(start, "502 Bad Gateway")
                _reset(environ["werkzeug.socket"])
                return _answer(start, "500 Never Seen")
            answer = application(environ, start)
            if kind == "silent":
                answer = [b"".join(answer)]
                time.sleep((self._seconds or 1.0) * 2)
            return answer

        return serve

    def _draw(self) -> str:
        if self._times < 1 or self._random.random() >= self._rate:
            return ""
        self._times -= 1
        kind = self._random.choice(self._kinds)
        self.made[kind] = self.made.get(kind, 0) + 1
        return kind


def _carry_out(application: Application, environ: dict[str, Any]) -> None:
    with contextlib.suppress(Exception):
        list(application(environ, lambda status, headers, error=None: lambda data: None))


def _answer(start: Any, status: str, *headers: tuple[str, str]) -> list[bytes]:
    text = b"<html>An answer of whoever stands in between</html>"
    start(status, [("Content-Type", "text/html"), ("Content-Length", str(len(text))), *headers])
    return [text]


def _reset(connection: socket.socket) -> None:
    """End the connection as a crash would: with RST, not FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
