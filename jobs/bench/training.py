"""Bench training: steps of a recipe on this machine, without Ray."""

from __future__ import annotations

import json
import statistics
from typing import Any, Literal

import torch
from pydantic import Field

from jobs.bench.timing import device, device_name, galaxies, gemm_rate, gemms, network_of, seconds
from pipeline.config import CONFIGS, StrictModel
from pipeline.console import say
from pipeline.geometry import VIEWPOINTS
from pipeline.images import Region
from pipeline.training import LabelledGalaxies, Order, Recipe, Trainer


class TrainingBenchConfig(StrictModel):
    """What `tuningfork bench training` takes.

    Attributes
    ----------
    network
        A YAML specification, whose weights are then random.
    precision
        Data type of convolutions and products.
    galaxies
        How many there are; what matters is how many a step has.
    batch_size, micro_batch
        As a recipe and `train` have them.
    repeats
        Steps that are timed; figures are medians.
    threads
        That torch uses; all if not given.
    """

    network: str = str(CONFIGS / "networks" / "compact.yaml")
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    galaxies: int = Field(default=64, gt=0)
    batch_size: int = Field(default=50, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    repeats: int = Field(default=15, gt=0)
    threads: int | None = Field(default=None, gt=0)


def run(config: TrainingBenchConfig) -> None:
    """Time steps on galaxies in memory, augmentation included."""
    torch.set_num_threads(config.threads or torch.get_num_threads())
    say(json.dumps(_measure(config), indent=1))


def _measure(config: TrainingBenchConfig) -> dict[str, Any]:
    network = network_of(config.network).requires_grad_(True).to(device())
    shown = galaxies(config.galaxies)
    regions = tuple(
        Region(pixels.numpy(), (float(x), float(y)), float(scale))
        for pixels, (x, y), scale in zip(shown.pixels, shown.center, shown.scale, strict=True)
    )
    raw = torch.rand(config.galaxies, network.tree.answer_count, device=device())
    votes = network.output(raw).cpu()
    ids = tuple(str(row) for row in range(config.galaxies))
    labelled = LabelledGalaxies(ids, regions, votes, torch.ones(config.galaxies))
    recipe = Recipe(
        name="bench",
        examples=(config.repeats + 2) * config.batch_size,
        batch_size=config.batch_size,
        precision=config.precision,
    )
    order = Order(recipe.seed, config.galaxies, config.batch_size)
    trainer = Trainer(network, recipe, order, lambda rows, _: labelled.subset(rows), config.micro_batch)
    trainer.step()
    trainer.step()
    each = statistics.median(seconds(trainer.step) for _ in range(config.repeats))
    rate = config.batch_size / each
    # Backward does each product twice more: for the gradients of weights and of inputs.
    spec = network.spec
    dense = sum(spec.dense_multiply_adds(network.tree.answer_count))
    flop = 3 * 2 * (VIEWPOINTS * spec.viewpoint_multiply_adds + dense)
    best = gemm_rate({name: min(seconds(work) for _ in range(5)) for name, work in _products(config).items()})
    return {
        "network": spec.name,
        "precision": config.precision,
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "batch_size": config.batch_size,
        "repeats": config.repeats,
        "examples_per_second": round(rate, 2),
        "gflops": round(rate * flop / 1e9, 1),
        "gemm_gflops": round(best / 1e9, 1),
        "gemm_share_ratio": round(rate * flop / best, 3),
    }


def _products(config: TrainingBenchConfig) -> Any:
    return gemms(getattr(torch, config.precision))
