"""Files of any other file system that fsspec knows: ``memory://``, ``https://``, ``gs://``, …."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Never

from fsspec.spec import AbstractFileSystem

from pipeline.storage.folders import copied_folder
from pipeline.storage.store import FileInfo


@dataclass(frozen=True)
class FsspecStore:
    """A store of which no more is known than what fsspec offers; it can't swap files."""

    fs: AbstractFileSystem

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        self.fs.invalidate_cache()
        return bool(self.fs.exists(path))

    def list_files(self, path: str, through_links: bool) -> Iterator[FileInfo]:
        """The file at a path, or those below it."""
        self.fs.invalidate_cache()
        for file, listed in self.fs.find(path, detail=True).items():
            details = listed or self.fs.info(
                file
            )  # of a single file some clients (HTTP's) find the name alone
            if details["type"] == "file":
                yield self._file_info(details)

    def file_info(self, path: str) -> FileInfo:
        """Size, etag and time of one file, as far as the client tells them."""
        self.fs.invalidate_cache()
        return self._file_info(self.fs.info(path))

    def clock(self, path: str, may_write: bool) -> float:
        """The time of this machine."""
        return time.time()

    def read_bytes(self, path: str) -> bytes:
        """The whole content of a file."""
        return bytes(self.fs.cat_file(path))

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of a file; fewer where it ends before."""
        return bytes(self.fs.cat_file(path, start=start, end=stop))

    def read_with_etag(self, path: str) -> tuple[bytes, str]:
        """Raise OSError: an etag would be of no use here."""
        self._refuse_to_swap()

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file, replacing an older one."""
        self.fs.pipe_file(path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if there is none of that name; in one step only where the client can do that."""
        if self.exists(path):  # some clients (HTTP's) write whatever the mode says
            return False
        try:
            self.fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def write_if_match(self, path: str, data: bytes, etag: str) -> bool:
        """Raise OSError: fsspec has no call for it."""
        self._refuse_to_swap()

    def remove(self, path: str) -> None:
        """Remove a file; FileNotFoundError if there is none."""
        self.fs.rm_file(path)

    def copy(self, path: str, target: str) -> None:
        """Copy a file, as the client does that."""
        self.fs.cp_file(path, target)

    def remove_folder(self, path: str) -> None:
        """Remove all files below a path, and the path."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(path, recursive=True)

    def symlink(self, path: str, folder: str) -> bool:
        """False: fsspec has no call for it."""
        return False

    @contextlib.contextmanager
    def open_new(self, path: str) -> Iterator[IO[bytes]]:
        """A stream that becomes a file when the block ends well, and nothing when it fails.

        So clients do that know ``autocommit=False``; that of ``memory://`` makes the file at once.
        """
        stream = self.fs.open(path, "wb", autocommit=False)
        try:
            yield stream
        except BaseException:
            stream.close()
            stream.discard()
            raise
        stream.close()
        stream.commit()

    def new_folder(self, path: str, last: Collection[str]) -> contextlib.AbstractContextManager[Path]:
        """A temporary folder whose files are copied here, those in `last` in the end."""
        return copied_folder(self, path, self.fs.unstrip_protocol(path), last)

    def _file_info(self, details: Mapping[str, object]) -> FileInfo:
        version = details.get("ETag") or details.get("etag") or details.get("mtime") or ""
        modified = details.get("mtime") or details.get("LastModified") or details.get("last_modified")
        if isinstance(modified, datetime):
            modified = (modified if modified.tzinfo else modified.replace(tzinfo=UTC)).timestamp()
        return FileInfo(
            self.fs.unstrip_protocol(str(details["name"])),
            int(str(details["size"] or 0)),
            str(version).strip('"'),
            float(modified) if isinstance(modified, int | float) else 0.0,
        )

    def _refuse_to_swap(self) -> Never:
        name = type(self.fs).__name__
        raise OSError(f"a {name} can't swap files; expected a local path or an s3:// URI")
