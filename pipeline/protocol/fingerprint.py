"""What a run was made from: comparing the fingerprints of two, also where an earlier version wrote one."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.numerics import difference

SCHEMA_VERSION = 2
"""Raise it when a column of the catalogue or the quarantine comes, goes, or has another type or meaning.

Since 2 a row has its class, and an answer only where enough volunteers are asked the question."""

COMPLETED = frozenset({"1"})
"""Versions whose rows a refresh keeps: what those of this version have beside follows from them."""

_UNDECLARED = "58f636573241c722a3f51316c4fdf8b3d1fd42d7181e3d6df620e9f473948a31"
"""The part ``code`` as the last version wrote it before what decides answers was declared: a digest of the
text of its folders."""

_UNDECLARED_SAYS = {
    "numerics": "answers 1, torch 2.13, simplejpeg 1.9, sep 1.4, astropy 8.0, scipy 1.17",
    "schema": "1",
}
"""What that version would have written now: its code is the one that answers 1 began with, and its lock file
named these libraries."""


_UNSAID = {"decoder": "cpu"}
"""What is meant where a fingerprint lacks a part: those of before there was a choice stay as they are."""


def declared(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """A fingerprint as this version would write it, where the version before wrote it.

    Any other stays as it is; one of still earlier code equals none of this version.
    """
    if fingerprint.get("code") != _UNDECLARED:
        return dict(fingerprint)
    return {name: value for name, value in fingerprint.items() if name != "code"} | _UNDECLARED_SAYS


def in_words(part: str, before: str | None, after: str | None) -> str:
    """How a part of a fingerprint differs from an earlier one's, such as ``transforms (was 60, is 1)``."""
    if part == "numerics":
        return f"numerics ({difference(before or '', after or '')})"
    values = [value or _UNSAID.get(part, "none") for value in (before, after)]
    short = [value[:12] + "…" if len(value) > 40 else value for value in values]
    return f"{part} (was {short[0]}, is {short[1]})"
