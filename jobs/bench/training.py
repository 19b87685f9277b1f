"""Bench training: steps of a recipe on this machine, fed as `train` feeds them, without Ray."""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from jobs.bench.timing import device, device_name, galaxies, gemm_rate, gemms, network_of, seconds
from pipeline.config import CONFIGS, StrictModel
from pipeline.console import progress, say
from pipeline.geometry import VIEWPOINTS
from pipeline.network import NetworkSpec
from pipeline.training import (
    LabelledGalaxies,
    Order,
    Precision,
    Recipe,
    Regions,
    Trainer,
    compiler_for,
    fastest_precision,
    feed_of,
)

_AT_ONCE = {"cpu": 1, "cuda": 10}
"""Steps of a timing: a GPU is waited for at its end only, as `train` does it."""


class TrainingBenchConfig(StrictModel):
    """What `tuningfork bench training` takes.

    Attributes
    ----------
    network
        Specification of a network (YAML), which gets random weights.
    precision
        Data type of convolutions and products; ``auto`` takes the fastest, as `train` does.
    galaxies
        How many different galaxies there are; the time depends only on how many a step has.
    batch_size, micro_batch
        As in a recipe, and as in `train`.
    resident
        Whether galaxies stay on the GPU or are copied to it batch by batch; by default as `train` decides, by
        whether there is room.
    compiled
        Whether the network is compiled; by default on a GPU only, as in `train`.
    repeats
        How many timings are made, each of one step, or on a GPU of ten; their median counts.
    threads
        Threads of torch; all by default.
    """

    network: str = str(CONFIGS / "networks" / "compact.yaml")
    precision: Literal["auto"] | Precision = "auto"
    galaxies: int = Field(default=64, gt=0)
    batch_size: int = Field(default=50, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    resident: bool | None = None
    compiled: bool | None = None
    repeats: int = Field(default=15, gt=0)
    threads: int | None = Field(default=None, gt=0)


def run(config: TrainingBenchConfig) -> None:
    """Time steps on galaxies in memory, augmentation included, and the stages of a step one by one."""
    torch.set_num_threads(config.threads or torch.get_num_threads())
    say(json.dumps(measure(config), indent=1))


def measure(config: TrainingBenchConfig) -> dict[str, Any]:
    at_once, staged = _AT_ONCE[device()], max(2, config.repeats // 3)
    steps = 2 + config.repeats * at_once + staged
    _tell(f"{steps} steps of {config.batch_size} examples on {device_name()}")
    trainer = _trainer(config, steps)
    with progress("Steps", steps, unit="steps") as advance:

        def step() -> None:
            for _ in range(at_once):
                trainer.step()
            advance(at_once)

        trainer.step()
        trainer.step()
        advance(2)
        each = statistics.median(seconds(step) for _ in range(config.repeats)) / at_once
        stages = _Stages()
        trainer.stage = stages
        for _ in range(staged):
            trainer.step()
            advance(1)
    rate = config.batch_size / each
    precision = trainer.recipe.precision
    products = gemms(getattr(torch, precision))
    best = gemm_rate({name: min(seconds(work) for _ in range(5)) for name, work in products.items()})
    flop = _operations(trainer.network.spec, trainer.network.tree.answer_count)
    return {
        "network": trainer.network.spec.name,
        "precision": precision,
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "batch_size": config.batch_size,
        "repeats": config.repeats,
        "resident": not trainer.feed.ahead,
        "compiled": trainer.compiled,
        "examples_per_second": round(rate, 2),
        "gflops": round(rate * flop / 1e9, 1),
        "gemm_gflops": round(best / 1e9, 1),
        "gemm_share_ratio": round(rate * flop / best, 3),
        "step_milliseconds": round(1e3 * each, 3),
        "stage_milliseconds": {name: round(1e3 * spent / staged, 3) for name, spent in stages.spent.items()},
    }


def _trainer(config: TrainingBenchConfig, steps: int) -> Trainer:
    network = network_of(config.network).requires_grad_(True).to(device())
    raw = torch.rand(config.galaxies, network.tree.answer_count, device=device())
    rows = torch.arange(config.galaxies)
    labelled = LabelledGalaxies(
        tuple(str(row) for row in rows.tolist()),
        Regions((galaxies(config.galaxies),), torch.zeros_like(rows), rows),
        network.output(raw).cpu(),
        torch.ones(config.galaxies),
    )
    recipe = Recipe(
        name="bench",
        examples=steps * _AT_ONCE[device()] * config.batch_size,
        batch_size=config.batch_size,
        average_decay=0.999,
        precision=fastest_precision() if config.precision == "auto" else config.precision,
    )
    order = Order(recipe.seed, config.galaxies, config.batch_size)
    feed = feed_of(labelled, order, network.device, config.micro_batch, config.resident)
    pays = compiler_for(network.device)
    compiler = pays if config.compiled is None else "inductor" if config.compiled else None
    return Trainer(network, recipe, feed, compiler, _tell)


class _Stages:
    """Seconds that a step spends in each stage, waiting for the GPU after each."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.spent[name] += time.perf_counter() - started  # type: ignore[assignment]


def _operations(spec: NetworkSpec, answers: int) -> int:
    """Of one example, a multiply-add counted as two; gradients of weights and of inputs cost as much each."""
    dense = sum(spec.dense_multiply_adds(answers))
    return 3 * 2 * (VIEWPOINTS * spec.viewpoint_multiply_adds + dense)


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")
