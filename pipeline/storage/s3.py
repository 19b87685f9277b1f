"""Objects of an S3 store: one request, or one upload, for each thing that is done to a file."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any, cast

from fsspec.spec import AbstractFileSystem

from pipeline.storage import conditional
from pipeline.storage.folders import copied_folder
from pipeline.storage.requests import S3Object, call, file_info
from pipeline.storage.store import FileInfo
from pipeline.storage.upload import Upload


@dataclass(frozen=True)
class S3Store:
    """A store of S3's kind: AWS, Ceph, MinIO and others."""

    fs: AbstractFileSystem

    def exists(self, path: str) -> bool:
        """Whether there is an object or a folder with objects; or the bucket, if the path is only that."""
        target = self._object(path)
        if not target.key:
            self._list(target.bucket, MaxKeys=1)
            return True
        try:
            target.info()
        except FileNotFoundError:
            return bool(self._list(target.bucket, Prefix=f"{target.key}/", MaxKeys=1).get("Contents"))
        return True

    def list_files(self, path: str, through_links: bool) -> Iterator[FileInfo]:
        """The objects below a path, or else the one at it."""
        target = self._object(path)
        empty = True
        for entry in self._entries(target.bucket, f"{target.key}/" if target.key else ""):
            if not entry["Key"].endswith("/"):  # an empty object that a console shows as a folder
                empty = False
                yield file_info(target.bucket, entry)
        if target.key and empty:
            with contextlib.suppress(FileNotFoundError):
                yield target.info()

    def file_info(self, path: str) -> FileInfo:
        """Size, etag and time of one object."""
        return self._object(path).info()

    def clock(self, path: str, may_write: bool) -> float:
        """The store's time as it dates its answers (RFC 9110, section 6.6.1), in whole seconds."""
        answer = self._list(self._object(path).bucket, MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def read_bytes(self, path: str) -> bytes:
        """The whole content of an object."""
        return self._object(path).get()[0]

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of an object; fewer where it ends before."""
        return bytes(self.fs.cat_file(path, start=start, end=stop))

    def read_with_etag(self, path: str) -> tuple[bytes, str]:
        """Content and etag of one object, of the same moment."""
        return self._object(path).get()

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write an object, replacing an older one."""
        with self.open_new(path) as stream:
            stream.write(data)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object if there is none of that name; False if there is."""
        return conditional.create(self._object(path), data)

    def write_if_match(self, path: str, data: bytes, etag: str) -> bool:
        """Write an object if the one that's there has this etag; False if not."""
        return conditional.write_if_match(self._object(path), data, etag)

    def remove(self, path: str) -> None:
        """Remove an object; one that isn't there is no error."""
        self._object(path).call("delete_object")

    def copy(self, path: str, target: str) -> None:
        """Have the store copy an object."""
        self.fs.cp_file(path, target)

    def remove_folder(self, path: str) -> None:
        """Remove all objects below a path."""
        for file in list(self.list_files(path, through_links=False)):
            self.remove(file.uri)

    def symlink(self, path: str, folder: str) -> bool:
        """False: objects have one name each."""
        return False

    @contextlib.contextmanager
    def open_new(self, path: str) -> Iterator[IO[bytes]]:
        """A stream that becomes an object when the block ends well."""
        upload = Upload(self._object(path))
        try:
            yield cast(IO[bytes], upload)
            upload.finish()
        except BaseException:
            with contextlib.suppress(Exception):  # what made the block fail says more
                upload.abandon()
            raise

    def new_folder(self, path: str, last: Collection[str]) -> contextlib.AbstractContextManager[Path]:
        """A temporary folder whose files are copied here, those in `last` in the end."""
        return copied_folder(self, path, f"s3://{path}", last)

    def _object(self, path: str) -> S3Object:
        bucket, key, _ = self.fs.split_path(path)
        return S3Object(self.fs, str(bucket), str(key).rstrip("/"))

    def _list(self, bucket: str, **query: Any) -> dict[str, Any]:
        return call(self.fs, "list_objects_v2", Bucket=bucket, **query)

    def _entries(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Of all pages of a listing, sorted by key."""
        query = {"Prefix": prefix}
        while True:
            page = self._list(bucket, **query)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]
