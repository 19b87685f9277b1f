"""What is S3's own: pages, uploads in parts, lost answers, keys and permissions, a dead endpoint, forks."""

from __future__ import annotations

import multiprocessing
import os
import random
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble
from pipeline.storage import conditional, connection, requests, s3
from pipeline.storage.requests import S3Object
from tests.conftest import ObjectStore


def bucket_name(uri: str) -> str:
    return uri.removeprefix("s3://")


@pytest.fixture
def reconnect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set or, with None, unset variables and make the next client from them."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        connection._s3_filesystem.cache_clear()

    yield change
    connection._s3_filesystem.cache_clear()


def test_a_bucket_is_there_and_lists_all_of_it(bucket: str, in_store: ObjectStore) -> None:
    assert storage.exists(bucket)
    assert storage.list_files(bucket) == []
    for key in ("b", "a/c", "a/"):  # the last is what a console makes for a folder
        in_store.client().put_object(Bucket=bucket_name(bucket), Key=key, Body=b"")
    assert [info.uri for info in storage.list_files(f"{bucket}/")] == [f"{bucket}/a/c", f"{bucket}/b"]


def test_a_fork_has_a_client_of_its_own(bucket: str) -> None:
    storage.write_bytes(f"{bucket}/file", b"x")
    context = multiprocessing.get_context("fork")
    fork = context.Process(target=storage.write_bytes, args=(f"{bucket}/by-fork", b"y"))
    fork.start()
    fork.join(60)
    fork.kill()
    assert fork.exitcode == 0
    assert storage.read_bytes(f"{bucket}/by-fork") == b"y"
    assert storage.read_bytes(f"{bucket}/file") == b"x"


def test_more_files_than_one_page_are_all_listed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uris = [f"{bucket}/{i}" for i in range(7)]
    for uri in uris:
        storage.write_bytes(uri, b"")
    monkeypatch.setattr(
        s3, "call", lambda fs, name, **query: requests.call(fs, name, **{"MaxKeys": 3, **query})
    )
    assert [info.uri for info in storage.list_files(bucket)] == uris


def test_a_stream_of_parts_appears_whole_or_not_at_all(bucket: str, in_store: ObjectStore) -> None:
    block = random.Random(1).randbytes(1 << 20)
    with storage.open_new(f"{bucket}/large") as stream:
        for _ in range(20):
            stream.write(block)
        assert not storage.exists(f"{bucket}/large")
    assert storage.read_bytes(f"{bucket}/large") == block * 20
    assert storage.file_info(f"{bucket}/large").etag.endswith("-2")

    def fail_after(blocks: int) -> None:
        with storage.open_new(f"{bucket}/failed") as stream:
            for _ in range(blocks):
                stream.write(block)
            raise ZeroDivisionError

    for blocks in (0, 1, 20):
        with pytest.raises(ZeroDivisionError):
            fail_after(blocks)
    with storage.open_new(f"{bucket}/small") as stream:
        stream.write(b"small")
    with storage.open_new(f"{bucket}/empty"):
        pass
    assert in_store.uploads(bucket_name(bucket)) == []
    sizes = {key: len(data) for key, data in in_store.objects(bucket_name(bucket)).items()}
    assert sizes == {"large": 20 << 20, "small": 5, "empty": 0}


class NoSuchUpload(OSError):
    """What a store says of an upload that it has completed already."""

    response = {"Error": {"Code": "NoSuchUpload"}}  # noqa: RUF012


def test_an_upload_that_was_completed_before_its_answer_was_lost_counts(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, completes = S3Object.call, [True, False]

    def lose_the_answer(target: S3Object, operation: str, **arguments: Any) -> dict[str, Any]:
        if operation != "complete_multipart_upload":
            return call(target, operation, **arguments)
        if completes.pop(0):
            call(target, operation, **arguments)
        raise NoSuchUpload

    monkeypatch.setattr(S3Object, "call", lose_the_answer)
    content = random.Random(1).randbytes(connection.PART_BYTES)
    storage.write_bytes(f"{bucket}/file", content)
    assert storage.read_bytes(f"{bucket}/file") == content
    with pytest.raises(InputError):
        storage.write_bytes(f"{bucket}/file", content[::-1])


def test_large_content_is_written_and_created_whole(bucket: str, in_store: ObjectStore) -> None:
    data = random.Random(2).randbytes(70 << 20)
    storage.write_bytes(f"{bucket}/written", data)
    assert storage.read_bytes(f"{bucket}/written") == data
    assert storage.create(f"{bucket}/created", data[: 20 << 20]) is True
    assert storage.create(f"{bucket}/created", data[: 20 << 20]) is False
    assert storage.read_bytes(f"{bucket}/created") == data[: 20 << 20]
    assert in_store.uploads(bucket_name(bucket)) == []


ACTS: dict[str, Callable[[str], object]] = {
    "exists": storage.exists,
    "list_files": storage.list_files,
    "file_info": storage.file_info,
    "read_bytes": storage.read_bytes,
    "read_with_etag": storage.read_with_etag,
    "write_bytes": lambda uri: storage.write_bytes(uri, b"x"),
    "create": lambda uri: storage.create(uri, b"x"),
    "write_if_match": lambda uri: storage.write_if_match(uri, b"x", "0" * 32),
    "remove": storage.remove,
    "open_new": lambda uri: write_stream(uri),
}


def write_stream(uri: str) -> None:
    with storage.open_new(uri) as stream:
        stream.write(b"x")


def told(act: Callable[[str], object], uri: str, kind: type[Exception] = InputError) -> str:
    with pytest.raises(kind) as error:
        act(uri)
    line = str(error.value)
    assert uri in line
    assert "\n" not in line
    assert os.environ.get("AWS_SECRET_ACCESS_KEY", "no key") not in line
    return line


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_what_is_wrong_with_keys_and_bucket_is_told(
    act: Callable[[str], object], bucket: str, in_store: ObjectStore, reconnect: Callable[..., None]
) -> None:
    assert "no such bucket" in told(act, "s3://there-is-no-such-bucket/file")
    if in_store.checks_keys:
        reconnect(AWS_SECRET_ACCESS_KEY="wrong" * 8)
        assert "check AWS_SECRET_ACCESS_KEY" in told(act, f"{bucket}/file")
        reconnect(AWS_ACCESS_KEY_ID="UNKNOWN")
        assert "check AWS_ACCESS_KEY_ID" in told(act, f"{bucket}/file")
    reconnect(AWS_SECRET_ACCESS_KEY=None, AWS_ACCESS_KEY_ID=None)
    assert "no credentials" in told(act, f"{bucket}/file")


def test_what_a_policy_denies_is_told(in_store: ObjectStore, bucket: str) -> None:
    storage.write_bytes(f"{bucket}/file", b"x")
    in_store.deny(bucket, "GetObject", "PutObject")
    assert "permission denied" in told(storage.read_bytes, f"{bucket}/file")
    assert "permission denied" in told(ACTS["create"], f"{bucket}/file")


@pytest.mark.parametrize(
    "act",
    [
        storage.read_bytes,
        *(pytest.param(ACTS[act], marks=pytest.mark.long) for act in ("create", "open_new")),
    ],
)
def test_a_dead_endpoint_is_told_soon(
    act: Callable[[str], object], in_store: ObjectStore, reconnect: Callable[..., None]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        reconnect(AWS_ENDPOINT_URL=endpoint)
        start = time.monotonic()
        assert f"no connection to {endpoint}" in told(act, "s3://bucket/file", StorageTrouble)
    assert time.monotonic() - start < 20


class NoConditions(OSError):
    """What a store without conditional writes answers."""

    response = {"Error": {"Code": "NotImplemented"}}  # noqa: RUF012


def test_without_conditional_writes_the_weaker_promise_is_told_once(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = S3Object.put

    def refuse_conditions(target: S3Object, data: bytes, **options: object) -> None:
        if options:
            raise NoConditions("A header you provided implies functionality that is not implemented")
        put(target, data)

    monkeypatch.setattr(S3Object, "put", refuse_conditions)
    conditional._warn_of_weak_create.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert storage.create(f"{bucket}/one", b"1") is True
        assert storage.create(f"{bucket}/one", b"2") is False
        assert storage.create(f"{bucket}/two", b"2") is True
    assert [str(one.message).split(" (")[0] for one in caught] == [
        "this object store has no conditional writes"
    ]
    assert [one.filename for one in caught] == [__file__]
    assert storage.read_bytes(f"{bucket}/one") == b"1"
    assert "If-Match" in told(ACTS["write_if_match"], f"{bucket}/one")
