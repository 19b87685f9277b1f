"""Planning a survey of millions: ``python -m tests.benchmarks.plan_scale [--shards 20000] [--rows 500]``.

Makes real Parquet shards, sound in all but their images: 32 bytes each, as planning reads none. Then times,
in a process of its own, all that a run does before its first galaxy: it lists the shards and reads their
footers; reads every id and finds the repeated ones (one in a thousand); makes the plan and its units; writes
it and reads it back. Prints JSON: seconds of each stage, and peak memory (resident set) until its end.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.classify import ClassifyConfig
from pipeline import storage
from pipeline.protocol import make_plan
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.records import read_ledger
from pipeline.run.planning import repetitions
from pipeline.survey import open_source
from tests.support.steps import adopt_plan

SECONDS, MEGABYTES = 60, 2000
"""Most that a plan of 10 million galaxies in 20,000 shards may take."""

REPEATED_EVERY = 1000


def write_shards(uri: str, shards: int, rows: int) -> None:
    """Shards as a survey has them, but for the pixels."""

    def write(shard: int) -> None:
        first = shard * rows
        numbers = [n - rows if shard and n % REPEATED_EVERY == 0 else n for n in range(first, first + rows)]
        table = pa.table(
            {
                "object_id": [f"J{n:019d}" for n in numbers],
                "ra": [n % 360_000 / 1000 for n in numbers],
                "dec": [n % 90_000 / 1000 for n in numbers],
                "image": [b"%032d" % n for n in numbers],
            }
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=100)
        storage.write_bytes(f"{uri}/{shard:06d}.parquet", sink.getvalue().to_pybytes())

    for _ in storage.read_ahead(write, range(shards)):
        pass


class Stages:
    """Seconds and peak memory by stage."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.found[name] = {"seconds": round(time.monotonic() - started, 2), "peak_mb": round(peak)}


def measure(uri: str, output: str) -> dict[str, object]:
    """Plan once."""
    config, stage, source = ClassifyConfig(input=uri, output=output), Stages(), open_source()
    with stage("start"):
        pass
    with stage("list_shards"):
        infos = source.list_shards(uri)
    with stage("duplicates"):
        shards = repetitions(source, infos)
    with stage("make_plan"):
        plan = make_plan(shards, config.unit_rows, {"weights": "none"})
        units = list(plan.units())
    with stage("write_and_read_plan"):
        plan = adopt_plan(output, plan)
        assert adopt_plan(output, plan) == plan
        assert not read_ledger(RunLayout(output, plan.run))
    seconds = sum(found["seconds"] for found in stage.found.values())
    peak = max(found["peak_mb"] for found in stage.found.values())
    return {
        "galaxies": plan.rows,
        "shards": len(plan.shards),
        "units": len(units),
        "repeated": sum(len(shard.duplicates) for shard in plan.shards),
        "plan_mb": round(storage.file_info(RunLayout(output, plan.run).plan).size / 1e6, 1),
        "stages": stage.found,
        "seconds": round(seconds, 1),
        "peak_mb": peak,
        "within_limits": seconds <= SECONDS and peak <= MEGABYTES,
    }


def main() -> None:
    """Make the shards where they aren't there yet, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--folder", help="Keeps the shards: any fsspec URI.")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        uri = f"{options.folder or scratch}/cutouts-{options.shards}-{options.rows}"
        if options.measure:
            print(json.dumps(measure(uri, f"{scratch}/out"), indent=1))
            return
        if len(storage.list_files(uri, ".parquet")) != options.shards:
            write_shards(uri, options.shards, options.rows)
        words = ["--shards", str(options.shards), "--rows", str(options.rows), "--measure"]
        folder = ["--folder", options.folder or scratch]
        subprocess.run([sys.executable, "-m", "tests.benchmarks.plan_scale", *words, *folder], check=True)


if __name__ == "__main__":
    main()
