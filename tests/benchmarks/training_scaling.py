"""Two workers of one thread each against one: ``python -m tests.benchmarks.training_scaling``.

Trains the compact network on made galaxies in turn with one worker and with two, and prints JSON: the median
rates of the logs' rows, their ratio, and the share of the time that two workers wait for galaxies, which they
have in memory or decode anew in every pass.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.config import CONFIGS
from pipeline.tree import load_tree
from tests.support.command import ROOT
from tests.training.small import write_galaxies

EXAMPLES = 1600
ROUNDS = 2


def rows(folder: Path, workers: int, name: str, cached: bool = True) -> list[dict[str, Any]]:
    """The log of a training, less its first row, in which threads and caches warm up."""
    words = ["train", f"data={folder}/galaxies", f"output={folder}/{name}", f"workers={workers}"]
    words += [f"network={CONFIGS}/networks/compact.yaml", f"recipe={CONFIGS}/recipes/quick.yaml"]
    words += [
        f"examples={EXAMPLES}",
        "held_out=4",
        f"cached={cached}",
        "log_every=100",
        "evaluate_every=100000",
    ]
    subprocess.run(
        [sys.executable, "-m", "jobs.cli", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = (folder / name / "compact.run" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def main() -> None:
    """Measure and print."""
    found: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        write_galaxies(Path(folder) / "galaxies", load_tree(), 64)
        for turn in range(ROUNDS):
            for workers in found:
                found[workers] += rows(Path(folder), workers, f"{workers}-{turn}")
        streamed = rows(Path(folder), 2, "streamed", cached=False)
    rate = {
        workers: statistics.median(row["examples_per_second"] for row in logged)
        for workers, logged in found.items()
    }
    result = {
        "rows": {workers: len(logged) for workers, logged in found.items()},
        "one_worker_examples_per_second": round(rate[1], 2),
        "two_workers_examples_per_second": round(rate[2], 2),
        "speedup_ratio": round(rate[2] / rate[1], 3),
        "waiting_ratio": round(statistics.median(row["waiting_ratio"] for row in found[2]), 4),
        "streamed_examples_per_second": round(
            statistics.median(row["examples_per_second"] for row in streamed), 2
        ),
        "streamed_waiting_ratio": round(statistics.median(row["waiting_ratio"] for row in streamed), 4),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
