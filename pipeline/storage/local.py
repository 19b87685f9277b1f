"""Files on this machine's disks: found, written whole or not at all, and swapped under a lock.

A path that is a symbolic link stays one: what is written goes to the file that it leads to, as with any
program that opens it for writing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.store import FileInfo


@dataclass(frozen=True)
class LocalStore:
    """The disks of this machine, some of which other machines may share."""

    fs: LocalFileSystem

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there, and not only a link to nothing."""
        return os.path.exists(path)

    def list_files(self, path: str, through_links: bool) -> Iterator[FileInfo]:
        """The file at a path, or those below it, links to files among them.

        Parameters
        ----------
        through_links
            Follow links to folders too, but not round in circles.

        Raises
        ------
        OSError
            If a folder can't be read.
        """
        if os.path.isfile(path):
            yield self.file_info(path)
            return
        for folder, inner, names in os.walk(path, onerror=_raise_unless_gone, followlinks=through_links):
            inner[:] = [name for name in inner if not _leads_back(os.path.join(folder, name))]
            for name in names:
                file = os.path.join(folder, name)
                try:
                    status = os.stat(file)
                except OSError as error:
                    if error.errno in (errno.ENOENT, errno.ELOOP):  # gone since, or a link to nothing
                        continue
                    raise
                if stat.S_ISREG(status.st_mode):
                    yield _file_info(file, status)

    def broken_links(self, path: str) -> Iterator[FileInfo]:
        """Links below a folder that lead to nothing, or to themselves; of no size, their target for an etag.

        Raises
        ------
        OSError
            If a folder can't be read.
        """
        if not os.path.isdir(path):
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self.broken_links(entry.path)
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    yield FileInfo(entry.path, 0, os.readlink(entry.path))

    def file_info(self, path: str) -> FileInfo:
        """Size and time of one file; the time is its etag, too."""
        return _file_info(path, os.stat(path))

    def clock(self, path: str, may_write: bool) -> float:
        """The time at which a file made now in a folder is dated; this machine's if none may be made."""
        if not may_write:
            return time.time()
        with tempfile.NamedTemporaryFile(dir=path, prefix=".clock.") as probe:
            return os.fstat(probe.fileno()).st_mtime

    def read_bytes(self, path: str) -> bytes:
        """The whole content of a file."""
        return Path(path).read_bytes()

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of a file; fewer where it ends before."""
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def read_with_etag(self, path: str) -> tuple[bytes, str]:
        """Content of a file and its digest, which is as good as a version: times are too coarse."""
        data = Path(path).read_bytes()
        return data, _digest(data)

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file, replacing an older one in one step."""
        with self.open_new(path) as stream:
            stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if there is none of that name; False if there is."""
        target = _target(path)
        with _temporary_beside(target) as temporary:
            temporary.write(data)
            _seal(temporary)
            try:
                os.link(temporary.name, target)
            except FileExistsError:
                # On NFS the link may be there though the answer was lost: then the file has two names.
                if os.stat(temporary.name).st_nlink != 2:
                    return False
        _seal_folder(target)
        return True

    def write_if_match(self, path: str, data: bytes, etag: str) -> bool:
        """Replace a file if its content has this digest; False if not, or if it's gone."""
        target = _target(path)
        lock = target.with_name(f".{target.name}.lock")
        try:
            # Never removed: another process may hold the lock of the file that went.
            handle = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # not even the folder is there
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if _digest(target.read_bytes()) == etag:
                    self.write_bytes(path, data)
                    return True
            return False
        finally:
            os.close(handle)

    def remove(self, path: str) -> None:
        """Remove a file; FileNotFoundError if there is none."""
        os.remove(path)

    def copy(self, path: str, target: str) -> None:
        """Give a file a second name, or where that can't be, copy it; what was there is replaced."""
        place = _target(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        try:
            try:
                os.link(_target(path), temporary)
            except FileNotFoundError:
                raise
            except OSError:  # another disk, one without links, or too many of them
                shutil.copyfile(path, temporary)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)  # a link replaced by one to the same file stays
        _seal_folder(place)

    def remove_folder(self, path: str) -> None:
        """Remove a folder and all in it; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def symlink(self, path: str, folder: str) -> bool:
        """Make a symbolic link, in the place of an older one; False on a disk without links.

        Raises
        ------
        OSError
            If something that is no link has the name.
        """
        link = Path(path)
        if link.exists() and not link.is_symlink():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
        try:
            temporary.symlink_to(folder, target_is_directory=True)
        except OSError:
            return False
        os.replace(temporary, link)
        _seal_folder(link)
        return True

    @contextlib.contextmanager
    def open_new(self, path: str) -> Iterator[IO[bytes]]:
        """A stream whose content takes the place of a file when the block ends well."""
        target = _target(path)
        with _temporary_beside(target) as temporary:
            yield temporary
            _seal(temporary)
            os.replace(temporary.name, target)
        _seal_folder(target)

    @contextlib.contextmanager
    def new_folder(self, path: str, last: Collection[str]) -> Iterator[Path]:
        """A folder that gets its name when the block ends well, so that no file of it comes last."""
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", ignore_cleanup_errors=True
        ) as temporary:
            yield Path(temporary)
            for folder, _, names in os.walk(temporary):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        os.fsync(file.fileno())
            os.chmod(temporary, 0o755)  # noqa: S103
            os.rename(temporary, target)
        _seal_folder(target)


def _target(path: str) -> Path:
    """The file or folder that a path leads to through symbolic links, which needn't be there yet."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return target


def _file_info(path: str, status: os.stat_result) -> FileInfo:
    return FileInfo(path, status.st_size, str(status.st_mtime or ""), status.st_mtime)


def _leads_back(folder: str) -> bool:
    """Whether a folder is a link to one that it lies in, on the way by which it was reached."""
    if not os.path.islink(folder):
        return False
    return any(above.exists() and above.samefile(folder) for above in Path(folder).parents)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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


def _seal_folder(path: Path) -> None:
    """Make a file's name as durable as its content."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
