"""Which store a URI is of: the one place that tells S3, a local disk and all else apart."""

from __future__ import annotations

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from pipeline.errors import InputError
from pipeline.storage.connection import s3_filesystem
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.local import LocalStore
from pipeline.storage.s3 import S3Store
from pipeline.storage.store import Store
from pipeline.storage.uris import is_s3


def store_at(uri: str) -> tuple[Store, str]:
    """The store of a URI, and the path within it.

    Raises
    ------
    InputError
        If the scheme is unknown or its client can't be made.
    """
    try:
        if is_s3(uri):
            return S3Store(s3_filesystem()), str(fsspec.core.strip_protocol(uri))
        fs, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError, OSError) as error:
        raise InputError(
            f"cannot use {uri!r}: {error}; expected a local path or a URI such as s3://bucket/key"
        ) from error
    return (LocalStore(fs) if isinstance(fs, LocalFileSystem) else FsspecStore(fs)), str(path)


def filesystem(uri: str) -> tuple[AbstractFileSystem, str]:
    """The fsspec file system of a URI, and the path within it.

    S3 is set up by the usual variables of its clients (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``,
    ``AWS_PROFILE``, …) or by the cloud's own chain of credentials, and by nothing else; ``AWS_MAX_ATTEMPTS``
    and ``AWS_RETRY_MODE`` win over the values of `pipeline.storage.connection`.

    Raises
    ------
    InputError
        If the scheme is unknown or its client can't be made.
    """
    store, path = store_at(uri)
    return store.fs, path


def absolute(uri: str) -> str:
    """The same place for every process: a relative local path becomes an absolute one.

    Raises
    ------
    InputError
        If the scheme is unknown or its client can't be made.
    """
    store, path = store_at(uri)
    return path if isinstance(store, LocalStore) else uri
