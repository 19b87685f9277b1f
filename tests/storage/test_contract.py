"""One contract for all stores: on a local disk, in a real object store, and in fsspec's memory."""

from __future__ import annotations

import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline import storage
from pipeline.errors import InputError
from pipeline.storage.connection import PART_BYTES
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.local import LocalStore
from pipeline.storage.s3 import S3Store
from pipeline.storage.stores import store_at

KINDS = {"local": LocalStore, "s3": S3Store, "memory": FsspecStore}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if kind == "local":
        yield str(tmp_path)
    elif kind == "s3":
        yield request.getfixturevalue("bucket") + "/folder"
    else:
        yield f"memory:///{uuid.uuid4().hex}"
        MemoryFileSystem.store.clear()


@pytest.fixture
def swaps(kind: str) -> bool:
    """Whether a store of this kind can swap files."""
    return kind != "memory"


def test_the_store_is_the_uris(kind: str, folder: str) -> None:
    store, _ = store_at(folder)
    assert type(store) is KINDS[kind]
    assert store.fs is storage.filesystem(folder)[0]


def test_what_is_written_is_read_listed_and_described(folder: str) -> None:
    uris = [f"{folder}/in/{name}" for name in ("b/2 +%25.txt", "a.txt", "c.bin")]
    uris.append(f"{folder}/in-other/d.txt")
    for uri in uris:
        assert not storage.exists(uri)
        storage.write_bytes(uri, uri.encode())
        assert storage.exists(uri)
        assert storage.read_bytes(uri) == uri.encode()
        assert storage.read_range(uri, 1, 4) == uri[1:4].encode()
        assert storage.read_range(uri, 1, 1000) == uri[1:].encode()
        assert storage.file_info(uri).size == len(uri)
    found = storage.list_files(f"{folder}/in", ".txt")
    assert [info.uri for info in found] == [uris[1], uris[0]]
    assert [info.size for info in found] == [len(uris[1]), len(uris[0])]
    assert [storage.file_info(info.uri) for info in found] == found
    assert len(storage.list_files(folder)) == 4
    assert storage.exists(f"{folder}/in/b")
    assert not storage.exists(f"{folder}/i")


def test_a_file_lists_itself_and_nothing_lists_nothing(folder: str) -> None:
    storage.write_bytes(f"{folder}/one.parquet", b"x")
    assert [info.uri for info in storage.list_files(f"{folder}/one.parquet")] == [f"{folder}/one.parquet"]
    assert storage.list_files(f"{folder}/one.parquet", ".txt") == []
    assert storage.list_files(f"{folder}/none") == []


def test_a_file_is_opened_by_its_file_system(folder: str) -> None:
    storage.write_bytes(f"{folder}/file", b"0123456789")
    fs, path = storage.filesystem(f"{folder}/file")
    with fs.open(path, "rb") as file:
        file.seek(4)
        assert file.read(3) == b"456"


def test_what_is_removed_is_gone_and_may_be_removed_again(folder: str) -> None:
    storage.write_bytes(f"{folder}/file", b"x")
    storage.remove(f"{folder}/file")
    assert not storage.exists(f"{folder}/file")
    storage.remove(f"{folder}/file")


READS: list[Callable[[str], object]] = [
    storage.read_bytes,
    storage.file_info,
    lambda uri: storage.read_range(uri, 0, 1),
    storage.read_with_etag,
]


@pytest.mark.parametrize("read", READS, ids=["bytes", "info", "range", "with etag"])
def test_an_absent_file_is_one_line(read: Callable[[str], object], folder: str, swaps: bool) -> None:
    if read is storage.read_with_etag and not swaps:
        pytest.skip("has no etags to swap by")
    uri = f"{folder}/none.json"
    with pytest.raises(InputError, match=rf"^cannot [a-z ]+ {re.escape(uri)}: it doesn't exist$"):
        read(uri)


def test_writing_replaces_and_creating_does_not(folder: str) -> None:
    uri = f"{folder}/entry.json"
    assert storage.create(uri, b"first") is True
    for data in (b"second", b"first"):
        assert storage.create(uri, data) is False
    assert storage.read_bytes(uri) == b"first"
    storage.write_bytes(uri, b"third")
    assert storage.read_bytes(uri) == b"third"


def test_of_many_creators_exactly_one_wins(folder: str, swaps: bool) -> None:
    if not swaps:
        pytest.skip("fsspec doesn't promise that creating is one step")
    for attempt in range(10):
        uri = f"{folder}/lease-{attempt}"
        barrier = threading.Barrier(4)

        def contend(who: int, uri: str = uri, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return storage.create(uri, bytes([who]) * 1000)

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(contend, range(4)))
        assert sum(won) == 1
        assert storage.read_bytes(uri) == bytes([won.index(True)]) * 1000
    assert len(storage.list_files(folder)) == 10, "temporary files were left"


def test_a_swap_needs_the_etag_of_what_is_there_or_is_refused(folder: str, swaps: bool) -> None:
    uri = f"{folder}/lease"
    if not swaps:
        storage.write_bytes(uri, b"one")
        line = "a MemoryFileSystem can't swap files; expected a local path or an s3:// URI"
        with pytest.raises(InputError, match=f"^cannot replace {uri}: {line}$"):
            storage.write_if_match(uri, b"two", "etag")
        with pytest.raises(InputError, match=f"^cannot read {uri}: {line}$"):
            storage.read_with_etag(uri)
        assert storage.read_bytes(uri) == b"one"
        return
    assert storage.write_if_match(uri, b"x", "0" * 32) is False
    assert not storage.exists(uri)
    storage.write_bytes(uri, b"one")
    content, etag = storage.read_with_etag(uri)
    assert content == b"one"
    assert storage.write_if_match(uri, b"two", etag) is True
    assert storage.write_if_match(uri, b"three", etag) is False
    assert storage.read_bytes(uri) == b"two"


def test_no_swap_of_many_is_lost(folder: str, swaps: bool) -> None:
    if not swaps:
        pytest.skip("can't swap files")
    uri = f"{folder}/count"
    storage.write_bytes(uri, b"0")

    def increment(times: int) -> None:
        while times:
            content, etag = storage.read_with_etag(uri)
            times -= storage.write_if_match(uri, str(int(content) + 1).encode(), etag)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, [10] * 4))
    assert storage.read_bytes(uri) == b"40"


def test_the_etag_changes_with_the_content(folder: str, swaps: bool) -> None:
    if not swaps:
        pytest.skip("fsspec's memory keeps no etags")
    uri = f"{folder}/shard"
    storage.write_bytes(uri, b"one")
    before = storage.file_info(uri)
    storage.write_bytes(uri, b"two")
    assert storage.file_info(uri).size == before.size
    assert storage.file_info(uri).etag != before.etag


def test_the_clock_is_that_of_the_files(folder: str) -> None:
    storage.write_bytes(f"{folder}/file", b"x")
    dated = storage.file_info(f"{folder}/file").modified or time.time()
    assert abs(storage.clock(folder) - dated) < 5


@pytest.mark.parametrize("size", [0, 5, PART_BYTES, 20 << 20], ids=["empty", "small", "part", "parts"])
def test_a_stream_appears_whole_or_not_at_all(folder: str, kind: str, size: int) -> None:
    uri, data = f"{folder}/sub/file", random.Random(1).randbytes(size)

    def write(fails: bool) -> None:
        with storage.open_new(uri) as stream:
            for start in range(0, size, 3 << 20):
                stream.write(data[start : start + (3 << 20)])
            assert stream.tell() == size
            assert kind == "memory" or not storage.exists(uri)
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(fails=True)
    if kind != "memory":  # whose client commits at once, whatever it is asked
        assert storage.list_files(folder) == []
    write(fails=False)
    assert storage.read_bytes(uri) == data
    assert [info.uri for info in storage.list_files(folder)] == [uri]


def test_a_folder_appears_whole_or_not_at_all(folder: str) -> None:
    def write(fails: bool) -> None:
        with storage.new_folder(f"{folder}/out", last=("a",)) as made:
            (made / "b").mkdir()
            (made / "b" / "c").write_bytes(b"part")
            (made / "a").write_bytes(b"whole")
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(fails=True)
    assert storage.list_files(folder) == []
    write(fails=False)
    content = {info.uri: storage.read_bytes(info.uri) for info in storage.list_files(folder)}
    assert content == {f"{folder}/out/a": b"whole", f"{folder}/out/b/c": b"part"}


def test_a_file_gets_a_second_name(folder: str) -> None:
    storage.write_bytes(f"{folder}/one", b"first")
    storage.copy(f"{folder}/one", f"{folder}/below/two")
    storage.copy(f"{folder}/one", f"{folder}/below/two")  # again, in its own place
    storage.write_bytes(f"{folder}/three", b"other")
    storage.copy(f"{folder}/one", f"{folder}/three")
    storage.write_bytes(f"{folder}/one", b"second")
    assert storage.read_bytes(f"{folder}/below/two") == storage.read_bytes(f"{folder}/three") == b"first"
    assert len(storage.list_files(folder)) == 3
    with pytest.raises(InputError, match="cannot copy"):
        storage.copy(f"{folder}/none", f"{folder}/four")
    assert not storage.exists(f"{folder}/four")


def test_a_folder_goes_with_all_in_it(folder: str) -> None:
    for name in ("in/a", "in/below/b", "in-other/c"):
        storage.write_bytes(f"{folder}/{name}", b"x")
    storage.remove_folder(f"{folder}/in")
    storage.remove_folder(f"{folder}/in")
    assert [storage.name(file.uri) for file in storage.list_files(folder)] == ["c"]
    assert not storage.exists(f"{folder}/in")


def test_a_name_leads_to_a_folder_where_there_are_links(folder: str, kind: str) -> None:
    for number in (1, 2):
        storage.write_bytes(f"{folder}/{number}/file", f"{number}".encode())
        linked = storage.symlink(f"{folder}/current", f"{number}")
        assert linked == (kind == "local")
        if linked:
            assert storage.read_bytes(f"{folder}/current/file") == f"{number}".encode()
    if kind == "local":
        with pytest.raises(InputError, match="cannot replace"):
            storage.symlink(f"{folder}/1", "2")
