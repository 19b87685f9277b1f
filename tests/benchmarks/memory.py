"""Peak memory of a whole run against its number of galaxies: ``python -m tests.benchmarks.memory``.

Memory must be bounded by the units in flight, never by the survey: the peak at the larger number over that
at the smaller one, of all processes together (proportional set size: shared pages counted once). JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.faults.harness import Run, running
from tests.support.galaxies import galaxy, png

SHARD_ROWS = 1000


def write_large_survey(folder: Path, galaxies: int) -> None:
    """Shards of 424-pixel frames; their pictures repeat, their names don't."""
    folder.mkdir(parents=True)
    images = [png(galaxy(seed, 424)) for seed in range(8)]
    for start in range(0, galaxies, SHARD_ROWS):
        numbers = range(start, min(start + SHARD_ROWS, galaxies))
        table = pa.table(
            {"object_id": [f"g{n:08d}" for n in numbers], "image": [images[n % len(images)] for n in numbers]}
        )
        pq.write_table(table, folder / f"{start:08d}.parquet", row_group_size=100, use_dictionary=False)


def proportional_bytes(run: Run) -> int:
    """Memory of all processes of a run."""
    total = 0
    for process in run.processes():
        try:
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


def peak(folder: Path, galaxies: int, verb: str, *more: str) -> dict[str, float]:
    """Let a verb stream the galaxies of ``cutouts-<galaxies>``; peak memory and time."""
    words = [verb, f"input=cutouts-{galaxies}", f"output=out-{galaxies}", "unit_rows=100", *more]
    most, started = 0, time.monotonic()
    with running(words, folder) as run:
        while run.process.poll() is None:
            most = max(most, proportional_bytes(run))
            time.sleep(0.5)
        if run.wait() != 0:
            raise RuntimeError(run.text())
    return {"galaxies": galaxies, "peak_mb": round(most / 1e6), "seconds": round(time.monotonic() - started)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, nargs=2, default=(2_000, 20_000))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for galaxies in options.galaxies:
            write_large_survey(Path(folder) / f"cutouts-{galaxies}", galaxies)
        few, many = (peak(Path(folder), count, "classify", "transforms=1") for count in options.galaxies)
    print(
        json.dumps(
            {"few": few, "many": many, "peak_ratio": round(many["peak_mb"] / few["peak_mb"], 3)}, indent=1
        )
    )


if __name__ == "__main__":
    main()
