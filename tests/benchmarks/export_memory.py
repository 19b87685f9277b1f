"""Peak memory of exports against the number of galaxies: ``python -m tests.benchmarks.export_memory``.

Each export runs in a process of its own, which measures its peak resident set less that before the export.
The peaks at the larger number over those at the smaller have to stay near 1. JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import get_args

from pipeline.catalogue.export import Format, export_catalogue
from pipeline.tree import load_tree
from tests.catalogue.export.samples import write_sky

PARTITION_ROWS = 20_000


def resident_mb(key: str) -> float:
    """Memory of this process: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def _export(catalogue: str, out: str, form: Format, result: Connection) -> None:
    before, started = resident_mb("VmRSS"), time.monotonic()
    export_catalogue(catalogue, out, load_tree(), form, partition_rows=PARTITION_ROWS)
    result.send((resident_mb("VmHWM") - before, time.monotonic() - started))


def measure(catalogue: str, out: Path, form: Format) -> tuple[float, float]:
    """Peak memory in MB and seconds of one export."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_export, args=(catalogue, str(out), form, sender))
    process.start()
    sender.close()
    try:
        peak, seconds = receiver.recv()
    finally:
        process.join()
    return peak, seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, nargs=2, default=(400_000, 1_200_000))
    parser.add_argument("--formats", nargs="*", choices=get_args(Format), default=get_args(Format))
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in options.galaxies:
            catalogue = write_sky(f"{folder}/{count}", load_tree(), count)
            for form in options.formats:
                peak, seconds = measure(catalogue, Path(folder) / f"{count}.{form}", form)
                found.setdefault(form, {})[f"peak_mb_{count}"] = round(peak)
                found[form][f"galaxies_per_second_{count}"] = round(count / seconds)
    few, many = options.galaxies
    for peaks in found.values():
        peaks["peak_ratio"] = round(peaks[f"peak_mb_{many}"] / peaks[f"peak_mb_{few}"], 3)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
