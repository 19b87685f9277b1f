"""How an S3 store is reached: time-outs, retries, and the client. Keys come from the environment."""

from __future__ import annotations

import functools
import os

from fsspec.spec import AbstractFileSystem

from pipeline.storage.uris import is_s3

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
"""Longest silence on a connection, not the longest transfer."""

ATTEMPTS = 5
"""Times that a request is sent before its failure is told; the waits between them double, up to 20 s."""

BODY_ATTEMPTS = 4
"""Times that an object is read whose content broke off: such a break comes after the request's success."""

PART_BYTES = 16 << 20
"""Size of the parts in which a stream is uploaded; 10,000 of them, the most there can be, are 160 GiB."""


def delta_options(uri: str) -> dict[str, str]:
    """Options of the Delta library for a URI; credentials come from the environment by themselves."""
    if not is_s3(uri):
        return {}
    options = {"connect_timeout": f"{CONNECT_TIMEOUT_S}s", "max_retries": str(ATTEMPTS)}
    endpoint = s3_endpoint()
    if endpoint:
        options["AWS_ENDPOINT_URL"] = endpoint
    if endpoint.startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    return options


def s3_endpoint() -> str:
    """The endpoint that the environment names; empty for AWS's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def s3_filesystem() -> AbstractFileSystem:
    """One client for all threads of a process; fsspec would make one for each thread."""
    return _s3_filesystem(os.getpid())


@functools.lru_cache(maxsize=1)
def _s3_filesystem(process: int) -> AbstractFileSystem:
    """The client of a process.

    Parameters
    ----------
    process
        Its id: the connections of a process aren't those of its fork.
    """
    import s3fs

    retries: dict[str, object] = {}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = ATTEMPTS
    if "AWS_RETRY_MODE" not in os.environ:
        retries["mode"] = "standard"
    fs = s3fs.S3FileSystem(
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "retries": retries,
            "max_pool_connections": 64,
        },
        # What another process wrote has to be seen.
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # s3fs sends again what botocore has given up on, which multiplies; of use only where a body breaks off.
    fs.retries = BODY_ATTEMPTS
    return fs
