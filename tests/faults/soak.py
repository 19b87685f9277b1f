"""A long run of kills: ``python -m tests.faults.soak --kills 100``.

Classifies a survey on a real object store again and again while random processes of the run are killed, and
checks after each completed run that nothing was lost and nothing is there twice.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from tests.benchmarks.store import object_store
from tests.faults.harness import Run, running
from tests.faults.survey import BAD_EVERY, cutout_table
from tests.support.tables import snapshot

TARGETS = {
    "decode actor": ("DecodeActor)", 3),
    "model actor": ("ModelActor)", 2),
    "sink": ("SinkActor)).submit", 3),
    "node": ("raylet/raylet", 1),
    "driver": ("jobs.cli classify", 2),
}
"""What is killed: how its process is named, and how often it is drawn."""

BUCKET = "soak"


def main() -> int:
    """Run the soak; 0 if nothing was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--galaxies", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}: {options.kills} kills, {options.galaxies} galaxies", flush=True)
    with tempfile.TemporaryDirectory() as folder, object_store(Path(folder) / "store", BUCKET):
        return _soak(Path(folder), options.kills, options.galaxies, random.Random(options.seed))


def _soak(folder: Path, kills: int, galaxies: int, rng: random.Random) -> int:
    for start in range(0, galaxies, 1000):
        table = cutout_table(start, min(1000, galaxies - start))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=50)
        storage.write_bytes(f"s3://{BUCKET}/cutouts/shard-{start:06d}.parquet", sink.getvalue().to_pybytes())
    done: Counter[str] = Counter()
    attempts = runs = failures = 0
    started = time.monotonic()
    while True:
        attempts += 1
        status = _attempt(folder, runs > 0, kills, done, rng)
        if status == 0:
            runs += 1
            failures += _check(folder, galaxies)
            print(
                f"run {runs} complete after {attempts} attempts, {dict(done)}, {failures} failures",
                flush=True,
            )
            if sum(done.values()) >= kills:
                break
        elif status not in (1, 2, -9):
            print(f"attempt {attempts} ended with {status}", flush=True)
    minutes = (time.monotonic() - started) / 60
    print(f"{sum(done.values())} kills {dict(done)}, {attempts} attempts, {runs} runs, {minutes:.1f} min")
    print(f"{failures} of {runs} runs lost or doubled a galaxy")
    return 1 if failures else 0


def _attempt(folder: Path, new_run: bool, kills: int, done: Counter[str], rng: random.Random) -> int:
    """One call of classify, with kills at random moments while it goes."""
    words = [
        "classify",
        f"input=s3://{BUCKET}/cutouts",
        f"output=s3://{BUCKET}/out",
        "unit_rows=50",
        "transforms=1",
        f"new_run={str(new_run).lower()}",
    ]
    with running(words, folder) as run:
        while run.process.poll() is None:
            _sleep(run, rng.uniform(0.5, 6.0))
            if run.process.poll() is None and sum(done.values()) < kills:
                _kill_something(run, done, rng)
        return run.wait()


def _sleep(run: Run, seconds: float) -> None:
    until = time.monotonic() + seconds
    while run.process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def _kill_something(run: Run, done: Counter[str], rng: random.Random) -> None:
    names = list(TARGETS)
    name = rng.choices(names, [TARGETS[key][1] for key in names])[0]
    found = list(run.processes(TARGETS[name][0]))
    if found:
        try:
            os.kill(rng.choice(found), 9)
        except ProcessLookupError:
            return
        done[name] += 1


def _check(folder: Path, galaxies: int) -> int:
    """1 if the finished run is not exactly what it must be."""
    with running(["verify", f"s3://{BUCKET}/out"], folder) as check:
        status = check.wait()
    ids = Counter(snapshot(f"s3://{BUCKET}/out/catalogue")["object_id"].to_pylist())
    expected = {f"g{index:06d}" for index in range(galaxies) if index % BAD_EVERY != 5}
    lost, twice = expected - ids.keys(), [name for name, count in ids.items() if count > 1]
    if status or lost or twice or ids.keys() - expected:
        print(f"verify: exit {status}; lost {len(lost)}, twice {len(twice)}\n{check.text()}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
