"""What made the rows of a snapshot: kept in the table's schema, which goes where the catalogue goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
from deltalake import DeltaTable

from pipeline.catalogue.log import content_of
from pipeline.protocol.plan import Plan

_COLUMN = "run"
_FROM_FINGERPRINT = {
    "weights": "weights_sha256",
    "numerics": "numerics",
    "transforms": "transforms",
    "precision": "precision",
}
"""Parts of a run's fingerprint that readers of its rows want to know, and what they are called there."""


@dataclass(frozen=True)
class Provenance:
    """Where the rows of a snapshot come from.

    Attributes
    ----------
    version
        The catalogue's version that wrote them.
    written
        When it did, in UTC (ISO 8601); empty where the log no longer tells.
    run
        The run that it was; empty if something else wrote them.
    making
        What the run classified with: ``weights`` (name and version), ``weights_sha256``, ``numerics``,
        ``transforms``, ``precision``, as far as the catalogue says it.
    """

    version: int | None = None
    written: str = ""
    run: str = ""
    making: Mapping[str, str] = field(default_factory=dict)


def with_making(schema: pa.Schema, plan: Plan) -> pa.Schema:
    """Columns of a catalogue of which that of runs says what the newest run classified with."""
    metadata = {name: plan.fingerprint.get(part, "") for part, name in _FROM_FINGERPRINT.items()}
    metadata = {name: text for name, text in {"weights": plan.weights, **metadata}.items() if text}
    place = schema.get_field_index(_COLUMN)
    about = schema.field(place)
    return schema.set(place, about.with_metadata({**(about.metadata or {}), **metadata}))


def provenance_of(uri: str, table: DeltaTable) -> Provenance:
    """Where the rows of a table as it was opened come from.

    Raises
    ------
    InputError
        If the store can't be reached.
    """
    content = content_of(uri, table, tuple)
    schema = pa.schema(table.schema().to_arrow())
    about = schema.field(_COLUMN).metadata if _COLUMN in schema.names else None
    metadata = {key.decode(): value.decode() for key, value in (about or {}).items()}
    names = ("weights", *_FROM_FINGERPRINT.values())
    making = {name: metadata[name] for name in names if name in metadata}
    if content is None:
        return Provenance(making=making)
    written = content.written
    return Provenance(
        content.version,
        "" if written is None else datetime.fromtimestamp(written, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        content.run or "",
        making,
    )
