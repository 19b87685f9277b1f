"""URIs as text: put together and taken apart."""

from __future__ import annotations

_S3_SCHEMES = ("s3://", "s3a://")


def join(uri: str, *parts: str) -> str:
    """Append path segments to a URI.

    Examples
    --------
    >>> join("s3://survey/cutouts/", "runs", "plan.json")
    's3://survey/cutouts/runs/plan.json'
    """
    return "/".join([uri.rstrip("/"), *parts])


def name(uri: str) -> str:
    """The last segment of a URI."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def is_s3(uri: str) -> bool:
    """Whether a URI is of an S3 store."""
    return uri.startswith(_S3_SCHEMES)
