"""Objects of an S3 store: one request, or one upload, for each thing that is done to a file."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
import random
import time
import uuid
import warnings
from collections.abc import Awaitable, Iterator
from email.utils import parsedate_to_datetime
from typing import IO, Any, TypeVar

from fsspec.asyn import sync
from fsspec.spec import AbstractFileSystem

from pipeline.storage.connection import ATTEMPTS, BODY_ATTEMPTS, PART_BYTES
from pipeline.storage.explain import error_code, explained

_MOST_IN_ONE_REQUEST = 5 << 30
_MARK = "tuningfork-write"
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted", "409")
_FAILED_PRECONDITION = ("PreconditionFailed", "412")
_GONE = ("NoSuchKey", "NoSuchUpload", "404")
_NOT_SUPPORTED = ("NotImplemented", "501")

Result = TypeVar("Result")


def list_objects(fs: AbstractFileSystem, path: str) -> Iterator[tuple[str, int, str, float]]:
    """URI, size, etag and time of the object at a path, or else of those below it, sorted by key."""
    bucket, key = _bucket_and_key(fs, path)
    folder = f"{key}/" if key else ""
    found = False
    for entry in _pages(fs, Bucket=bucket, Prefix=folder):
        if not entry["Key"].endswith("/"):  # an empty object that a console shows as a folder
            found = True
            yield _described(bucket, entry)
    if key and not found:
        with contextlib.suppress(FileNotFoundError):
            yield describe_object(fs, path)


def describe_object(fs: AbstractFileSystem, path: str) -> tuple[str, int, str, float]:
    """URI, size, etag and time of one object.

    Listed, since the answer to a HEAD has no body and so can't tell what is wrong.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    bucket, key = _bucket_and_key(fs, path)
    entries = _call(fs, "list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", ())
    for entry in entries:
        if entry["Key"] == key:
            return _described(bucket, entry)
    raise FileNotFoundError(path)


def exists(fs: AbstractFileSystem, path: str) -> bool:
    """Whether there is an object or a folder with objects; or the bucket, if the path is only that."""
    bucket, key = _bucket_and_key(fs, path)
    if not key:
        _call(fs, "list_objects_v2", Bucket=bucket, MaxKeys=1)
        return True
    try:
        describe_object(fs, path)
    except FileNotFoundError:
        below = _call(fs, "list_objects_v2", Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)
        return bool(below.get("Contents"))
    return True


def clock(fs: AbstractFileSystem, path: str) -> float:
    """The store's time as it dates its answers (RFC 9110, section 6.6.1), in whole seconds since 1970."""
    bucket, _ = _bucket_and_key(fs, path)
    answer = _call(fs, "list_objects_v2", Bucket=bucket, MaxKeys=1)
    date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    return parsedate_to_datetime(date).timestamp()


def read(fs: AbstractFileSystem, path: str) -> tuple[bytes, str]:
    """Content and etag of one object, of the same moment.

    Read in one request, whatever its size, so that it isn't pieced together from two versions.
    """
    bucket, key = _bucket_and_key(fs, path)

    async def get() -> tuple[bytes, str]:
        from aiohttp import ClientPayloadError
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        client = await fs.set_session()
        for attempt in itertools.count(1):
            response = await client.get_object(Bucket=bucket, Key=key)
            try:
                async with response["Body"] as body:
                    return bytes(await body.read()), str(response["ETag"]).strip('"')
            except (ClientPayloadError, HTTPClientError, IncompleteReadError):
                if attempt == BODY_ATTEMPTS:
                    raise
                await asyncio.sleep(_pause(attempt))
        raise AssertionError("unreachable")

    return _run(fs, get())


def write(fs: AbstractFileSystem, uri: str, path: str, data: bytes) -> None:
    """Write an object, replacing an older one."""
    with open_new(fs, uri, path) as stream:
        for start in range(0, len(data), PART_BYTES):
            stream.write(data[start : start + PART_BYTES])


def create(fs: AbstractFileSystem, path: str, data: bytes) -> bool:
    """Write an object if there is none of that name; False if there is (``If-None-Match: *``)."""
    try:
        return _put_if(fs, path, data, IfNoneMatch="*")
    except OSError as error:
        if error_code(error) not in _NOT_SUPPORTED:
            raise
    _warn_of_weak_create()
    if exists(fs, path):
        return False
    _put(fs, path, data)
    return True


def write_if_match(fs: AbstractFileSystem, path: str, data: bytes, etag: str) -> bool:
    """Write an object if the one that's there has this etag; False if not (``If-Match``).

    Raises
    ------
    OSError
        If the store doesn't know this condition: there is no weaker form that would be of use.
    """
    try:
        # HTTP wants quotes; Ceph (16) compares them with an etag that has none. Both are one step.
        return any(_put_if(fs, path, data, IfMatch=form) for form in (f'"{etag}"', etag))
    except OSError as error:
        if error_code(error) in _NOT_SUPPORTED:
            raise OSError(
                "the store doesn't support conditional writes (If-Match), without which two writers can't "
                "be kept apart; expected one that does, such as AWS, Ceph or MinIO"
            ) from error
        raise


def remove(fs: AbstractFileSystem, path: str) -> None:
    """Remove an object; one that isn't there is no error."""
    bucket, key = _bucket_and_key(fs, path)
    _call(fs, "delete_object", Bucket=bucket, Key=key)


@contextlib.contextmanager
def open_new(fs: AbstractFileSystem, uri: str, path: str) -> Iterator[IO[bytes]]:
    """A stream that becomes an object when the block ends well; up to `PART_BYTES` of it in one request."""
    with explained("write", uri):
        stream = fs.open(path, "wb", autocommit=False, block_size=PART_BYTES)
    try:
        yield stream
        with explained("write", uri):
            if stream.mpu is None:  # no part was sent yet
                stream.closed = True
                _put(fs, path, stream.buffer.getvalue())
            else:
                stream.close()
                _commit(fs, stream)
    except BaseException:
        stream.closed = True  # or the garbage collector would upload what is left
        with contextlib.suppress(Exception):  # what made the block fail says more
            stream.discard()
        raise


def _commit(fs: AbstractFileSystem, stream: Any) -> None:
    """Make the parts an object; a success of which no answer came is known by the etag of the parts."""
    try:
        stream.commit()
    except OSError as error:
        if error_code(error) not in _GONE:
            raise
        etag = describe_object(fs, stream.path)[2]
        if etag != _etag_of_parts([part["ETag"] for part in stream.parts]):
            raise
    stream.mpu = None


def _etag_of_parts(etags: list[str]) -> str:
    digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _put_if(fs: AbstractFileSystem, path: str, data: bytes, **condition: str) -> bool:
    """Write if a condition holds, and say whether this call wrote.

    A request may succeed and its answer be lost; sent again it meets its own work and fails. Not every
    repetition can be seen from here (aiohttp makes some of its own), so the object carries this call's mark.
    """
    mark = uuid.uuid4().hex
    for attempt in range(ATTEMPTS):
        try:
            _put(fs, path, data, Metadata={_MARK: mark}, **condition)
        except OSError as error:
            code = error_code(error)
            if code in _CONFLICTS and attempt < ATTEMPTS - 1:
                time.sleep(_pause(attempt))
                continue
            if code in _FAILED_PRECONDITION:
                return _mark_of(fs, path) == mark
            if code in _GONE and "IfMatch" in condition:
                return False
            raise
        return True
    raise AssertionError("unreachable")


def _mark_of(fs: AbstractFileSystem, path: str) -> str | None:
    bucket, key = _bucket_and_key(fs, path)
    try:
        mark: str | None = _call(fs, "head_object", Bucket=bucket, Key=key)["Metadata"].get(_MARK)
    except OSError as error:
        if error_code(error) not in _GONE:
            raise
        return None
    return mark


def _put(fs: AbstractFileSystem, path: str, data: bytes, **options: Any) -> None:
    if len(data) > _MOST_IN_ONE_REQUEST:
        raise OSError(f"it would have {len(data)} bytes, and one request can write 5 GiB")
    bucket, key = _bucket_and_key(fs, path)
    _call(fs, "put_object", Bucket=bucket, Key=key, Body=data, **options)


@functools.cache
def _warn_of_weak_create() -> None:
    warnings.warn(
        "this object store has no conditional writes (If-None-Match): of two runs that start at the same "
        "moment with the same output, both may think it's theirs; start one at a time",
        RuntimeWarning,
        stacklevel=4,
    )


def _pages(fs: AbstractFileSystem, **query: str) -> Iterator[dict[str, Any]]:
    while True:
        page = _call(fs, "list_objects_v2", **query)
        yield from page.get("Contents", ())
        if not page.get("IsTruncated"):
            return
        query["ContinuationToken"] = page["NextContinuationToken"]


def _described(bucket: str, entry: dict[str, Any]) -> tuple[str, int, str, float]:
    uri, etag = f"s3://{bucket}/{entry['Key']}", str(entry["ETag"]).strip('"')
    return uri, int(entry["Size"]), etag, entry["LastModified"].timestamp()


def _bucket_and_key(fs: AbstractFileSystem, path: str) -> tuple[str, str]:
    bucket, key, _ = fs.split_path(path)
    return str(bucket), str(key).rstrip("/")


def _call(fs: AbstractFileSystem, operation: str, **arguments: Any) -> dict[str, Any]:
    """One request with botocore's retries, and without those that s3fs puts around them."""

    async def call() -> dict[str, Any]:
        client = await fs.set_session()
        answer: dict[str, Any] = await getattr(client, operation)(**arguments)
        return answer

    return _run(fs, call())


def _run(fs: AbstractFileSystem, work: Awaitable[Result]) -> Result:
    """Wait for requests on fsspec's own thread; what the store refused is an OSError."""
    from botocore.exceptions import ClientError

    async def awaited() -> Result:
        return await work

    try:
        result: Result = sync(fs.loop, awaited)
    except ClientError as error:
        raise OSError(str(error)) from error
    return result


def _pause(attempt: int) -> float:
    return random.uniform(0, 0.2 * 2**attempt)  # noqa: S311
