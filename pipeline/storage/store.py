"""What a store of files is: the operations that all of them have, each on a path within the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from fsspec.spec import AbstractFileSystem


@dataclass(frozen=True)
class FileInfo:
    """A file as its store describes it.

    Attributes
    ----------
    etag
        Changes when its content does.
    modified
        When it was written, by the store's clock (see `Store.clock`); seconds since 1970, 0 if the store
        doesn't tell.
    """

    uri: str
    size: int
    etag: str
    modified: float = field(default=0.0, compare=False)


class Store(Protocol):
    """A store of files.

    Its operations raise what its client raises (`FileNotFoundError` where there is no such file); the
    functions of `pipeline.storage.files` turn that into one line for the user.
    """

    @property
    def fs(self) -> AbstractFileSystem:
        """The store as fsspec has it, for libraries that read through that."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def list_files(self, path: str, through_links: bool) -> Iterable[FileInfo]:
        """The file at a path, or those below it, in any order; none where there is nothing."""

    def file_info(self, path: str) -> FileInfo:
        """Size, etag and time of one file."""

    def clock(self, path: str, may_write: bool) -> float:
        """The time by which the store dates its files; seconds since 1970."""

    def read_bytes(self, path: str) -> bytes:
        """The whole content of a file."""

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of a file; fewer where it ends before."""

    def read_with_etag(self, path: str) -> tuple[bytes, str]:
        """Content and etag of the same moment; OSError if the store can't swap files."""

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file whole, replacing an older one."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if there is none of that name; False if there is."""

    def write_if_match(self, path: str, data: bytes, etag: str) -> bool:
        """Replace a file that has this etag; False if none has. OSError if the store can't swap files."""

    def remove(self, path: str) -> None:
        """Remove a file; FileNotFoundError, or nothing, if there is none."""

    def copy(self, path: str, target: str) -> None:
        """Give a file's content another name too, whose bytes needn't pass through here."""

    def remove_folder(self, path: str) -> None:
        """Remove a folder and all in it; nothing where there is none."""

    def symlink(self, path: str, folder: str) -> bool:
        """Make a symbolic link to a folder beside it, in one step; False where the store has no links."""

    def open_new(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """A stream that becomes a file when the block ends well, and nothing when it fails."""

    def new_folder(self, path: str, last: Collection[str]) -> AbstractContextManager[Path]:
        """A local folder whose files appear in the store when the block ends well."""
