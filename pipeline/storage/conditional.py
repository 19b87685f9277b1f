"""Writes of an S3 object on a condition (``If-None-Match``, ``If-Match``), whose answer may get lost."""

from __future__ import annotations

import functools
import time
import uuid
import warnings

from pipeline.storage.connection import ATTEMPTS
from pipeline.storage.explain import error_code
from pipeline.storage.requests import GONE, S3Object, pause

_MARK = "tuningfork-write"
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted", "409")
_FAILED_PRECONDITION = ("PreconditionFailed", "412")
_NOT_SUPPORTED = ("NotImplemented", "501")


def create(target: S3Object, data: bytes) -> bool:
    """Write an object if there is none of that name; False if there is.

    Where the store answers that it has no conditional writes, look for one and then write.
    """
    try:
        return _put_if(target, data, IfNoneMatch="*")
    except OSError as error:
        if error_code(error) not in _NOT_SUPPORTED:
            raise
    _warn_of_weak_create()
    try:
        target.info()
    except FileNotFoundError:
        target.put(data)
        return True
    return False


def write_if_match(target: S3Object, data: bytes, etag: str) -> bool:
    """Write an object if the one that's there has this etag; False if not.

    Raises
    ------
    OSError
        If the store doesn't know this condition: there is no weaker form that would be of use.
    """
    try:
        # HTTP wants quotes; Ceph (16) compares them with an etag that has none. Both are one step.
        return any(_put_if(target, data, IfMatch=form) for form in (f'"{etag}"', etag))
    except OSError as error:
        if error_code(error) in _NOT_SUPPORTED:
            raise OSError(
                "the store doesn't support conditional writes (If-Match), without which two writers can't "
                "be kept apart; expected one that does, such as AWS, Ceph or MinIO"
            ) from error
        raise


def _put_if(target: S3Object, data: bytes, **condition: str) -> bool:
    """Write if a condition holds, and say whether this call wrote.

    A request may succeed and its answer be lost; sent again it meets its own work and fails. Not every
    repetition can be seen from here (aiohttp makes some of its own), so the object carries this call's mark.
    """
    mark = uuid.uuid4().hex
    for attempt in range(ATTEMPTS):
        try:
            target.put(data, Metadata={_MARK: mark}, **condition)
        except OSError as error:
            code = error_code(error)
            if code in _CONFLICTS and attempt < ATTEMPTS - 1:
                time.sleep(pause(attempt))
                continue
            if code in _FAILED_PRECONDITION:
                return _mark_of(target) == mark
            if code in GONE and "IfMatch" in condition:
                return False
            raise
        return True
    raise AssertionError("unreachable")


def _mark_of(target: S3Object) -> str | None:
    try:
        mark: str | None = target.call("head_object")["Metadata"].get(_MARK)
    except OSError as error:
        if error_code(error) not in GONE:
            raise
        return None
    return mark


@functools.cache
def _warn_of_weak_create() -> None:
    warnings.warn(
        "this object store has no conditional writes (If-None-Match): of two runs that start at the same "
        "moment with the same output, both may think it's theirs; start one at a time",
        RuntimeWarning,
        stacklevel=5,
    )
