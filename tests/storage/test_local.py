"""What is a local disk's own: files replaced in one step, links, locks, litter."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble


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
    (shards / "loop.jpg").symlink_to(shards / "loop.jpg")
    (found,) = storage.list_files(str(shards), ".jpg")
    assert (storage.name(found.uri), found.size) == ("link.jpg", 5)
    assert found == storage.file_info(str(shards / "link.jpg"))
    everything = storage.list_files(str(shards), broken_links=True)
    assert {storage.name(file.uri): (file.size, file.etag) for file in everything if file != found} == {
        "dangling.jpg": (0, str(tmp_path / "absent.jpg")),
        "loop.jpg": (0, str(shards / "loop.jpg")),
    }


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


def stream(uri: str, data: bytes) -> None:
    with storage.open_new(uri) as file:
        file.write(data)


def fill_folder(uri: str, data: bytes) -> None:
    with storage.new_folder(uri) as folder:
        (folder / "file").write_bytes(data)


@pytest.mark.parametrize("write", [storage.write_bytes, storage.create, stream, fill_folder])
def test_a_file_in_the_place_of_a_folder_is_an_error(
    write: Callable[[str, bytes], object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"^cannot .*file/entry: "):
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


def swap(uri: str, data: bytes) -> None:
    assert storage.write_if_match(uri, data, storage.read_with_etag(uri)[1])


@pytest.mark.parametrize("write", [storage.write_bytes, stream, swap])
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(
    write: Callable[[str, bytes], object], tmp_path: Path
) -> None:
    for name in ("disk", "out"):
        (tmp_path / name).mkdir()
    target, link = tmp_path / "disk" / "report.html", tmp_path / "out" / "report.html"
    target.write_bytes(b"old")
    link.symlink_to(Path("..", "disk", "report.html"))
    write(str(link), b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path / "out") == ["report.html"]


@pytest.mark.parametrize("write", [storage.write_bytes, storage.create, stream, fill_folder])
def test_through_a_link_to_nothing_yet_it_is_made(
    write: Callable[[str, bytes], object], tmp_path: Path
) -> None:
    link = tmp_path / "galaxies"
    link.symlink_to(tmp_path / "disk" / "galaxies")
    write(str(link), b"new")
    assert link.is_symlink()
    file = tmp_path / "disk" / "galaxies"
    assert (file / "file" if write is fill_folder else file).read_bytes() == b"new"
    assert write is not storage.create or storage.create(str(link), b"newer") is False


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for write in (storage.write_bytes, storage.create, stream):
        with pytest.raises(InputError, match=r"^cannot .*symbolic links"):
            write(str(tmp_path / "a"), b"x")
    assert (tmp_path / "a").is_symlink()


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
