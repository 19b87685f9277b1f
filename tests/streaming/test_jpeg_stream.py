"""A run whose JPEGs the model stage decodes, in a real Ray: the rows and rejects of the usual run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.streaming import StreamSettings, connect, plan_resources, stream_units
from pipeline.streaming.decoders import DecoderName
from pipeline.tree import GALAXY_ZOO_2
from tests.faults.poison import tiny_weights
from tests.support.jpegs import write_every_kind


def run(units: list[WorkUnit], output: Path, weights: str, decoder: DecoderName) -> dict[str, Any]:
    """The rows of all parts, the rejects and the counts of a run."""
    layout = RunLayout(str(output), "run")
    settings = StreamSettings(
        weights, "w" * 64, str(GALAXY_ZOO_2), transforms=60, precision="float32", decoder=decoder
    )
    done = list(stream_units(units, layout, settings, plan_resources()))
    ledger = read_ledger(layout)
    assert sorted(entry.unit for entry in done) == sorted(ledger) == [unit.index for unit in units]
    entries = [ledger[unit.index] for unit in units]

    def read(tables: list[Any]) -> pa.Table:
        return pa.concat_tables([pq.read_table(f"{layout.parts}/{table.name}") for table in tables if table])

    return {
        "rows": read([entry.part for entry in entries]),
        "rejects": read([entry.rejects for entry in entries]),
        "counts": [(entry.rows, entry.classified, entry.quarantined) for entry in entries],
    }


@pytest.mark.long
def test_the_same_rows_and_rejects_bit_by_bit(tmp_path: Path) -> None:
    connect()
    shard, weights = write_every_kind(tmp_path), tiny_weights(tmp_path)
    units = [
        WorkUnit(0, shard, 0, 8),
        WorkUnit(1, shard, 8, 16, skipped=(11,)),
        WorkUnit(2, shard, 16, 23, (22,)),
    ]
    usual = run(units, tmp_path / "usual", weights, "cpu")
    own = run(units, tmp_path / "own", weights, "gpu")
    assert len(usual["rows"]) == 10
    assert len(usual["rejects"]) == 12
    for name in usual:
        assert own[name] == usual[name]
