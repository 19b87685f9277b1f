"""What the exactly-once protocol costs: ``python -m tests.benchmarks.protocol_price [--s3]``.

Its time for a run of full units (plan, lease, ledger, hashes, compaction, commit; beyond writing the same
rows as plain Parquet) against the time that the model takes for the same galaxies, in one process. JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pipeline import storage
from pipeline.averaging import SharedAverage
from pipeline.catalogue import catalogue_rows
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, load_network
from pipeline.protocol import PlannedShard, RunLayout, WorkUnit, make_plan
from pipeline.protocol.records import QUARANTINE_SCHEMA, hold_lease, read_ledger, record_unit
from pipeline.tree import load_tree
from tests.benchmarks.store import object_store
from tests.support.steps import adopt_plan, commit_run

TREE = load_tree()
UNIT_ROWS = 500
MODEL_GALAXIES = 48
REPEATS = 5


def rows_of(unit: WorkUnit, run: str) -> pa.Table:
    """Rows as a unit's sink gets them."""
    generator = np.random.default_rng(unit.index)
    probabilities = generator.dirichlet(np.ones(TREE.answer_count), unit.rows).astype(np.float32)
    names = [f"galaxy-{unit.index:06d}-{row:04d}" for row in range(unit.rows)]
    positions = pa.table(
        {"object_id": names, "ra": np.zeros(unit.rows), "dec": np.zeros(unit.rows), "content": names}
    )
    return catalogue_rows(TREE, positions, probabilities, run, "w" * 64, names)


def protocol_run(output: str, units: int) -> None:
    """A whole run without a model."""
    shards = [PlannedShard(uri="s.parquet", size=1, etag="", rows=units * UNIT_ROWS)]
    plan = make_plan(shards, UNIT_ROWS, {})
    with hold_lease(output, plan.run) as lease:
        plan = adopt_plan(output, plan)
        layout = RunLayout(output, plan.run)
        read_ledger(layout)
        for unit in plan.units():
            record_unit(layout, unit, rows_of(unit, plan.run), QUARANTINE_SCHEMA.empty_table(), {})
            lease.check()
        commit_run(layout, TREE, plan, read_ledger(layout), lease.epoch)


def plain_run(output: str, units: int) -> None:
    """The same rows as plain Parquet files, with no promise at all."""
    for index in range(units):
        unit = WorkUnit(index, "s.parquet", index * UNIT_ROWS, (index + 1) * UNIT_ROWS)
        sink = io.BytesIO()
        pq.write_table(rows_of(unit, "run"), sink, compression="zstd")
        storage.write_bytes(storage.join(output, f"{index}.parquet"), sink.getvalue())


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3", action="store_true", help="on a loopback radosgw; else on the local disk")
    parser.add_argument("--units", type=int, default=20)
    options = parser.parse_args()
    network, _ = load_network(DEFAULT_WEIGHTS, TREE)
    model = SharedAverage(network)
    pixels = torch.randint(0, 256, (MODEL_GALAXIES, 348, 348, 3), dtype=torch.uint8)
    center = torch.full((MODEL_GALAXIES, 2), 173.5, dtype=torch.float64)
    regions = RegionBatch(pixels, center, torch.ones(MODEL_GALAXIES, dtype=torch.float64))
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(tempfile.TemporaryDirectory())
        if options.s3:
            base = stack.enter_context(object_store(Path(base) / "store", "price"))
        model(regions)
        times: dict[str, list[float]] = {"model": [], "protocol": [], "plain": []}
        for turn in range(REPEATS):
            times["model"].append(seconds(functools.partial(model, regions)) / MODEL_GALAXIES)
            protocol, plain = f"{base}/protocol-{turn}", f"{base}/plain-{turn}"
            times["protocol"].append(seconds(functools.partial(protocol_run, protocol, options.units)))
            times["plain"].append(seconds(functools.partial(plain_run, plain, options.units)))
    median = {name: statistics.median(values) for name, values in times.items()}
    model_seconds = median["model"] * options.units * UNIT_ROWS
    extra = median["protocol"] - median["plain"]
    result = {
        "store": "radosgw" if options.s3 else "local",
        "galaxies": options.units * UNIT_ROWS,
        "unit_rows": UNIT_ROWS,
        "model_seconds": round(model_seconds, 2),
        "plain_write_seconds": round(median["plain"], 3),
        "protocol_seconds": round(median["protocol"], 3),
        "protocol_share_ratio": round(extra / (model_seconds + median["plain"]), 5),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
