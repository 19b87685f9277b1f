"""Requests to an S3 store, sent by s3fs's client and on fsspec's thread, with botocore's retries alone.

``fs.call_s3`` sends each again that botocore has given up on: to a store that only refuses 20 times, in 35 s.
Why it isn't obstore that sends them is in ``docs/explanation/promise.md``.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fsspec.asyn import sync
from fsspec.spec import AbstractFileSystem

from pipeline.storage.connection import BODY_ATTEMPTS
from pipeline.storage.store import FileInfo

GONE = ("NoSuchKey", "NoSuchUpload", "404")
"""Codes by which a store says that an object, or an upload of one, isn't there."""

_MOST_IN_ONE_REQUEST = 5 << 30

Result = TypeVar("Result")


@dataclass(frozen=True)
class S3Object:
    """The place of an object, which needn't be there, and the requests about it.

    All raise OSError where the store refuses, with botocore's error as its cause, and botocore's own
    errors where it can't be reached.
    """

    fs: AbstractFileSystem
    bucket: str
    key: str

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request, such as ``head_object``."""
        return call(self.fs, operation, Bucket=self.bucket, Key=self.key, **arguments)

    def put(self, data: bytes, **options: Any) -> None:
        """Write it in one request."""
        if len(data) > _MOST_IN_ONE_REQUEST:
            raise OSError(f"it would have {len(data)} bytes, and one request can write 5 GiB")
        self.call("put_object", Body=data, **options)

    def get(self) -> tuple[bytes, str]:
        """Content and etag of the same moment.

        Read in one request, whatever its size, so that it isn't pieced together from two versions.
        """
        from aiohttp import ClientPayloadError
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        async def get(client: Any) -> tuple[bytes, str]:
            for attempt in itertools.count(1):
                response = await client.get_object(Bucket=self.bucket, Key=self.key)
                try:
                    async with response["Body"] as body:
                        return bytes(await body.read()), str(response["ETag"]).strip('"')
                except (ClientPayloadError, HTTPClientError, IncompleteReadError):
                    if attempt == BODY_ATTEMPTS:
                        raise
                    await asyncio.sleep(pause(attempt))
            raise AssertionError("unreachable")

        return _with_client(self.fs, get)

    def info(self) -> FileInfo:
        """Size, etag and time, from a listing: the answer to a HEAD has no body and can't tell what is wrong.

        Raises
        ------
        FileNotFoundError
            If it isn't there.
        """
        listed = call(self.fs, "list_objects_v2", Bucket=self.bucket, Prefix=self.key, MaxKeys=1)
        for entry in listed.get("Contents", ()):
            if entry["Key"] == self.key:
                return file_info(self.bucket, entry)
        raise FileNotFoundError(f"{self.bucket}/{self.key}")


def file_info(bucket: str, entry: dict[str, Any]) -> FileInfo:
    """An object as an entry of a listing describes it."""
    uri, etag = f"s3://{bucket}/{entry['Key']}", str(entry["ETag"]).strip('"')
    return FileInfo(uri, int(entry["Size"]), etag, entry["LastModified"].timestamp())


def call(fs: AbstractFileSystem, operation: str, **arguments: Any) -> dict[str, Any]:
    """The answer to one request.

    Raises
    ------
    OSError
        If the store refuses, with botocore's error as its cause.
    """

    async def ask(client: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await getattr(client, operation)(**arguments)
        return answer

    return _with_client(fs, ask)


def pause(attempt: int) -> float:
    """Seconds to wait before the next attempt, at random so that two writers don't go on in step."""
    return random.uniform(0, 0.2 * 2**attempt)  # noqa: S311


def _with_client(fs: AbstractFileSystem, ask: Callable[[Any], Awaitable[Result]]) -> Result:
    """Wait for what is asked on fsspec's own thread; what the store refused is an OSError."""
    from botocore.exceptions import ClientError

    async def answered() -> Result:
        return await ask(await fs.set_session())

    try:
        result: Result = sync(fs.loop, answered)
    except ClientError as error:
        raise OSError(str(error)) from error
    return result
