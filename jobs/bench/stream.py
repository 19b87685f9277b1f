"""Bench stream: whole runs of the stream on this machine, with the network or with nothing in its place."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from jobs.bench.survey import FRAME, write_galaxies
from jobs.bench.timing import device, model_rate
from jobs.console import say
from pipeline.averaging import Precision
from pipeline.catalogue import LedgerEntry, Plan, PlannedShard, RunLayout, make_plan, read_ledger
from pipeline.config import StrictModel
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.streaming import StreamResources, StreamSettings, connect, plan_resources, stream_units
from pipeline.streaming.model import ANSWERED_COLUMNS, ModelActor
from pipeline.survey import list_shards
from pipeline.tree import GALAXY_ZOO_2, load_tree


class StreamBenchConfig(StrictModel):
    """What `tuningfork bench stream` takes.

    Attributes
    ----------
    galaxies
        Numbers of galaxies; the stream runs once for each.
    side
        Width of the JPEG frames in pixels.
    model
        ``network``, or ``identity``: nothing is computed, so that all the rest is what is measured.
    weights, transforms, precision, unit_rows, decode_actors, model_actors, model_threads
        As of `classify`.
    """

    galaxies: tuple[int, ...] = (1024,)
    side: int = Field(default=FRAME, ge=64)
    model: Literal["network", "identity"] = "network"
    weights: str = DEFAULT_WEIGHTS
    transforms: Literal[60, 1] = 60
    precision: Precision = "bfloat16"
    unit_rows: int = Field(default=64, gt=0, le=4096)
    decode_actors: int | None = Field(default=None, gt=0)
    model_actors: int | None = Field(default=None, gt=0)
    model_threads: int | None = Field(default=None, gt=0)


class IdentityModel:
    """Stands where `ModelActor` does, and gives every galaxy the same answers."""

    def __init__(self, tree: str, **_: object) -> None:
        self._answers = load_tree(tree).answer_count

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Answer without looking."""
        answered = batch.select(ANSWERED_COLUMNS)
        answered = answered.append_column("model_seconds", pa.array(np.zeros(len(batch))))
        flat = pa.array(np.zeros(len(batch) * self._answers, np.float32))
        return answered.append_column("probabilities", pa.FixedSizeListArray.from_arrays(flat, self._answers))


def run(config: StreamBenchConfig) -> None:
    """Time the stream; with the network, beside the model alone, before and after it."""
    alone = _model_alone(config)
    started = time.perf_counter()
    connect()
    connected = time.perf_counter() - started
    resources = plan_resources(config.decode_actors, config.model_actors, config.model_threads)
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for number, count in enumerate(config.galaxies):
            survey = write_galaxies(Path(folder) / f"cutouts-{number}", count, config.side)
            runs.append(_stream(config, resources, survey, f"{folder}/out-{number}"))
    alone = (alone + _model_alone(config)) / 2
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
    if config.model == "network":
        rate = resources.model_actors * alone
        result["model_alone_galaxies_per_second"] = round(rate, 2)
        result["stream_to_model_alone_ratio"] = round(runs[-1]["galaxies_per_second"] / rate, 3)
    if len(runs) > 1:
        each = [1 / run["galaxies_per_second"] for run in runs]
        result["cost_each_last_to_first_ratio"] = round(each[-1] / each[0], 3)
    say(json.dumps(result, indent=1))


def _stream(
    config: StreamBenchConfig, resources: StreamResources, survey: str, output: str
) -> dict[str, float]:
    """One run: its rate once the first unit is done, and how busy each stage was from its start on."""
    tree = str(GALAXY_ZOO_2)
    plan = _plan(survey, config.unit_rows)
    layout = RunLayout(output, plan.run)
    settings = StreamSettings(config.weights, "0" * 64, tree, config.transforms, config.precision)
    model = IdentityModel if config.model == "identity" else ModelActor
    started = datetime.now(UTC)
    for _ in stream_units(list(plan.units()), layout, settings, resources, model=model):
        pass
    entries = sorted(read_ledger(layout).values(), key=_finished)
    first, last = _finished(entries[0]), _finished(entries[-1])
    # What the stages did before the first unit was done is start-up, but for the units in their hands.
    steady, span = entries[1:], (last - first).total_seconds()
    busy = {stage: sum(entry.seconds[stage] for entry in steady) / span for stage in ("decode", "model")}
    return {
        "galaxies": plan.rows,
        "seconds_to_first_unit": round((first - started).total_seconds(), 2),
        "galaxies_per_second": round(sum(entry.rows for entry in steady) / span, 2),
        "decode_busy_ratio": round(busy["decode"] / resources.decode_actors, 3),
        "model_busy_ratio": round(busy["model"] / resources.model_actors, 3),
    }


def _finished(entry: LedgerEntry) -> datetime:
    return datetime.fromisoformat(str(entry.finished))


def _plan(survey: str, unit_rows: int) -> Plan:
    shards = [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows)
        for shard in list_shards(survey)
    ]
    return make_plan(shards, unit_rows, {})


def _model_alone(config: StreamBenchConfig) -> float:
    if config.model == "identity":
        return 0.0
    return model_rate(config.weights, load_tree(), config.transforms, config.precision, config.model_threads)
