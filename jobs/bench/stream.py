"""Bench stream: whole runs of the stream on this machine, with the network or with nothing in its place."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from ray.data import Dataset

from jobs.bench.survey import FRAME, write_galaxies
from jobs.bench.timing import device, model_rate
from pipeline.averaging import Precision, fastest_precision
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.cutouts import list_shards
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import LedgerEntry, Plan, PlannedShard, RunLayout, make_plan
from pipeline.protocol.records import read_ledger
from pipeline.streaming import (
    StreamResources,
    StreamSettings,
    connect,
    finished_units,
    plan_resources,
    unit_stream,
)
from pipeline.streaming.model import ANSWERED_COLUMNS, ModelActor
from pipeline.tree import GALAXY_ZOO_2, load_tree


class StreamBenchConfig(StrictModel):
    """What `tuningfork bench stream` takes.

    Attributes
    ----------
    galaxies
        Numbers of galaxies to run with.
    repeats
        How many runs are made with each number; their median counts.
    side
        Width of the JPEG frames in pixels.
    model
        ``network``, or ``identity``, which computes nothing, to measure everything else.
    weights, transforms, precision, unit_rows, decode_actors, model_actors, model_threads
        As in `classify`.
    """

    galaxies: tuple[int, ...] = (1024,)
    repeats: int = Field(default=1, gt=0)
    side: int = Field(default=FRAME, ge=64)
    model: Literal["network", "identity"] = "network"
    weights: str = DEFAULT_WEIGHTS
    transforms: Literal[60, 1] = 60
    precision: Precision = Field(default_factory=lambda: fastest_precision(device()))
    unit_rows: int = Field(default=256, gt=0, le=4096)
    decode_actors: int | None = Field(default=None, gt=0)
    model_actors: int | None = Field(default=None, gt=0)
    model_threads: int | None = Field(default=None, gt=0)


class IdentityModel:
    """Stands where `ModelActor` does, and gives every galaxy the same answers."""

    def __init__(self, tree: str, **_: object) -> None:
        self._answers = load_tree(tree).answer_count

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Give every galaxy of a work unit the same answers."""
        answered = batch.select(ANSWERED_COLUMNS)
        answered = answered.append_column("model_seconds", pa.array(np.zeros(len(batch))))
        answered = answered.append_column("left_to_cpu", pa.array(np.zeros(len(batch), np.int64)))
        flat = pa.array(np.zeros(len(batch) * self._answers, np.float32))
        return answered.append_column("probabilities", pa.FixedSizeListArray.from_arrays(flat, self._answers))


def run(config: StreamBenchConfig) -> None:
    """Time the stream; with the network, beside the model alone before and after each run."""
    started = time.perf_counter()
    connect()
    connected = time.perf_counter() - started
    resources = plan_resources(config.decode_actors, config.model_actors, config.model_threads)
    with tempfile.TemporaryDirectory() as folder:
        runs = [_repeated(config, resources, Path(folder) / str(count), count) for count in config.galaxies]
    result: dict[str, Any] = {
        "model": config.model,
        "device": device(),
        "frame_pixels": config.side,
        "unit_rows": config.unit_rows,
        "decode_actors": resources.decode_actors,
        "model_actors": resources.model_actors,
        "ray_start_seconds": round(connected, 2),
        "runs": runs,
    }
    if len(runs) > 1:
        each = [1 / run["galaxies_per_second"] for run in runs]
        result["cost_each_last_to_first_ratio"] = round(each[-1] / each[0], 3)
    say(json.dumps(result, indent=1))


def _repeated(
    config: StreamBenchConfig, resources: StreamResources, folder: Path, count: int
) -> dict[str, float]:
    """Medians of the runs, and of the rate of each to that of the model alone around it."""
    survey = write_galaxies(folder / "cutouts", count, config.side)
    alone = [_model_alone(config, resources)]
    runs: list[dict[str, float]] = []
    with progress("Streaming", count * config.repeats) as advance:
        for repeat in range(config.repeats):
            runs.append(_stream(config, resources, survey, str(folder / f"out-{repeat}"), advance))
            alone.append(_model_alone(config, resources))
            if config.model == "network":
                around = (alone[-2] + alone[-1]) / 2
                runs[-1]["model_alone_galaxies_per_second"] = around
                runs[-1]["stream_to_model_alone_ratio"] = runs[-1]["galaxies_per_second"] / around
    return {"galaxies": count} | {
        name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]
    }


def _stream(
    config: StreamBenchConfig,
    resources: StreamResources,
    survey: str,
    output: str,
    advance: Callable[[int], None],
) -> dict[str, float]:
    """One run: its rate once the first unit is done, and by Ray Data's statistics how busy the model was.

    The model waits whenever its actors have no unit at hand, from its first unit to its last.
    """
    tree = str(GALAXY_ZOO_2)
    plan = _plan(survey, config.unit_rows)
    layout = RunLayout(output, plan.run)
    settings = StreamSettings(config.weights, "0" * 64, tree, config.transforms, config.precision)
    model = IdentityModel if config.model == "identity" else ModelActor
    started = datetime.now(UTC)
    stream = unit_stream(list(plan.units()), layout, settings, resources, model=model)
    for entry in finished_units(stream):
        advance(entry.rows)
    entries = sorted(read_ledger(layout).values(), key=_finished)
    first, last = _finished(entries[0]), _finished(entries[-1])
    steady, span = entries[1:], (last - first).total_seconds()
    return {
        "seconds_to_first_unit": (first - started).total_seconds(),
        "galaxies_per_second": sum(entry.rows for entry in steady) / span,
        "model_waiting_ratio": 1 - _busy(stream, model) / resources.model_actors,
    }


def _busy(stream: Dataset, stage: type) -> float:
    """How many of a stage's actors were at work, on average over its time."""
    for operator in _operators(stream.get_stats_summary()):
        if stage.__name__ in operator.operator_name and operator.wall_time:
            return float(operator.wall_time.sum / (operator.latest_end_time - operator.earliest_start_time))
    raise RuntimeError(f"Ray Data has no statistics of {stage.__name__}")


def _operators(summary: Any) -> Iterator[Any]:
    """The statistics of a dataset's operators (Ray's `DatasetStatsSummary`), last first."""
    yield from summary.operators_stats
    for parent in summary.parents:
        yield from _operators(parent)


def _finished(entry: LedgerEntry) -> datetime:
    return datetime.fromisoformat(str(entry.finished))


def _plan(survey: str, unit_rows: int) -> Plan:
    shards = [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows)
        for shard in list_shards(survey)
    ]
    return make_plan(shards, unit_rows, {})


def _model_alone(config: StreamBenchConfig, resources: StreamResources) -> float:
    """Galaxies a second of as many model actors."""
    if config.model == "identity":
        return 0.0
    rate = model_rate(
        config.weights,
        load_tree(),
        config.transforms,
        config.precision,
        device(),
        resources.model_threads,
        count=config.unit_rows,
        repeats=1,
    )
    return rate * resources.model_actors
