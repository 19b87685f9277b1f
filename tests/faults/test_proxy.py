"""The proxy injects what it says, and storage comes through with the right content."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest

from pipeline import storage
from pipeline.errors import StorageTrouble
from pipeline.storage import connection
from tests.conftest import ObjectStore
from tests.faults.proxy import ALL, Fault, FaultProxy, random_faults

CONTENT = bytes(range(256)) * 40


class Upstream(ThreadingHTTPServer):
    """A server that keeps what it was sent whole, and always answers with the same."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[bytes] = []
        self.hosts: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_PUT(self) -> None:
        wanted = int(self.headers["Content-Length"])
        body = self.rfile.read(wanted)
        if len(body) == wanted:
            self.server.received.append(body)
        else:
            return  # cut off
        self.server.hosts.append(self.headers["Host"])
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def put(proxy: FaultProxy, body: bytes = b"sent content", timeout: float = 5) -> tuple[int, bytes]:
    client = http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=timeout)
    try:
        client.request("PUT", "/bucket/key", body=body)
        reply = client.getresponse()
        return reply.status, reply.read()
    finally:
        client.close()


def through(server: Upstream, *faults: Fault | None, **lengths: Any) -> FaultProxy:
    return FaultProxy(f"http://127.0.0.1:{server.server_port}", faults, **lengths)


def test_without_a_fault_nothing_changes(upstream: Upstream) -> None:
    with through(upstream) as proxy:
        assert put(proxy) == (200, CONTENT)
    assert upstream.received == [b"sent content"]
    assert upstream.hosts == [proxy.endpoint.removeprefix("http://")]
    assert (proxy.requests, proxy.injected) == (1, Counter())


def test_a_refusal_does_not_reach_the_store(upstream: Upstream) -> None:
    with through(upstream, Fault.SLOW_DOWN) as proxy:
        status, body = put(proxy)
        assert put(proxy) == (200, CONTENT)
    assert status == 503
    assert b"<Code>SlowDown</Code>" in body
    assert len(upstream.received) == 1
    assert (proxy.requests, proxy.injected) == (2, Counter([Fault.SLOW_DOWN]))


@pytest.mark.parametrize(
    ("fault", "received"), [(Fault.RESET, 0), (Fault.CUT_UPLOAD, 0), (Fault.LOST_REPLY, 1)]
)
def test_a_reset_comes_before_or_after_the_deed(upstream: Upstream, fault: Fault, received: int) -> None:
    with through(upstream, fault) as proxy, pytest.raises(ConnectionResetError):
        put(proxy)
    assert upstream.received == [b"sent content"] * received


def test_a_stall_is_silence_after_the_deed(upstream: Upstream) -> None:
    with through(upstream, Fault.STALL, stall_s=3) as proxy, pytest.raises(TimeoutError):
        put(proxy, timeout=0.5)
    assert upstream.received == [b"sent content"]


def test_a_slow_body_is_whole(upstream: Upstream) -> None:
    with through(upstream, Fault.SLOW_BODY, slow_s=0.8) as proxy:
        start = time.monotonic()
        assert put(proxy) == (200, CONTENT)
        assert time.monotonic() - start > 0.7


def test_a_truncated_body_is_half_of_it(upstream: Upstream) -> None:
    with through(upstream, Fault.TRUNCATED) as proxy, pytest.raises(http.client.IncompleteRead) as error:
        put(proxy)
    assert error.value.partial == CONTENT[: len(CONTENT) // 2]


def test_the_same_seed_gives_the_same_faults_at_the_rate() -> None:
    drawn = list(islice(random_faults(1, 0.1), 10_000))
    assert drawn == list(islice(random_faults(1, 0.1), 10_000))
    assert drawn != list(islice(random_faults(2, 0.1), 10_000))
    counts = Counter(drawn)
    assert counts.pop(None) == pytest.approx(9000, abs=100)
    assert set(counts) == set(ALL)
    assert all(abs(count - 1000 / len(ALL)) < 50 for count in counts.values())


Through = Callable[..., FaultProxy]


@pytest.fixture
def faulty(in_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    """Put a proxy before the store; clients lose patience after a second."""
    proxies: list[FaultProxy] = []

    def start(faults: Sequence[Fault | None] | Iterator[Fault | None]) -> FaultProxy:
        proxy = FaultProxy(in_store.environment["AWS_ENDPOINT_URL"], faults, stall_s=1.5, slow_s=1.6)
        proxies.append(proxy.__enter__())
        monkeypatch.setattr(connection, "READ_TIMEOUT_S", 1)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        connection._s3_filesystem.cache_clear()
        return proxy

    yield start
    for proxy in proxies:
        proxy.__exit__(None, None, None)


DONE_BUT_UNKNOWN = (Fault.LOST_REPLY, Fault.STALL, Fault.TRUNCATED)


@pytest.mark.parametrize("fault", DONE_BUT_UNKNOWN)
def test_what_was_done_though_no_answer_came_counts(
    fault: Fault, in_store: ObjectStore, faulty: Through
) -> None:
    """A create, a swap, and the completion of an upload that meet their own work when sent again."""
    bucket = in_store.bucket_uri("unknown-" + fault.value.replace("_", "-"))
    with storage.open_new(f"{bucket}/first") as stream:  # a gateway's first upload takes longer than a second
        stream.write(bytes(connection.PART_BYTES))
    proxy = faulty([fault])
    assert storage.create(f"{bucket}/lease", b"same") is True
    assert proxy.injected[fault] == 1
    assert storage.create(f"{bucket}/lease", b"same") is False
    _, etag = storage.read_with_etag(f"{bucket}/lease")
    proxy = faulty([fault])
    assert storage.write_if_match(f"{bucket}/lease", b"swapped", etag) is True
    assert proxy.injected[fault] == 1
    assert storage.write_if_match(f"{bucket}/lease", b"swapped", etag) is False
    proxy = faulty([None, None, fault])  # initiation, part, completion
    content = random.Random(1).randbytes(connection.PART_BYTES)
    with storage.open_new(f"{bucket}/stream") as stream:
        stream.write(content)
    assert proxy.injected[fault] == 1
    assert storage.read_bytes(f"{bucket}/stream") == content
    assert in_store.uploads(bucket.removeprefix("s3://")) == []


def test_a_store_that_only_refuses_is_told(in_store: ObjectStore, faulty: Through) -> None:
    bucket = in_store.bucket_uri("refusing")
    proxy = faulty(random_faults(0, 1.0, [Fault.SLOW_DOWN]))
    with pytest.raises(
        StorageTrouble, match=r"cannot create s3://refusing/x: the store is throttling: .*SlowDown"
    ):
        storage.create(f"{bucket}/x", b"x")
    assert proxy.requests == connection.ATTEMPTS


@pytest.mark.long
def test_operations_survive_a_tenth_of_faults(in_store: ObjectStore, faulty: Through) -> None:
    bucket = in_store.bucket_uri("survival")
    proxy = faulty(random_faults(7, 0.1))
    rng = random.Random(7)
    expected: dict[str, bytes] = {}
    for i in range(200):
        uri = f"{bucket}/{rng.randrange(12):02d}"
        data = b"%d " % i + rng.randbytes(
            rng.choice([10, 1000, 200_000, connection.PART_BYTES] if i % 20 == 0 else [10, 1000, 200_000])
        )
        known = expected.get(uri)
        act = rng.choice(["write", "create", "swap", "stream", "remove", "read", "range", "list"])
        if act == "write":
            storage.write_bytes(uri, data)
            expected[uri] = data
        elif act == "create":
            assert storage.create(uri, data) is (known is None)
            expected.setdefault(uri, data)
        elif act == "swap" and known is not None:
            content, etag = storage.read_with_etag(uri)
            assert content == known
            assert storage.write_if_match(uri, data, etag) is True
            assert storage.write_if_match(uri, b"late", etag) is False
            expected[uri] = data
        elif act == "stream":
            with storage.open_new(uri) as stream:
                stream.write(data)
            expected[uri] = data
        elif act == "remove":
            storage.remove(uri)
            expected.pop(uri, None)
        elif act == "read" and known is not None:
            assert storage.read_bytes(uri) == known
        elif act == "range" and known is not None:
            fs, path = storage.filesystem(uri)
            with fs.open(path, "rb", cache_type="none") as file:
                file.seek(len(known) // 2)
                assert file.read() == known[len(known) // 2 :]
        else:
            assert storage.exists(uri) is (known is not None)
            sizes = {info.uri: info.size for info in storage.list_files(bucket)}
            assert sizes == {uri: len(content) for uri, content in expected.items()}
    assert in_store.objects("survival") == {storage.name(uri): data for uri, data in expected.items()}
    print(f"{proxy.requests} requests, {dict(proxy.injected)}")
    assert set(proxy.injected) == set(ALL)
