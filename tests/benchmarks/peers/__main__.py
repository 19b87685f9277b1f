"""Time the peers beside `tuningfork classify`, start to end: ``python -m tests.benchmarks.peers``. JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.bench.survey import write_galaxies
from pipeline.catalogue import answer_matrix
from pipeline.tree import load_tree
from tests.support.command import ROOT
from tests.support.tables import snapshot


def run(words: list[str], folder: Path) -> float:
    """Seconds of one process from start to end."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return time.monotonic() - started


def answers_of(table: pa.Table) -> dict[str, np.ndarray]:
    """Answers of a peer's table, by object."""
    return dict(zip(table["object_id"].to_pylist(), np.array(table["answers"].to_pylist()), strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=256)
    count = parser.parse_args().galaxies
    peers = "tests.benchmarks.peers"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_galaxies(folder / "cutouts", count)
        seconds = {
            "tuningfork": run(
                ["jobs.cli", "classify", "input=cutouts", "output=out", "unit_rows=64"], folder
            ),
            "dataloader": run([f"{peers}.dataloader", "cutouts", "dataloader.parquet"], folder),
            "ray_data": run([f"{peers}.ray_data", str(folder / "cutouts"), str(folder / "ray")], folder),
        }
        catalogue, tree = snapshot(str(folder / "out/catalogue")), load_tree()
        own = dict(zip(catalogue["object_id"].to_pylist(), answer_matrix(tree, catalogue), strict=True))
        others = {
            "dataloader": answers_of(pq.read_table(folder / "dataloader.parquet")),
            "ray_data": answers_of(pq.read_table(folder / "ray")),
        }
        differences = {
            peer: float(max(np.abs(answers[name] - own[name]).max() for name in own))
            for peer, answers in others.items()
        }
    result = {
        "galaxies": count,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "to_dataloader_ratio": round(seconds["dataloader"] / seconds["tuningfork"], 2),
        "to_ray_data_ratio": round(seconds["ray_data"] / seconds["tuningfork"], 2),
        "largest_differences": differences,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
