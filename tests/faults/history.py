"""What the versions of a catalogue hold, each read anew from its files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from pipeline import storage
from tests.support.tables import snapshot


def versions(output: str) -> list[pa.Table]:
    """The rows of every version of an output's catalogue, from the first on; none if it has no catalogue."""
    catalogue = f"{output}/catalogue"
    options = storage.delta_options(catalogue)
    if not DeltaTable.is_deltatable(catalogue, options):
        return []
    newest = DeltaTable(catalogue, storage_options=options).version()
    return [snapshot(catalogue, version) for version in range(newest + 1)]


def doubled(version: pa.Table) -> list[str]:
    """Galaxies that are in a version more than once."""
    counts = Counter(version["object_id"].to_pylist())
    return sorted(name for name, count in counts.items() if count > 1)


def current(version: pa.Table) -> list[str]:
    """Galaxies of a version that its source had, in order, as often as they are there."""
    rows = zip(version["object_id"].to_pylist(), version["stale"].to_pylist(), strict=True)
    return sorted(name for name, mark in rows if mark is None)


def precisions(output: Path, version: pa.Table) -> set[str]:
    """The precisions in which the answers of a version were computed, by the plans of its runs."""
    return set(_precisions(output, version))


def _precisions(output: Path, version: pa.Table) -> Iterator[str]:
    for run in set(version["run"].to_pylist()):
        plan = json.loads((output / "runs" / run / "plan.json").read_text())
        yield plan["fingerprint"]["precision"]
