"""Files at any fsspec URI (a local path, file://, s3://, …): listing, reading, atomic writes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from fsspec.spec import AbstractFileSystem

from pipeline.errors import InputError, RunError
from pipeline.storage import local, s3
from pipeline.storage.ahead import read_ahead
from pipeline.storage.connection import PART_BYTES, delta_options, filesystem, is_local, is_s3
from pipeline.storage.explain import explained, is_passing, reason
from pipeline.storage.panics import panics_unprinted
from pipeline.storage.places import check_place, check_table_place
from pipeline.storage.spreadsheets import guarded, unguarded

__all__ = [
    "FileInfo",
    "check_place",
    "check_table_place",
    "clock",
    "create",
    "delta_options",
    "exists",
    "explained",
    "file_info",
    "filesystem",
    "guarded",
    "is_passing",
    "join",
    "list_files",
    "name",
    "new_folder",
    "open_new",
    "panics_unprinted",
    "read_ahead",
    "read_bytes",
    "read_range",
    "read_with_etag",
    "reason",
    "remove",
    "unguarded",
    "write_bytes",
    "write_if_match",
]


@dataclass(frozen=True)
class FileInfo:
    """A file as its store describes it.

    Attributes
    ----------
    etag
        Changes when its content does.
    modified
        When it was written, by the store's clock (see `clock`); seconds since 1970, 0 if the store doesn't
        tell.
    """

    uri: str
    size: int
    etag: str
    modified: float = field(default=0.0, compare=False)


def join(uri: str, *parts: str) -> str:
    """Append path segments to a URI.

    Examples
    --------
    >>> join("s3://survey/cutouts/", "runs", "plan.json")
    's3://survey/cutouts/runs/plan.json'
    """
    return "/".join([uri.rstrip("/"), *parts])


def absolute(uri: str) -> str:
    """The same place for every process: a relative local path becomes an absolute one.

    Raises
    ------
    InputError
        If the scheme is unknown or its client can't be made.
    """
    fs, path = filesystem(uri)
    return path if is_local(fs) else uri


def name(uri: str) -> str:
    """The last segment of a URI."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def exists(uri: str) -> bool:
    """Whether a file or folder is there; that its bucket isn't is an error."""
    fs, path = filesystem(uri)
    with explained("look up", uri):
        if is_s3(uri):
            return s3.exists(fs, path)
        fs.invalidate_cache()
        return bool(fs.exists(path))


def list_files(uri: str, suffix: str = "", through_links: bool = False) -> list[FileInfo]:
    """Files below a folder whose names end in `suffix`, sorted by URI; empty where there is none.

    On a local disk, links to files count; links to folders are followed only `through_links`.

    Raises
    ------
    InputError
        If the folder, or one below it, or its bucket can't be read.
    """
    fs, path = filesystem(uri)
    with explained("list", uri):
        if is_s3(uri):
            return [FileInfo(*found) for found in s3.list_objects(fs, path) if found[0].endswith(suffix)]
        fs.invalidate_cache()
        found = local.find(fs, path, through_links) if is_local(fs) else fs.find(path, detail=True)
        # Of a single file some clients (HTTP's) find the name alone.
        found = {file: details or dict(fs.info(file)) for file, details in found.items()}
    return [
        _file_info(fs, details)
        for _, details in sorted(found.items())
        if str(details["name"]).endswith(suffix) and details["type"] == "file"
    ]


def file_info(uri: str) -> FileInfo:
    """Size and etag of one file.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    fs, path = filesystem(uri)
    with explained("look up", uri):
        if is_s3(uri):
            return FileInfo(*s3.describe_object(fs, path))
        fs.invalidate_cache()
        return _file_info(fs, fs.info(path))


def _file_info(fs: AbstractFileSystem, details: dict[str, object]) -> FileInfo:
    uri = str(details["name"]) if is_local(fs) else fs.unstrip_protocol(str(details["name"]))
    version = details.get("ETag") or details.get("etag") or details.get("mtime") or ""
    modified = details.get("mtime") or details.get("LastModified") or details.get("last_modified") or 0.0
    if isinstance(modified, datetime):
        modified = (modified if modified.tzinfo else modified.replace(tzinfo=UTC)).timestamp()
    size, etag = int(str(details["size"] or 0)), str(version).strip('"')
    return FileInfo(uri, size, etag, float(modified) if isinstance(modified, int | float) else 0.0)


def clock(uri: str) -> float:
    """The time by the clock of a store, which also dates its files; seconds since 1970.

    On a local disk, which may be another machine's, it is that of a temporary file made for the purpose.
    Elsewhere than there and on S3 it is this machine's.

    Parameters
    ----------
    uri
        A folder that is there.

    Raises
    ------
    InputError
        If the folder can't be reached or, on a local disk, written to.
    """
    fs, path = filesystem(uri)
    with explained("ask the time of", uri):
        if is_s3(uri):
            return s3.clock(fs, path)
        return local.clock(path) if is_local(fs) else time.time()


def read_bytes(uri: str) -> bytes:
    """The whole content of a file.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    fs, path = filesystem(uri)
    with explained("read", uri):
        return s3.read(fs, path)[0] if is_s3(uri) else bytes(fs.cat_file(path))


def read_range(uri: str, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of a file; fewer where it ends before.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    fs, path = filesystem(uri)
    with explained("read", uri):
        return bytes(fs.cat_file(path, start=start, end=stop))


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file, replacing an older one; a reader sees the old content or the new, never a part."""
    fs, path = filesystem(uri)
    with explained("write", uri):
        if is_s3(uri):
            s3.write(fs, uri, path, data)
        elif is_local(fs):
            local.write(path, data)
        else:
            fs.pipe_file(path, data)


def remove(uri: str) -> None:
    """Remove a file; one that isn't there is no error."""
    fs, path = filesystem(uri)
    with explained("remove", uri), contextlib.suppress(FileNotFoundError):
        if is_s3(uri):
            s3.remove(fs, path)
        else:
            fs.rm_file(path)


@contextlib.contextmanager
def open_new(uri: str) -> Iterator[IO[bytes]]:
    """A stream whose content appears under `uri` when the block ends well, and not at all when it fails.

    A process that is killed in the block leaves a temporary file beside a local one, or the parts of an
    unfinished upload in an S3 bucket, for which a bucket can have a life-cycle rule.
    """
    fs, path = filesystem(uri)
    if is_s3(uri):
        with s3.open_new(fs, uri, path) as stream:
            yield stream
        return
    if is_local(fs):
        with local.open_new(path) as stream:
            yield stream
        return
    with explained("write", uri):
        stream = fs.open(path, "wb", autocommit=False)
    try:
        yield stream
    except BaseException:
        stream.close()
        stream.discard()
        raise
    with explained("write", uri):
        stream.close()
        stream.commit()


@contextlib.contextmanager
def new_folder(uri: str, last: Collection[str] = ()) -> Iterator[Path]:
    """A local folder whose files appear under `uri` when the block ends well, and not at all when it fails.

    On a local disk they do in one step. Elsewhere they are copied one by one, from a temporary folder that
    ``TMPDIR`` places; those named in `last` in the end, so that a reader who needs them never takes a part
    for the whole. A process that is killed leaves a temporary folder beside a local one, or what it copied.
    """
    fs, path = filesystem(uri)
    if is_local(fs):
        with local.new_folder(path) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        _copy_folder(Path(temporary), uri, last)


def _copy_folder(folder: Path, uri: str, last: Collection[str]) -> None:
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    copied: list[str] = []
    try:
        for name in sorted(names, key=lambda name: name in last):
            copied.append(join(uri, name))
            with (folder / name).open("rb") as source, open_new(copied[-1]) as stream:
                shutil.copyfileobj(source, stream, PART_BYTES)
    except BaseException:
        for written in reversed(copied):
            with contextlib.suppress(InputError, RunError):  # what made the copy fail says more
                remove(written)
        raise


def create(uri: str, data: bytes) -> bool:
    """Write a file only if there is none of that name, in one step.

    On S3 a request whose answer was lost is sent again; if it then finds the file there, a mark in the
    object's metadata tells whether this call made it.

    Where an S3 store answers that it has no conditional writes, the file is looked for and then written,
    which two callers at the same moment can both do; that is said once, as a warning. A store that ignores
    the condition in silence can't be told from one that honours it.

    Returns
    -------
    bool
        False, with nothing written, if the file was there already.
    """
    fs, path = filesystem(uri)
    with explained("create", uri):
        if is_s3(uri):
            return s3.create(fs, path, data)
        if is_local(fs):
            return local.create(path, data)
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
    return True


def read_with_etag(uri: str) -> tuple[bytes, str]:
    """The whole content of a file, and the etag with which `write_if_match` replaces just this content.

    Raises
    ------
    InputError
        If it isn't there or can't be reached, or the store is neither S3 nor a local disk.
    """
    fs, path = filesystem(uri)
    with explained("read", uri):
        if is_s3(uri):
            return s3.read(fs, path)
        _check_swaps(fs)
        return local.read_with_etag(path)


def write_if_match(uri: str, data: bytes, etag: str) -> bool:
    """Replace a file only if its content is still that of `etag`, in one step (compare and swap).

    An etag stands for content, not for a moment: what was changed and changed back matches again. Where
    that matters, content has to differ each time, for example by a random id.

    On S3 the store compares (``If-Match``). On a local disk it's a lock on a file beside it
    (``.NAME.lock``, which stays): that keeps other calls of this function out, on all machines that share
    the disk if it locks across machines, but not a `write_bytes` or another program.

    Returns
    -------
    bool
        False, with nothing written, if the content is another or the file is gone.

    Raises
    ------
    InputError
        If the store can't be reached or can't compare. It's then unknown whether the file was replaced.
    """
    fs, path = filesystem(uri)
    with explained("replace", uri):
        if is_s3(uri):
            return s3.write_if_match(fs, path, data, etag)
        _check_swaps(fs)
        return local.write_if_match(path, data, etag)


def _check_swaps(fs: AbstractFileSystem) -> None:
    if not is_local(fs):
        raise OSError(f"a {type(fs).__name__} can't swap files; expected a local path or an s3:// URI")
