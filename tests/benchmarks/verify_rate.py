"""How fast `verify` recounts an output: ``python -m tests.benchmarks.verify_rate [--rows 100000]``.

The rows are made without a model; their input shard is read again as a real one is. JSON.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.catalogue import catalogue_rows
from pipeline.catalogue.seal import seal
from pipeline.cutouts import read_ids
from pipeline.protocol import PlannedShard, RunLayout, WorkUnit, make_plan
from pipeline.protocol.records import QUARANTINE_SCHEMA, read_ledger, record_unit, summarize
from pipeline.tree import load_tree
from pipeline.upkeep import verify_output
from tests.support.outputs import obedient
from tests.support.steps import adopt_plan, commit_run

TREE = load_tree()
WEIGHTS = "w" * 64
UNIT_ROWS = 500
REPEATS = 5


def make_output(folder: Path, rows: int) -> str:
    """A finished output of one shard, none of its rows quarantined."""
    output, shard = str(folder / "out"), str(folder / "cutouts.parquet")
    names = pa.array([f"galaxy-{row:07d}" for row in range(rows)])
    pq.write_table(pa.table({"object_id": names, "image": [b"image"] * rows}), shard)
    info = storage.file_info(shard)
    planned = PlannedShard(uri=shard, size=info.size, etag=info.etag, rows=rows)
    plan = adopt_plan(output, make_plan([planned], UNIT_ROWS, {"weights": WEIGHTS, "transforms": "1"}))
    layout = RunLayout(output, plan.run)
    for unit in plan.units():
        table = unit_rows(unit, names[unit.start : unit.stop], layout.run)
        record_unit(layout, unit, table, QUARANTINE_SCHEMA.empty_table(), {})
    ledger = read_ledger(layout)
    commit_run(layout, TREE, plan, ledger, 1)
    summary = seal(layout, summarize(plan, ledger, 1.0))
    storage.write_bytes(layout.summary, summary.model_dump_json(indent=1).encode())
    return output


def unit_rows(unit: WorkUnit, names: pa.Array, run: str) -> pa.Table:
    """What a unit's sink would write."""
    zeros = np.zeros(unit.rows)
    positions = pa.table({"object_id": names, "ra": zeros, "dec": zeros, "content": names})
    inputs = [f"{unit.shard}#{row}" for row in range(unit.start, unit.stop)]
    return catalogue_rows(TREE, positions, obedient(TREE, unit.rows, unit.index), run, WEIGHTS, inputs)


def seconds(work: Callable[[], Iterator[object]]) -> float:
    """Wall-clock time until there are no findings more, of which there must be none."""
    started = time.perf_counter()
    findings = list(work())
    assert not findings, findings[0]
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        output = make_output(Path(folder), rows)
        verify = functools.partial(verify_output, output, TREE, read_ids)
        times = [seconds(verify) for _ in range(REPEATS)]
    median = statistics.median(times)
    result = {"rows": rows, "seconds": round(median, 2), "rows_per_second": round(rows / median)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
