"""Stores that are known by fsspec alone: a web server."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline import storage


def test_one_file_of_a_web_server_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"content")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/a.parquet"
        (listed,) = storage.list_files(uri, ".parquet")
        server.shutdown()
    assert (listed.uri, listed.size) == (uri, 7)


class Putting(SimpleHTTPRequestHandler):
    """A web server that files can be written to, whatever is there."""

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        Path(self.translate_path(self.path)).write_bytes(data)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_creating_replaces_nothing_where_the_client_knows_no_condition(tmp_path: Path) -> None:
    handler = functools.partial(Putting, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/entry"
        assert storage.create(uri, b"first") is True
        assert storage.create(uri, b"second") is False
        server.shutdown()
    assert (tmp_path / "entry").read_bytes() == b"first"
