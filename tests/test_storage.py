"""Files at local paths and in fsspec's memory store."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble
from pipeline.storage.explain import reason


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def test_what_is_written_is_read_listed_and_described(folder: str) -> None:
    uris = [storage.join(folder, "b", "2.txt"), storage.join(folder, "a.txt"), storage.join(folder, "c.bin")]
    for uri in uris:
        assert not storage.exists(uri)
        storage.write_bytes(uri, uri.encode())
        assert storage.exists(uri)
        assert storage.read_bytes(uri) == uri.encode()
    found = storage.list_files(folder, ".txt")
    assert [storage.name(info.uri) for info in found] == ["a.txt", "2.txt"]
    assert [storage.read_bytes(info.uri) for info in found] == [uris[1].encode(), uris[0].encode()]
    assert [info.size for info in found] == [len(uris[1]), len(uris[0])]
    assert storage.file_info(uris[1]) == found[0]
    assert len(storage.list_files(folder)) == 3
    assert storage.list_files(storage.join(folder, "none")) == []


def test_writing_replaces_and_creating_does_not(folder: str) -> None:
    uri = storage.join(folder, "entry.json")
    assert storage.create(uri, b"first") is True
    assert storage.create(uri, b"second") is False
    assert storage.read_bytes(uri) == b"first"
    storage.write_bytes(uri, b"third")
    assert storage.read_bytes(uri) == b"third"


def test_of_many_creators_exactly_one_wins(tmp_path: Path) -> None:
    for attempt in range(20):
        uri = str(tmp_path / f"lease-{attempt}")
        barrier = threading.Barrier(4)

        def contend(who: int, uri: str = uri, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return storage.create(uri, bytes([who]) * 1000)

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(contend, range(4)))
        assert sum(won) == 1
        assert storage.read_bytes(uri) == bytes([won.index(True)]) * 1000
    assert len(os.listdir(tmp_path)) == 20, "temporary files were left"


def test_a_reader_sees_the_old_content_or_the_new_never_a_part(tmp_path: Path) -> None:
    uri = str(tmp_path / "status.json")
    contents = [bytes([i]) * 200_000 for i in range(2)]
    storage.write_bytes(uri, contents[0])
    done = threading.Event()

    def rewrite() -> None:
        for i in range(60):
            storage.write_bytes(uri, contents[i % 2])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert storage.read_bytes(uri) in contents
    writer.join()
    assert os.listdir(tmp_path) == ["status.json"]


def test_a_failed_write_leaves_the_old_content_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "plan.json")
    storage.write_bytes(uri, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (storage.write_bytes, storage.create):
        with pytest.raises(StorageTrouble, match=r"plan\.json: the disk is full"):
            write(uri, b"new")
    assert storage.read_bytes(uri) == b"old"
    assert os.listdir(tmp_path) == ["plan.json"]


def test_the_etag_changes_with_the_content(tmp_path: Path) -> None:
    uri = str(tmp_path / "shard")
    storage.write_bytes(uri, b"one")
    before = storage.file_info(uri)
    storage.write_bytes(uri, b"two")
    os.utime(uri, (1e9, 1e9))
    assert storage.file_info(uri).size == before.size
    assert storage.file_info(uri).etag != before.etag


def test_linked_files_are_listed_as_what_they_link_to(tmp_path: Path) -> None:
    (tmp_path / "real.jpg").write_bytes(b"12345")
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "link.jpg").symlink_to(tmp_path / "real.jpg")
    (shards / "dangling.jpg").symlink_to(tmp_path / "absent.jpg")
    (found,) = storage.list_files(str(shards), ".jpg")
    assert (storage.name(found.uri), found.size) == ("link.jpg", 5)
    assert found == storage.file_info(str(shards / "link.jpg"))


def test_links_to_folders_are_followed_where_asked_and_never_in_circles(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(b"1")
    (tmp_path / "a" / "to b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to a").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "self").symlink_to(".")
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "none")
    folder = str(tmp_path / "a")
    assert [storage.name(file.uri) for file in storage.list_files(folder)] == ["x"]
    linked = [file.uri for file in storage.list_files(folder, through_links=True)]
    assert linked == [f"{folder}/to b/x", f"{folder}/x"]


def test_a_folder_that_cannot_be_read_is_an_error_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(InputError, match="permission denied"):
        storage.list_files(str(tmp_path))


def test_a_file_lists_itself(folder: str) -> None:
    uri = storage.join(folder, "one.parquet")
    storage.write_bytes(uri, b"x")
    assert [storage.name(info.uri) for info in storage.list_files(uri)] == ["one.parquet"]


def test_names_and_joins() -> None:
    assert storage.join("s3://bucket/", "a", "b") == "s3://bucket/a/b"
    assert storage.name("s3://bucket/a/b/") == "b"


@pytest.mark.parametrize("read", [storage.read_bytes, storage.file_info])
def test_an_absent_file_is_one_line(read: Callable[[str], object], folder: str) -> None:
    with pytest.raises(InputError, match=r"cannot .* .*none\.json: it doesn't exist$") as error:
        read(storage.join(folder, "none.json"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("act", [storage.exists, storage.list_files, storage.read_bytes, storage.file_info])
def test_an_unknown_scheme_is_one_line(act: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=r"'nosuch://bucket/key'.*s3://bucket/key") as error:
        act("nosuch://bucket/key")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [storage.write_bytes, storage.create])
def test_a_file_in_the_place_of_a_folder_is_an_error(
    write: Callable[[str, bytes], object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="file/entry"):
        write(str(tmp_path / "file" / "entry"), b"x")


def test_a_stream_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    uri = f"{tmp_path}/sub/file"
    with storage.open_new(uri) as stream:
        stream.write(b"first")
        assert not storage.exists(uri)
    assert storage.read_bytes(uri) == b"first"
    other = f"{tmp_path}/sub/other"

    def fail_half_way() -> None:
        with storage.open_new(other) as stream:
            stream.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert not storage.exists(other)
    assert [file.uri.rsplit("/", 1)[1] for file in storage.list_files(uri.rsplit("/", 1)[0])] == ["file"]


def test_a_swap_needs_the_etag_of_what_is_there(tmp_path: Path) -> None:
    uri = str(tmp_path / "lease")
    assert storage.write_if_match(uri, b"x", "none") is False
    assert storage.write_if_match(f"{tmp_path}/no/folder", b"x", "none") is False
    storage.write_bytes(uri, b"one")
    content, etag = storage.read_with_etag(uri)
    assert content == b"one"
    assert storage.write_if_match(uri, b"two", etag) is True
    assert storage.write_if_match(uri, b"three", etag) is False
    assert storage.read_bytes(uri) == b"two"
    assert sorted(os.listdir(tmp_path)) == [".lease.lock", "lease"]


def test_no_swap_of_many_is_lost(tmp_path: Path) -> None:
    uri = str(tmp_path / "count")
    storage.write_bytes(uri, b"0")

    def increment(times: int) -> None:
        while times:
            content, etag = storage.read_with_etag(uri)
            times -= storage.write_if_match(uri, str(int(content) + 1).encode(), etag)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, [25] * 4))
    assert storage.read_bytes(uri) == b"100"


def test_a_store_that_cannot_swap_says_so() -> None:
    uri = f"memory://{uuid.uuid4().hex}/lease"
    storage.write_bytes(uri, b"x")
    with pytest.raises(
        InputError, match=r"cannot replace memory://.*can't swap files; expected a local path"
    ):
        storage.write_if_match(uri, b"y", "etag")


class Refused(Exception):
    """What botocore raises: it keeps the store's answer."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.response = {"Error": {"Code": code, "Message": message}}


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("NoSuchBucket", "no such bucket"),
        ("InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
        ("ExpiredToken", "the session's token has expired; get new credentials"),
        ("AccessDenied", "permission denied"),
        ("SlowDown", "throttling"),
        ("RequestTimeTooSkewed", "clock"),
        ("PermanentRedirect", "region"),
    ],
)
def test_what_a_store_refuses_is_explained(code: str, line: str) -> None:
    error = OSError("a client's own words")
    error.__cause__ = Refused(code)
    assert line in reason(error)
    assert "\n" not in reason(error)


def test_an_explanation_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t+/key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0k3n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://user:passw0rd@store:9000/x")
    assert reason(Refused("Odd", "s3cr3t+/key\nand t0k3n")) == "… and …"

    assert reason(OSError("Generic S3 error\n  \x1b[31m↳\x1b[0m no reply")) == "Generic S3 error ↳ no reply"

    class EndpointConnectionError(Exception):
        pass

    assert reason(EndpointConnectionError()).startswith("no connection to https://store:9000; ")


def test_options_of_delta_follow_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert storage.delta_options("/local/path") == {}
    assert storage.delta_options("s3://bucket/x")["AWS_ALLOW_HTTP"] == "true"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store")
    options = storage.delta_options("s3://bucket/x")
    assert options["AWS_ENDPOINT_URL"] == "https://store"
    assert "AWS_ALLOW_HTTP" not in options
    assert not [name for name in options if "KEY" in name or "TOKEN" in name]


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/b") == str(tmp_path / "a/b")
    assert storage.absolute(str(tmp_path)) == str(tmp_path)
    assert storage.absolute("memory://a/b") == "memory://a/b"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused("ExpiredToken"), StorageTrouble),
        (Refused("SlowDown"), StorageTrouble),
        (ConnectionResetError("reset"), StorageTrouble),
        (OSError("Generic S3 error: 400: <Error><Code>ExpiredToken</Code></Error>"), StorageTrouble),
        (Refused("AccessDenied"), InputError),
        (FileNotFoundError("x"), InputError),
    ],
)
def test_trouble_that_passes_is_told_from_wrong_settings(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="cannot read s3://b/x: "), storage.explained("read", "s3://b/x"):
        raise error


def test_reading_ahead_keeps_order_and_bounds() -> None:
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        time.sleep(0.002 if item % 3 else 0)
        if item == 50:
            raise InputError("fifty")
        return item * item

    results = storage.read_ahead(read, range(100))
    assert next(results) == 0
    assert len(begun) <= 16
    assert [*itertools.islice(results, 49)] == [item * item for item in range(1, 50)]
    with pytest.raises(InputError, match="fifty"):
        next(results)
    assert len(begun) <= 66


def test_one_file_of_a_web_server_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"content")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/a.parquet"
        (listed,) = storage.list_files(uri, ".parquet")
        server.shutdown()
    assert (listed.uri, listed.size) == (uri, 7)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE])
def test_trouble_of_a_disk_passes_however_it_is_told(number: int) -> None:
    told = OSError(number, os.strerror(number))
    in_text = ValueError(f"Failed to parse: {os.strerror(number)} (os error {number})")
    for error in (told, in_text):
        line = r"^cannot write a: .*, then run the same command again$"
        with pytest.raises(StorageTrouble, match=line), storage.explained("write", "a"):
            raise error


def test_what_a_store_refuses_for_good_does_not_pass_by_its_clients_number() -> None:
    refused = Refused("InvalidRequest")
    with pytest.raises(InputError), storage.explained("write", "a"):
        raise OSError(errno.EIO, "any") from refused


def test_a_panic_is_not_printed_and_all_else_is(capfd: pytest.CaptureFixture[str]) -> None:
    with storage.panics_unprinted():
        for note in ("stack backtrace:\nnote: run with `RUST_BACKTRACE=1`\n", ""):
            os.write(2, f"\nthread 'tokio' (1) panicked at a.rs:1:2:\nAlready shut down\n{note}".encode())
        os.write(2, b"the lease could not be renewed\n")
    assert capfd.readouterr().err == "the lease could not be renewed\n"


def test_a_connection_that_broke_off_under_the_delta_library_passes() -> None:
    text = "Generic S3 error \x1b[31m↳\x1b[0m HTTP error \x1b[31m↳\x1b[0m request or response body error"
    with (
        pytest.raises(StorageTrouble, match="broke the connection off"),
        storage.explained("open", "s3://b/x"),
    ):
        raise OSError(text)
