"""Numbers of things, and sizes, as people write them."""

from __future__ import annotations


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 galaxy``, ``1,200 galaxies``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def megabytes(size: float) -> str:
    """A size in bytes as ``1,234.5 MB``, of a million bytes each."""
    return f"{size / 1e6:,.1f} MB"
