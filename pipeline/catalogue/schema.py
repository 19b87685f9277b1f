"""Columns of the catalogue, and of the quarantine."""

from __future__ import annotations

import pyarrow as pa

from pipeline.catalogue.plan import digest
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("object_id", pa.string(), metadata={"description": "Null if the row has none"}),
        pa.field("shard", pa.string(), metadata={"description": "Input shard"}),
        pa.field("row", pa.int64(), metadata={"description": "Row in the shard, from 0"}),
        pa.field("reason", pa.string(), metadata={"description": "Short code to count by"}),
        pa.field("message", pa.string(), metadata={"description": "What is wrong and what was expected"}),
    ]
)
"""One row for each input row that could not be classified."""

QUARANTINE_REASONS = frozenset(
    {
        "alpha",
        "bad_center",
        "bad_frame",
        "bad_metadata",
        "bad_object_id",
        "bad_pixels",
        "bad_position",
        "bad_shape",
        "bad_wcs",
        "cmyk",
        "damaged",
        "decode_timeout",
        "decoder_failed",
        "duplicate_object_id",
        "empty",
        "grey",
        "killed_decoder",
        "missing_band",
        "no_extension",
        "no_object_id",
        "no_pixel_scale",
        "no_source",
        "not_an_image",
        "not_finite",
        "out_of_memory",
        "too_large",
        "too_small",
        "truncated",
        "unreadable_rows",
    }
)
"""Every reason for which a row is quarantined; `verify` takes any other for damage."""


def tree_digest(tree: DecisionTree) -> str:
    """sha256 of all that decides what a tree's probabilities mean; part of a run's fingerprint."""
    return digest(tree.name, tree.columns, sorted(tree.gates.items()))


def catalogue_schema(tree: DecisionTree) -> pa.Schema:
    """Columns of the catalogue for a decision tree, plain Arrow types only.

    ``object_id, ra, dec``; one float32 column an answer, named ``<question>_<answer>``, in the tree's order;
    per question the most probable answer and the agreement a(p), null and NaN-free where the question has no
    probability at all; then the provenance.

    Raises
    ------
    InputError
        If an answer's key makes its column collide with another of the catalogue's.
    """
    fields = [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("ra", pa.float64(), metadata={"unit": "deg"}),
        pa.field("dec", pa.float64(), metadata={"unit": "deg"}),
    ]
    texts = {
        f"{q.key}_{a.key}": f"Probability of {a.text!r} to {q.text!r}, all volunteers counted"
        for q in tree.questions
        for a in q.answers
    }
    fields += [
        pa.field(c, pa.float32(), nullable=False, metadata={"description": texts[c]}) for c in tree.columns
    ]
    for question in tree.questions:
        fields += [
            pa.field(f"{question.key}_answer", pa.string(), metadata={"description": "Most probable answer"}),
            pa.field(f"{question.key}_agreement", pa.float32(), metadata={"description": "1 - H(p) / log n"}),
        ]
    fields += [
        pa.field("run", pa.string(), nullable=False, metadata={"description": "Run that wrote the row"}),
        pa.field(
            "weights", pa.string(), nullable=False, metadata={"description": "sha256 of the weight file"}
        ),
        pa.field("input", pa.string(), nullable=False, metadata={"description": "Shard and row read"}),
    ]
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"tree {tree.name!r} makes two catalogue columns {twice[0]!r}; rename the answer's key"
        )
    return pa.schema(fields)
