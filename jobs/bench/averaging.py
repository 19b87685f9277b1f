"""Bench averaging and ensemble: the model alone. Needs no Ray."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field

from jobs.bench.timing import (
    device,
    device_name,
    galaxies,
    gemm_rate,
    gemms,
    interleaved,
    network_of,
    random_network,
)
from pipeline.averaging import (
    Average,
    Precision,
    SharedAverage,
    average_of,
    fastest_precision,
    multiply_adds,
    naive_average,
    use_precision,
)
from pipeline.config import CONFIGS, StrictModel
from pipeline.console import say
from pipeline.network import DEFAULT_WEIGHTS, ViewpointSampler


class AveragingBenchConfig(StrictModel):
    """What `tuningfork bench averaging` takes.

    Attributes
    ----------
    network
        A weight file, or the specification of a network, which then gets random weights.
    precision
        Data type of the shared form; by default the fastest on this machine. The naive loop always uses
        float32.
    galaxies
        How many galaxies are timed together.
    repeats
        How many timings are made; their median counts.
    naive_batches
        Batch sizes to try for the naive loop; the best one counts.
    threads
        Threads of torch; all by default.
    compiler
        ``inductor`` compiles the shared form with `torch.compile`.
    """

    network: str = DEFAULT_WEIGHTS
    precision: Precision | None = None
    galaxies: int = Field(default=16, gt=0)
    repeats: int = Field(default=5, gt=0)
    naive_batches: tuple[int, ...] = (1, 2, 4, 16)
    threads: int | None = Field(default=None, gt=0)
    compiler: Literal["inductor"] | None = None


class EnsembleBenchConfig(StrictModel):
    """What `tuningfork bench ensemble` takes.

    Attributes
    ----------
    networks
        Specifications of the networks, which get random weights.
    precision
        Data type of convolutions and products; by default the fastest on this machine.
    galaxies
        How many galaxies are timed together.
    repeats
        How many timings are made; their median counts.
    """

    networks: tuple[str, ...] = (str(CONFIGS / "networks" / "compact.yaml"),) * 3
    precision: Precision | None = None
    galaxies: int = Field(default=16, gt=0)
    repeats: int = Field(default=5, gt=0)


def run_averaging(config: AveragingBenchConfig) -> None:
    """Time the shared form of the 60-transform mean against the naive loop."""
    if config.threads:
        torch.set_num_threads(config.threads)
    say(json.dumps(measure_averaging(config), indent=1))


@torch.inference_mode()
def measure_averaging(config: AveragingBenchConfig) -> dict[str, Any]:
    """Rates of the shared form and the naive loop, the largest difference, and where the time goes."""
    torch.manual_seed(0)
    network = network_of(config.network).to(device())
    regions = galaxies(config.galaxies)
    sampler = ViewpointSampler().to(device())
    precision = config.precision or fastest_precision(device(), [network])
    dtype = use_precision(precision)
    count = config.galaxies

    def naive(batch: int) -> torch.Tensor:
        batches = [regions[start : start + batch].to(device()) for start in range(0, count, batch)]
        return torch.cat([naive_average(network, sampler, chunk) for chunk in batches])

    expected = naive(config.naive_batches[0])
    forms: dict[str, Callable[[], object]] = {
        f"naive {batch}": functools.partial(naive, batch) for batch in config.naive_batches
    }
    shared: Average = (
        SharedAverage(network, dtype=dtype, compiler=config.compiler)
        if config.compiler
        else average_of(network, dtype=dtype)
    )
    difference = float((shared(regions) - expected).abs().max())
    stages = shared.stages(regions)
    forms |= stages | {"shared": functools.partial(shared, regions)} | gemms(dtype)
    times = interleaved(forms, config.repeats)
    best = min((name for name in forms if name.startswith("naive")), key=lambda name: times[name])
    cost = multiply_adds(network.spec, network.tree.answer_count)
    best_rate = gemm_rate(times)
    return {
        "network": network.spec.name,
        "precision": precision,
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "galaxies": count,
        "repeats": config.repeats,
        "shared_galaxies_per_second": round(count / times["shared"], 4),
        "naive_galaxies_per_second": round(count / times[best], 4),
        "naive_batch": int(best.removeprefix("naive ")),
        "speedup_ratio": round(times[best] / times["shared"], 3),
        "largest_difference": difference,
        "gemm_gflops": round(best_rate / 1e9, 1),
        "shared_gflops": round(2 * sum(cost.values()) * count / times["shared"] / 1e9, 3),
        "gemm_share_ratio": round(2 * sum(cost.values()) * count / times["shared"] / best_rate, 3),
        "stage_shares": _shares({name: times[name] for name in stages}),
    }


def _shares(until: dict[str, float]) -> dict[str, float]:
    """Share of each stage in the whole, from the times until each one's end."""
    ends = list(until.values())
    spans = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    return {name: round(span / ends[-1], 3) for name, span in zip(until, spans, strict=True)}


def run_ensemble(config: EnsembleBenchConfig) -> None:
    """Time several networks on the same viewpoints against as many runs of one each."""
    torch.manual_seed(0)
    networks = [random_network(path).to(device()) for path in config.networks]
    precision = config.precision or fastest_precision(device(), networks)
    dtype = use_precision(precision)
    regions = galaxies(config.galaxies)
    together = average_of(*networks, dtype=dtype)
    alone = [average_of(network, dtype=dtype) for network in networks]
    times = interleaved(
        {
            "together": lambda: together(regions),
            "alone": lambda: [average(regions) for average in alone],
        },
        config.repeats,
    )
    result = {
        "networks": [network.spec.name for network in networks],
        "precision": precision,
        "device": device_name(),
        "galaxies": config.galaxies,
        "repeats": config.repeats,
        "ensemble_galaxies_per_second": round(config.galaxies / times["together"], 2),
        "one_after_another_galaxies_per_second": round(config.galaxies / times["alone"], 2),
        "speedup_ratio": round(times["alone"] / times["together"], 3),
    }
    say(json.dumps(result, indent=1))
