"""Explain's rate and memory: ``python -m tests.benchmarks.explain_rate --memory 2500 10000``.

Its pass over a survey beside the stream that classifies with a single transform, one after the other in turn,
over the same galaxies and in one Ray: medians, and their ratio (expected: 0.5 and more). With ``--memory``
also the peak of all processes of whole runs (proportional set size) at two numbers of galaxies: it must be
bounded by the units in flight, never by the survey. JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import get_args

from jobs.bench.survey import write_galaxies
from pipeline.averaging import Precision, fastest_precision
from pipeline.cutouts import list_shards
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import PlannedShard, RunLayout, WorkUnit, make_plan
from pipeline.streaming import (
    StreamResources,
    StreamSettings,
    connect,
    galaxy_stream,
    plan_resources,
    stream_rows,
    stream_units,
)
from pipeline.streaming.excitation import Excitation, ExcitationActor
from pipeline.tree import GALAXY_ZOO_2
from tests.benchmarks.memory import peak

UNITS, TOP = 256, 6
"""Of the shipped weights' last hidden layer, and galaxies kept for each."""


def planned(survey: str, unit_rows: int) -> list[WorkUnit]:
    """The survey's units of work."""
    shards = [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows)
        for shard in list_shards(survey)
    ]
    return list(make_plan(shards, unit_rows, {}).units())


def classify_seconds(
    units: list[WorkUnit], settings: StreamSettings, resources: StreamResources, output: str
) -> float:
    """From the first finished unit to the last."""
    times = [time.perf_counter() for _ in stream_units(units, RunLayout(output, "run"), settings, resources)]
    return times[-1] - times[0]


def explain_seconds(units: list[WorkUnit], settings: StreamSettings, resources: StreamResources) -> float:
    """From the first finished unit to the last, rankings and their merge included."""
    found, times = Excitation(UNITS, TOP), []
    for row in stream_rows(galaxy_stream(units, settings, resources, ExcitationActor, size=TOP)):
        found.add(row)
        times.append(time.perf_counter())
    if found.seen != sum(unit.rows for unit in units):
        raise RuntimeError(f"{found.seen} galaxies were seen; expected all")
    return times[-1] - times[0]


def rates(galaxies: int, repeats: int, unit_rows: int, precision: Precision) -> dict[str, float]:
    """Medians over turns, galaxies a second."""
    connect()
    resources = plan_resources()
    settings = StreamSettings(DEFAULT_WEIGHTS, "0" * 64, str(GALAXY_ZOO_2), 1, precision)
    found: dict[str, list[float]] = {"classify": [], "explain": []}
    with tempfile.TemporaryDirectory() as folder:
        units = planned(write_galaxies(Path(folder) / "cutouts", galaxies), unit_rows)
        counted = sum(unit.rows for unit in units[1:])
        for turn in range(repeats):
            output = f"{folder}/out-{turn}"
            found["classify"].append(counted / classify_seconds(units, settings, resources, output))
            found["explain"].append(counted / explain_seconds(units, settings, resources))
    ratios = [own / other for own, other in zip(found["explain"], found["classify"], strict=True)]
    return {
        "galaxies": galaxies,
        "classify_galaxies_per_second": round(statistics.median(found["classify"]), 1),
        "explain_galaxies_per_second": round(statistics.median(found["explain"]), 1),
        "explain_to_classify_ratio": round(statistics.median(ratios), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--unit-rows", type=int, default=256)
    parser.add_argument("--precision", choices=get_args(Precision), default=fastest_precision("cpu"))
    parser.add_argument("--memory", type=int, nargs=2, metavar="GALAXIES", help="such as 2500 10000")
    options = parser.parse_args()
    result: dict[str, object] = {}
    if options.memory:  # first: a Ray of this process would stand beside
        with tempfile.TemporaryDirectory() as folder:
            for galaxies in options.memory:
                write_galaxies(Path(folder) / f"cutouts-{galaxies}", galaxies)
            few, many = (peak(Path(folder), galaxies, "explain") for galaxies in options.memory)
        result |= {"few": few, "many": many, "peak_ratio": round(many["peak_mb"] / few["peak_mb"], 3)}
    if options.repeats:
        result |= rates(options.galaxies, options.repeats, options.unit_rows, options.precision)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
