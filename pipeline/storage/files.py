"""What can be done to the file of a URI, whatever its store; what goes wrong is one line for the user."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from pipeline.storage.explain import explained, explained_ends
from pipeline.storage.local import LocalStore
from pipeline.storage.store import FileInfo
from pipeline.storage.stores import store_at


def exists(uri: str) -> bool:
    """Whether a file or folder is there.

    Raises
    ------
    InputError
        If it can't be known, as where there isn't even the bucket.
    """
    store, path = store_at(uri)
    with explained("look up", uri):
        return store.exists(path)


def list_files(
    uri: str, suffix: str = "", through_links: bool = False, broken_links: bool = False
) -> list[FileInfo]:
    """Files below a folder whose names end in `suffix`, sorted by URI; empty where there is none.

    Links exist on a local disk alone; there, links to files are listed as the files.

    Parameters
    ----------
    through_links
        Whether links to folders are followed.
    broken_links
        Whether links that lead to nothing are listed, with a size of 0 and their target for an etag, so that
        whoever reads them can say that they are broken.

    Raises
    ------
    InputError
        If the folder, or one below it, or its bucket can't be read.
    """
    store, path = store_at(uri)
    with explained("list", uri):
        files = list(store.list_files(path, through_links))
        if broken_links and isinstance(store, LocalStore):
            files += store.broken_links(path)
    return sorted((file for file in files if file.uri.endswith(suffix)), key=lambda file: file.uri)


def file_info(uri: str) -> FileInfo:
    """Size and etag of one file.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    store, path = store_at(uri)
    with explained("look up", uri):
        return store.file_info(path)


def clock(uri: str, may_write: bool = True) -> float:
    """The time by the clock of a store, which also dates its files; seconds since 1970.

    On a local disk, which may be another machine's, it is that of a temporary file made for the purpose.
    Elsewhere than there and on S3 it is this machine's.

    Parameters
    ----------
    uri
        A folder that is there.
    may_write
        Whether the temporary file may be made; if not, a local disk's time is this machine's too.

    Raises
    ------
    InputError
        If the folder can't be reached or, on a local disk, written to.
    """
    store, path = store_at(uri)
    with explained("ask the time of", uri):
        return store.clock(path, may_write)


def read_bytes(uri: str) -> bytes:
    """The whole content of a file.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    store, path = store_at(uri)
    with explained("read", uri):
        return store.read_bytes(path)


def read_range(uri: str, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of a file; fewer where it ends before.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    store, path = store_at(uri)
    with explained("read", uri):
        return store.read_range(path, start, stop)


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file, replacing an older one; a reader sees the old content or the new, never a part.

    Raises
    ------
    InputError
        If it can't be written.
    """
    store, path = store_at(uri)
    with explained("write", uri):
        store.write_bytes(path, data)


def remove(uri: str) -> None:
    """Remove a file; one that isn't there is no error.

    Raises
    ------
    InputError
        If it can't be removed.
    """
    store, path = store_at(uri)
    with explained("remove", uri), contextlib.suppress(FileNotFoundError):
        store.remove(path)


def copy(uri: str, target: str) -> None:
    """Give a file's content another name too, in the same store; what was there is replaced in one step.

    On a local disk the two names are of one file (a hard link), so that neither may be written to in place;
    an object store copies by itself.

    Raises
    ------
    InputError
        If it isn't there, or can't be copied.
    """
    store, path = store_at(uri)
    _, place = store_at(target)
    with explained("copy", uri):
        store.copy(path, place)


def remove_folder(uri: str) -> None:
    """Remove a folder and all in it; one that isn't there is no error.

    Raises
    ------
    InputError
        If something of it can't be removed.
    """
    store, path = store_at(uri)
    with explained("remove", uri):
        store.remove_folder(path)


def symlink(uri: str, folder: str) -> bool:
    """Make a symbolic link to a folder, in one step; an older link is replaced.

    Parameters
    ----------
    folder
        Its path from the link's folder.

    Returns
    -------
    bool
        False, with nothing done, where the store has no links: everywhere but on most local disks.

    Raises
    ------
    InputError
        If something that is no link has the link's name.
    """
    store, path = store_at(uri)
    with explained("replace", uri):
        return store.symlink(path, folder)


@contextlib.contextmanager
def open_new(uri: str) -> Iterator[IO[bytes]]:
    """A stream whose content appears under `uri` when the block ends well, and not at all when it fails.

    A process that is killed in the block leaves a temporary file beside a local one, or the parts of an
    unfinished upload in an S3 bucket, for which a bucket can have a life-cycle rule.

    Raises
    ------
    InputError
        If the stream can't be opened, or its content not be put in place.
    """
    store, path = store_at(uri)
    with explained_ends("write", uri, store.open_new(path)) as stream:
        yield stream


@contextlib.contextmanager
def new_folder(uri: str, last: Collection[str] = ()) -> Iterator[Path]:
    """A local folder whose files appear under `uri` when the block ends well, and not at all when it fails.

    On a local disk they do in one step. Elsewhere they are copied one by one, from a temporary folder that
    ``TMPDIR`` places; those named in `last` in the end, so that a reader who needs them never takes a part
    for the whole. A process that is killed leaves a temporary folder beside a local one, or what it copied.

    Raises
    ------
    InputError
        If the folder can't be made, or its files not be put in place.
    """
    store, path = store_at(uri)
    with explained_ends("write", uri, store.new_folder(path, last)) as folder:
        yield folder


def create(uri: str, data: bytes) -> bool:
    """Write a file only if there is none of that name, in one step.

    On S3 a request whose answer was lost is sent again; if it then finds the file there, a mark in the
    object's metadata tells whether this call made it.

    Where an S3 store answers that it has no conditional writes, the file is looked for and then written,
    which two callers at the same moment can both do; that is said once, as a warning. A store that ignores
    the condition in silence can't be told from one that honours it. In stores that are neither S3 nor a
    local disk the file is looked for, too, and it's one step only where fsspec's client makes it one.

    Returns
    -------
    bool
        False, with nothing written, if the file was there already.

    Raises
    ------
    InputError
        If it can't be written.
    """
    store, path = store_at(uri)
    with explained("create", uri):
        return store.create(path, data)


def read_with_etag(uri: str) -> tuple[bytes, str]:
    """The whole content of a file, and the etag with which `write_if_match` replaces just this content.

    Raises
    ------
    InputError
        If it isn't there or can't be reached, or the store is neither S3 nor a local disk.
    """
    store, path = store_at(uri)
    with explained("read", uri):
        return store.read_with_etag(path)


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
    store, path = store_at(uri)
    with explained("replace", uri):
        return store.write_if_match(path, data, etag)
