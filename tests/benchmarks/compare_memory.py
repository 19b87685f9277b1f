"""Peak memory of a comparison against the number of galaxies: ``python -m tests.benchmarks.compare_memory``.

Each comparison runs in a process of its own, which measures its peak resident set less that before it. The
peak at the larger number over that at the smaller has to stay near 1. JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection

from pipeline.catalogue.changes import side_by_side
from pipeline.catalogue.export import open_snapshot
from pipeline.evaluation.changes import gather_changes
from pipeline.tree import load_tree
from tests.benchmarks.export_memory import resident_mb
from tests.catalogue.export.samples import write_sky

MOST = 48


def _compare(before: str, after: str, result: Connection) -> None:
    tree = load_tree()
    resident, started = resident_mb("VmRSS"), time.monotonic()
    pairs = side_by_side(open_snapshot(before, tree), open_snapshot(after, tree), tree.columns)
    changes = gather_changes(tree, pairs, MOST)
    result.send((resident_mb("VmHWM") - resident, time.monotonic() - started, changes.drift.galaxies))


def measure(before: str, after: str) -> tuple[float, float, int]:
    """Peak memory in MB, seconds and galaxies of one comparison."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_compare, args=(before, after, sender))
    process.start()
    sender.close()
    try:
        found: tuple[float, float, int] = receiver.recv()
    finally:
        process.join()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, nargs=2, default=(400_000, 1_200_000))
    options = parser.parse_args()
    found: dict[str, float] = {}
    for count in options.galaxies:
        with tempfile.TemporaryDirectory() as folder:
            catalogue = write_sky(f"{folder}/{count}", load_tree(), count)
            peak, seconds, galaxies = measure(catalogue, catalogue)
            found[f"peak_mb_{count}"] = round(peak)
            found[f"galaxies_per_second_{count}"] = round(galaxies / seconds)
    few, many = options.galaxies
    found["peak_ratio"] = round(found[f"peak_mb_{many}"] / found[f"peak_mb_{few}"], 3)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
