"""Storage and the main job on a real object store: unfinished uploads, wrong keys, a dead endpoint."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import s3fs

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble
from pipeline.storage import connection, s3
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.survey import write_survey
from tests.support.command import tuningfork
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot


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


def test_what_is_written_is_read_listed_described_and_removed(bucket: str) -> None:
    uris = [
        f"{bucket}/in/b/2 +%25.txt",
        f"{bucket}/in/a.txt",
        f"{bucket}/in/c.bin",
        f"{bucket}/in-other/d.txt",
    ]
    for uri in uris:
        assert not storage.exists(uri)
        storage.write_bytes(uri, uri.encode())
        assert storage.exists(uri)
        assert storage.read_bytes(uri) == uri.encode()
    found = storage.list_files(f"{bucket}/in", ".txt")
    assert [info.uri for info in found] == [uris[1], uris[0]]
    assert [info.size for info in found] == [len(uris[1]), len(uris[0])]
    assert [storage.file_info(info.uri) for info in found] == found
    assert [info.uri for info in storage.list_files(uris[2])] == [uris[2]]
    assert len(storage.list_files(bucket)) == 4
    assert storage.list_files(f"{bucket}/none") == []
    assert storage.exists(bucket)
    assert storage.exists(f"{bucket}/in/b")
    assert not storage.exists(f"{bucket}/i")
    storage.remove(uris[1])
    storage.remove(uris[1])
    assert not storage.exists(uris[1])


def test_more_files_than_one_page_are_all_listed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uris = [f"{bucket}/{i}" for i in range(7)]
    for uri in uris:
        storage.write_bytes(uri, b"")
    call = s3._call
    monkeypatch.setattr(s3, "_call", lambda fs, name, **query: call(fs, name, **{"MaxKeys": 3, **query}))
    assert [info.uri for info in storage.list_files(bucket)] == uris


def test_the_etag_is_that_of_the_content(bucket: str) -> None:
    uri = f"{bucket}/shard"
    storage.write_bytes(uri, b"one")
    before = storage.file_info(uri)
    storage.write_bytes(uri, b"two")
    assert storage.file_info(uri).size == before.size
    assert storage.file_info(uri).etag != before.etag
    assert storage.read_with_etag(uri) == (b"two", storage.file_info(uri).etag)


def test_writing_replaces_and_creating_does_not(bucket: str) -> None:
    uri = f"{bucket}/entry.json"
    assert storage.create(uri, b"first") is True
    assert storage.create(uri, b"second") is False
    assert storage.create(uri, b"first") is False
    assert storage.read_bytes(uri) == b"first"
    storage.write_bytes(uri, b"third")
    assert storage.read_bytes(uri) == b"third"


def test_a_swap_needs_the_etag_of_what_is_there(bucket: str) -> None:
    uri = f"{bucket}/lease"
    assert storage.write_if_match(uri, b"x", "0" * 32) is False
    storage.write_bytes(uri, b"one")
    _, etag = storage.read_with_etag(uri)
    assert storage.write_if_match(uri, b"two", etag) is True
    assert storage.write_if_match(uri, b"three", etag) is False
    assert storage.read_bytes(uri) == b"two"


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
    complete, completes = s3fs.core.S3File.commit, [True, False]

    def lose_the_answer(stream: s3fs.core.S3File) -> None:
        if completes.pop(0):
            complete(stream)
        raise NoSuchUpload

    monkeypatch.setattr(s3fs.core.S3File, "commit", lose_the_answer)
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


@pytest.mark.parametrize("act", [storage.read_bytes, storage.file_info, storage.read_with_etag])
def test_an_absent_file_is_told(act: Callable[[str], object], bucket: str) -> None:
    assert told(act, f"{bucket}/none").endswith("it doesn't exist")


def deny(store: ObjectStore, bucket: str, *actions: str) -> None:
    """Take rights on the objects of a bucket away from everybody."""
    if not store.checks_keys:
        pytest.skip("moto checks no permissions")
    name = bucket_name(bucket)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": [f"s3:{action}" for action in actions],
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    store.client().put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


def test_what_a_policy_denies_is_told(in_store: ObjectStore, bucket: str) -> None:
    storage.write_bytes(f"{bucket}/file", b"x")
    deny(in_store, bucket, "GetObject", "PutObject")
    assert "permission denied" in told(storage.read_bytes, f"{bucket}/file")
    assert "permission denied" in told(ACTS["create"], f"{bucket}/file")


@pytest.mark.parametrize("denied", ["ListBucket", "GetObject", "PutObject"])
def test_a_run_without_permission_is_one_line_before_it_starts(
    denied: str, in_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    write_survey(tmp_path / "cutouts", 4, shards=1)
    shard = tmp_path / "cutouts" / "shard-0.parquet"
    storage.write_bytes(f"{bucket}/cutouts/{shard.name}", shard.read_bytes())
    deny(in_store, bucket, denied)
    words = ("classify", f"input={bucket}/cutouts", f"output={bucket}/out")
    done = tuningfork(*words, cwd=tmp_path, environment=in_store.environment | no_other_keys())
    assert done.returncode == 2, done.stdout + done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert bucket in done.stderr
    assert "permission denied; check what the credentials allow" in done.stderr


@pytest.mark.parametrize("act", [storage.read_bytes, ACTS["create"], ACTS["open_new"]])
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
    put = s3._put

    def refuse_conditions(fs: object, path: str, data: bytes, **options: object) -> None:
        if options:
            raise NoConditions("A header you provided implies functionality that is not implemented")
        put(fs, path, data)

    monkeypatch.setattr(s3, "_put", refuse_conditions)
    s3._warn_of_weak_create.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert storage.create(f"{bucket}/one", b"1") is True
        assert storage.create(f"{bucket}/one", b"2") is False
        assert storage.create(f"{bucket}/two", b"2") is True
    assert [str(one.message).split(" (")[0] for one in caught] == [
        "this object store has no conditional writes"
    ]
    assert storage.read_bytes(f"{bucket}/one") == b"1"
    assert "If-Match" in told(ACTS["write_if_match"], f"{bucket}/one")


def test_the_main_job_reads_and_writes_the_store(object_store: ObjectStore, tmp_path: Path) -> None:
    bucket = object_store.bucket_uri("survey")
    images = tmp_path / "images"
    images.mkdir()
    for i in range(12):
        (images / f"g{i:02d}.png").write_bytes(png(galaxy(i, 200)))
    (images / "cut.png").write_bytes(png(galaxy(50, 200))[:3000])
    said = []

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = tuningfork(*words, cwd=tmp_path, environment=object_store.environment | no_other_keys())
        said.append(done.stdout + done.stderr)
        assert done.returncode == 0, said[-1]
        return done

    run("ingest", "images", "images", f"output={bucket}/cutouts")
    classify = ("classify", f"input={bucket}/cutouts", f"output={bucket}/out", "unit_rows=5")
    assert "12 galaxies classified" in run(*classify).stdout
    before = object_store.objects("survey")
    assert any(key.startswith("out/catalogue/_delta_log/") for key in before)
    assert "out/report.html" in before

    again = run(*classify).stdout
    assert "is complete" in again
    assert "Nothing to do" in again
    assert object_store.objects("survey") == before
    assert object_store.uploads("survey") == []

    environment = dict(os.environ)
    try:
        os.environ.update(object_store.environment)
        table = snapshot(f"{bucket}/out/catalogue")
    finally:
        os.environ.clear()
        os.environ.update(environment)
    assert sorted(table["object_id"].to_pylist()) == [f"g{i:02d}" for i in range(12)]

    secret = object_store.environment["AWS_SECRET_ACCESS_KEY"]
    assert not [text for text in said if secret in text]
    assert not [key for key, content in before.items() if secret.encode() in content]
