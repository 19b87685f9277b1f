"""Files at any fsspec URI (a local path, file://, s3://, …): listing, reading, atomic writes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from pipeline.errors import InputError


@dataclass(frozen=True)
class FileInfo:
    """A file as its store describes it; `etag` changes when its content does."""

    uri: str
    size: int
    etag: str


def filesystem(uri: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URI, and the path within it.

    Raises
    ------
    InputError
        If the scheme is unknown or its client can't be made.
    """
    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError, OSError) as error:
        raise InputError(
            f"cannot use {uri!r}: {error}; expected a local path or a URI such as s3://bucket/key"
        ) from error
    return fs, path


@contextlib.contextmanager
def _explained(action: str, uri: str) -> Iterator[None]:
    """Turn whatever a store's client raises into one line that names the URI."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"cannot {action} {uri}: it doesn't exist") from error
    except PermissionError as error:
        raise InputError(
            f"cannot {action} {uri}: permission denied; check the credentials or the file's mode"
        ) from error
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot {action} {uri}: {reason}") from error


def join(uri: str, *parts: str) -> str:
    """Append path segments to a URI."""
    return "/".join([uri.rstrip("/"), *parts])


def name(uri: str) -> str:
    """The last segment of a URI."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    fs, path = filesystem(uri)
    with _explained("look up", uri):
        fs.invalidate_cache()
        return bool(fs.exists(path))


def list_files(uri: str, suffix: str = "") -> list[FileInfo]:
    """Files below a folder whose names end in `suffix`, sorted by URI; empty where there is none.

    On a local disk, links to files count and links to folders aren't followed.

    Raises
    ------
    InputError
        If the folder, or one below it, can't be read.
    """
    fs, path = filesystem(uri)
    with _explained("list", uri):
        fs.invalidate_cache()
        found = _find_local(fs, path) if _is_local(fs) else fs.find(path, detail=True)
    return [
        _file_info(fs, details)
        for _, details in sorted(found.items())
        if details["name"].endswith(suffix) and details["type"] == "file"
    ]


def _find_local(fs: AbstractFileSystem, path: str) -> dict[str, dict[str, object]]:
    """What `fs.find` gives, but a folder that can't be read is an error, and links to files are in it."""
    if os.path.isfile(path):
        return {path: fs.info(path)}
    found = {}
    for folder, _, names in os.walk(path, onerror=_raise_unless_gone):
        for file in names:
            with contextlib.suppress(FileNotFoundError):  # gone since, or a link to nothing
                details = fs.info(os.path.join(folder, file))
                found[details["name"]] = details
    return found


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def file_info(uri: str) -> FileInfo:
    """Size and etag of one file.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    fs, path = filesystem(uri)
    with _explained("look up", uri):
        fs.invalidate_cache()
        return _file_info(fs, fs.info(path))


def _file_info(fs: AbstractFileSystem, details: dict[str, object]) -> FileInfo:
    uri = str(details["name"]) if _is_local(fs) else fs.unstrip_protocol(str(details["name"]))
    version = details.get("ETag") or details.get("etag") or details.get("mtime") or ""
    return FileInfo(uri, int(str(details["size"] or 0)), str(version).strip('"'))


def read_bytes(uri: str) -> bytes:
    """The whole content of a file.

    Raises
    ------
    InputError
        If it isn't there or can't be reached.
    """
    fs, path = filesystem(uri)
    with _explained("read", uri):
        return bytes(fs.cat_file(path))


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file, replacing an older one; a reader sees the old content or the new, never a part."""
    fs, path = filesystem(uri)
    with _explained("write", uri):
        if _is_local(fs):
            with _temporary_beside(Path(path)) as temporary:
                temporary.write(data)
                _seal(temporary)
                os.replace(temporary.name, path)
        else:
            fs.pipe_file(path, data)


def remove(uri: str) -> None:
    """Remove a file; one that isn't there is no error."""
    fs, path = filesystem(uri)
    with _explained("remove", uri), contextlib.suppress(FileNotFoundError):
        fs.rm_file(path)


@contextlib.contextmanager
def open_new(uri: str) -> Iterator[IO[bytes]]:
    """A stream whose content appears under `uri` when the block ends well, and not at all when it fails."""
    fs, path = filesystem(uri)
    if _is_local(fs):
        with _temporary_beside(Path(path)) as temporary:
            yield temporary
            _seal(temporary)
            os.replace(temporary.name, path)
        return
    with _explained("write", uri):
        stream = fs.open(path, "wb", autocommit=False)
    try:
        yield stream
    except BaseException:
        stream.close()
        stream.discard()
        raise
    with _explained("write", uri):
        stream.close()
        stream.commit()


def create(uri: str, data: bytes) -> bool:
    """Write a file only if there is none of that name, in one step.

    Returns
    -------
    bool
        False, with nothing written, if the file was there already.
    """
    fs, path = filesystem(uri)
    with _explained("create", uri):
        if _is_local(fs):
            with _temporary_beside(Path(path)) as temporary:
                temporary.write(data)
                _seal(temporary)
                try:
                    os.link(temporary.name, path)
                except FileExistsError:
                    return False
            return True
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            # S3's "412 Precondition Failed" reaches us as EINVAL (s3fs 2026.9).
            if "precondition" not in str(error).lower():
                raise
            return False
    return True


def _is_local(fs: AbstractFileSystem) -> bool:
    return isinstance(fs, LocalFileSystem)


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[IO[bytes]]:
    """A new file in the target's folder, open for writing; removed at the end if it's still there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stream = tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False)  # noqa: SIM115
    try:
        with stream:
            yield stream
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(stream.name)


def _seal(stream: IO[bytes]) -> None:
    """Make what was written durable, and readable by others as an ordinary file is."""
    stream.flush()
    os.fsync(stream.fileno())
    os.fchmod(stream.fileno(), 0o644)
