"""Bench: speed as ratios measured side by side in one process, printed as JSON."""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field

from jobs.console import say
from pipeline.averaging import SharedAverage, naive_average
from pipeline.config import CONFIGS, StrictModel
from pipeline.geometry import averaging_transforms, reach
from pipeline.images import region_side
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler, load_network_spec
from pipeline.tree import load_tree


class AveragingBenchConfig(StrictModel):
    """What `tuningfork bench averaging` takes.

    Attributes
    ----------
    galaxies
        Timed at a time.
    repeats
        Timings whose median counts.
    naive_batches
        Batch sizes tried for the naive loop; its best one counts.
    """

    network: str = str(CONFIGS / "networks" / "compact.yaml")
    precision: Literal["float32", "bfloat16"] = "float32"
    galaxies: int = Field(default=8, gt=0)
    repeats: int = Field(default=5, gt=0)
    naive_batches: tuple[int, ...] = (1, 4, 8)
    threads: int | None = Field(default=None, gt=0)


def run_averaging(config: AveragingBenchConfig) -> None:
    """Time the shared form of the 60-transform mean against the naive loop, on random input."""
    torch.manual_seed(0)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = _random_network(config.network).to(getattr(torch, config.precision)).to(device)
    regions = _random_regions(config.galaxies).to(device)
    sampler = ViewpointSampler().to(device)
    shared = SharedAverage(network)

    def naive(batch: int) -> torch.Tensor:
        starts = range(0, len(regions), batch)
        return torch.cat([naive_average(network, sampler, regions[i : i + batch]) for i in starts])

    difference = float((shared(regions) - naive(config.naive_batches[0])).abs().max())
    forms: dict[str, Callable[[], object]] = {"shared": lambda: shared(regions)}
    forms |= {f"naive_{batch}": functools.partial(naive, batch) for batch in config.naive_batches}
    seconds = _interleaved(forms, config.repeats)
    best = min((name for name in forms if name != "shared"), key=lambda name: seconds[name])
    result = {
        "network": network.spec.name,
        "precision": config.precision,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "galaxies": config.galaxies,
        "repeats": config.repeats,
        "shared_galaxies_per_second": round(config.galaxies / seconds["shared"], 2),
        "naive_galaxies_per_second": round(config.galaxies / seconds[best], 2),
        "naive_batch": int(best.removeprefix("naive_")),
        "speedup_ratio": round(seconds[best] / seconds["shared"], 3),
        "largest_difference": difference,
    }
    say(json.dumps(result, indent=1))


def _interleaved(forms: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each form; forms take turns, so that a noisy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, form in forms.items():
            started = time.perf_counter()
            form()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def _random_network(path: str) -> ViewpointNetwork:
    """A network with weights of He et al.'s spread, so that neither all nor none of its units are at work."""
    network = ViewpointNetwork(load_network_spec(path), load_tree()).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
        else:
            parameter.normal_(std=0.1)
    return network


def _random_regions(galaxies: int) -> RegionBatch:
    """Noise, in regions of a 424-pixel frame."""
    side = region_side(1.0, reach(zoom=min(transform.zoom for transform in averaging_transforms())))
    pixels = torch.randint(0, 256, (galaxies, side, side, 3), dtype=torch.uint8)
    center = torch.full((galaxies, 2), (side - 1) / 2, dtype=torch.float64)
    return RegionBatch(pixels, center, torch.ones(galaxies, dtype=torch.float64))
