"""A server of the rating page for one person, on this machine alone."""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.errors import InputError

LOOPBACK = "127.0.0.1"
_MOST_BYTES = 4_096


@dataclass(frozen=True)
class Actions:
    """What the page can have done.

    Attributes
    ----------
    page
        Gives its HTML.
    rate
        Keeps the rating of a galaxy; raises `InputError` where it can't be.
    more
        Gives more galaxies to rate, as the page's script takes them.
    """

    page: Callable[[], str]
    rate: Callable[[str, Any], None]
    more: Callable[[], list[dict[str, str]]]


def serve(actions: Actions, port: int, started: Callable[[str], None]) -> None:
    """Serve the page until its reader finishes.

    Only who has the link, with its token, is answered, and only on the loopback interface.

    Parameters
    ----------
    port
        0 for any that is free.
    started
        Called with the link.

    Raises
    ------
    InputError
        If the port is taken.
    """
    token = secrets.token_urlsafe(24)
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _handler(actions, token))
    except OSError as error:
        raise InputError(
            f"port={port} can't be listened on: {error.strerror}; leave it out for any"
        ) from error
    with contextlib.closing(server.socket):
        started(f"http://{LOOPBACK}:{server.server_port}/?token={token}#rate")
        server.serve_forever(poll_interval=0.1)


def _handler(actions: Actions, token: str) -> type[BaseHTTPRequestHandler]:
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        server: ThreadingHTTPServer

        def do_GET(self) -> None:
            if self._allowed():
                if urlsplit(self.path).path != "/":
                    self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
                    return
                with one_at_a_time:
                    page = actions.page()
                self._answer(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not self._allowed():
                return
            if not (length.isdecimal() and int(length) <= _MOST_BYTES):
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"", "text/plain")
                return
            try:
                with one_at_a_time:
                    answer = self._act(urlsplit(self.path).path, json.loads(self.rfile.read(int(length))))
            except (InputError, ValueError, KeyError, TypeError) as error:
                self._answer(HTTPStatus.BAD_REQUEST, str(error).encode(), "text/plain; charset=utf-8")
                return
            status = HTTPStatus.NOT_FOUND if answer is None else HTTPStatus.OK
            self._answer(status, json.dumps(answer).encode(), "application/json")

        def _act(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
            if path == "/ratings":
                actions.rate(body["object_id"], body["rating"])
                return {}
            if path == "/next":
                return {"cards": actions.more()}
            if path == "/finish":
                threading.Thread(target=self.server.shutdown, daemon=True).start()
                return {}
            return None

        def _allowed(self) -> bool:
            """Whether the request has the token, and was meant for this machine's own name."""
            given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
            hosts = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
            allowed = hmac.compare_digest(given.encode(), token.encode())
            if not (allowed and self.headers.get("Host") in hosts):
                self._answer(HTTPStatus.FORBIDDEN, b"Open the link that the command printed.\n", "text/plain")
                return False
            return True

        def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the token, a part of every path, out of the log."""

    return Handler
