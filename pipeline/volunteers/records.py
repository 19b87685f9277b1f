"""The tables of votes: one row an answer, and one for every row of an export that can't be used."""

from __future__ import annotations

import pyarrow as pa

VOTES = pa.schema(
    [
        pa.field("classification_id", pa.int64(), nullable=False),
        pa.field("user", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""Columns of the table of votes.

A classification is one look of one user at one subject; each answer given in it is a row. ``question`` and
``answer`` are keys of the decision tree, ``subject`` is the galaxy's `object_id`.
"""

QUARANTINE = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("classification_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""Columns of the quarantine: where the row stands (counted from 1, the header being 1) and what is wrong."""
