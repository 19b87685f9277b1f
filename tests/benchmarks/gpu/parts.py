"""The parts of a GPU's measurement: ``python -m tests.benchmarks.gpu.parts NAME FILE [small]``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from jobs.bench.feed import FeedBenchConfig, measure_feed
from jobs.bench.timing import device, device_name, galaxies, network_of, random_network
from jobs.bench.training import TrainingBenchConfig, measure
from pipeline.averaging import Precision, average_of, fastest_precision, naive_average, use_precision
from pipeline.config import CONFIGS
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, ViewpointNetwork, ViewpointSampler
from tests.benchmarks.gpu.clock import median_seconds, product_rate
from tests.benchmarks.gpu.fragile import fragile_answers
from tests.benchmarks.gpu.stages import stage_figures
from tests.benchmarks.gpu.training_folder import train_on_folder
from tests.support.command import ROOT

BEST = "maxout2048_extradense"
NETWORKS = sorted(path.stem for path in (CONFIGS / "networks").glob("*.yaml"))

Write = Callable[[dict[str, Any]], None]


class Part(NamedTuple):
    """Something to be measured: what measures it, and the most seconds that it may take."""

    measure: Callable[[Write, bool], None]
    seconds: float


def machine(write: Write, small: bool) -> None:
    """What the machine is, and its best rates."""
    size = 512 if small else 8192
    here = torch.empty(1 << (20 if small else 30), dtype=torch.uint8, device=device())
    there = torch.empty_like(here)
    write(
        {
            "device": device_name(),
            "torch": torch.__version__,
            "cpus": os.cpu_count(),
            "product_tflops": {
                name: round(product_rate(dtype, size) / 1e12, 1)
                for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16))
            },
            "copy_gigabytes_per_second": round(
                2 * here.numel() / median_seconds(lambda: there.copy_(here)) / 1e9
            ),
        }
    )


def start(write: Write, small: bool) -> None:
    """Seconds from the start of a process to its first answers, with nothing compiled yet, and once more."""
    code = (
        "from tests.benchmarks.gpu.parts import shipped_average\nfrom jobs.bench.timing import galaxies\n"
        f"shipped_average()(galaxies({4 if small else 256})).cpu()"
    )
    with tempfile.TemporaryDirectory() as folder:
        caches = ("TRITON_CACHE_DIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH")
        environment = os.environ | {name: f"{folder}/{name}" for name in caches}
        spans = {}
        for name in ("cold", "warm"):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
            spans[f"{name}_seconds"] = round(time.perf_counter() - started, 1)
            write(spans)


def kernels(write: Write, small: bool) -> None:
    """Each kernel, and each kind of network, against plain torch: the tests of the kernels."""
    folder = "tests/averaging/kernels/interpreted"
    words = ["-m", "pytest", "-n0", "-p", "no:cacheprovider", f"--confcutdir={folder}", "-m", "", folder]
    environment = os.environ | ({} if device() == "cuda" else {"TRITON_INTERPRET": "1"})
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    write({"tests": lines[-1] if lines else done.stderr[-400:], "failures": failures})
    if done.returncode:
        raise RuntimeError(f"{len(failures)} tests of kernels failed")


def accuracy(write: Write, small: bool) -> None:
    """Largest differences from sixty passes in float32, on the shipped and on random weights."""
    regions = off_centre(2 if small else 8)
    results: dict[str, Any] = {"galaxies": len(regions), "largest_difference": {}}
    for name in ["shipped", *(["compact"] if small else NETWORKS)]:
        network = load(name)
        use_precision("float32")
        exact = naive_average(network, ViewpointSampler().to(device()), regions.to(device()))
        fragile = fragile_answers(network, regions.to(device()))
        moved = {}
        precisions: tuple[Precision, ...] = ("float16", "bfloat16", "float32")
        for precision in precisions if device() == "cuda" else precisions[1:]:
            average = average_of(network, dtype=use_precision(precision))
            difference = (average(regions).to(exact) - exact).abs()
            moved[precision] = {
                "all": float(difference.max()),
                "apart_from_fragile": float(difference.masked_fill(fragile, 0).max()),
            }
        results["largest_difference"][name] = moved | {"fragile_answers": int(fragile.sum())}
        results["answers_each"] = fragile.numel()
        write(results)


def rates(write: Write, small: bool) -> None:
    """Galaxies a second of the shipped network and of the paper's best, by size of batch, and by stage."""
    precision = fastest_precision(device())
    dtype = use_precision(precision)
    best = product_rate(dtype, 512 if small else 8192)
    results: dict[str, Any] = {"precision": precision, "product_tflops": best / 1e12, "networks": {}}
    for name in ["shipped", *([] if small else [BEST])]:
        network = load(name)
        average = average_of(network, dtype=dtype)
        sizes = [4] if small else [256, 512, 1024, 4096]
        here = {size: galaxies(size) for size in sizes}
        there = {size: regions.to(device()) for size, regions in here.items()}
        figures: dict[str, Any] = {"form": type(average).__name__}
        for kind, every in (("from_device", there), ("from_host", here)):
            spans = {size: median_seconds(partial(average, batch)) for size, batch in every.items()}
            figures[kind] = {str(size): round(size / span, 1) for size, span in spans.items()}
        figures["galaxies_per_second"] = max(figures["from_device"].values())
        figures["stages"] = stage_figures(average, network, there[sizes[0]], best)
        results["networks"][name] = figures
        write(results)


def networks(write: Write, small: bool) -> None:
    """Galaxies a second of every network alone, and of all that have 2,048 units and more together."""
    dtype = use_precision(fastest_precision(device()))
    regions = galaxies(2 if small else 512).to(device())
    names = ["compact"] if small else NETWORKS
    rate: dict[str, float] = {}
    for name in names:
        average = average_of(load(name), dtype=dtype)
        rate[name] = round(len(regions) / median_seconds(partial(average, regions)), 1)
        write({"galaxies_per_second": rate})
    members = [load(name) for name in names if name != "compact" or small]
    each = len(regions) / median_seconds(partial(average_of(*members, dtype=dtype), regions))
    together = {"members": len(members), "ensemble_galaxies_per_second": round(each, 1)}
    write({"galaxies_per_second": rate} | together)


def feed(write: Write, small: bool) -> None:
    """Galaxies a second of the stream's stages, handed on without Ray: from Parquet and from JPEG bytes."""
    processes = min(12, os.cpu_count() or 1)
    config = FeedBenchConfig(galaxies=16_384, checking_processes=processes)
    if small:
        config = FeedBenchConfig(galaxies=8, side=128, unit_rows=4, repeats=1)
    write(measure_feed(config))


def training(write: Write, small: bool) -> None:
    """Examples a second of training steps, as `train` makes them."""
    results: dict[str, Any] = {}
    batch, count = (4, 8) if small else (512, 4096)
    for name in ["compact"] if small else ["compact", BEST]:
        path = str(CONFIGS / "networks" / f"{name}.yaml")
        config = TrainingBenchConfig(
            network=path, galaxies=count, batch_size=batch, repeats=2 if small else 9
        )
        results[name] = measure(config)
        write(results)


def train(write: Write, small: bool) -> None:
    """Examples a second of the verb itself, from a folder of JPEGs, once they are decoded."""
    count, batch, passes = (16, 4, 2) if small else (10_000, 512, 40)
    results: dict[str, Any] = {}
    for name in ["compact"] if small else ["compact", BEST]:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = train_on_folder(Path(folder), name, count, batch, passes)
        write(results)


def profile(write: Write, small: bool) -> None:
    """The GPU's own account of where the time of 256 galaxies goes."""
    average, regions = shipped_average(), galaxies(2 if small else 256).to(device())
    average(regions)
    with torch.profiler.profile() as record:
        average(regions)
        if device() == "cuda":
            torch.cuda.synchronize()
    kind = "self_device_time_total" if device() == "cuda" else "self_cpu_time_total"
    spans = {event.key[:80]: round(getattr(event, kind)) for event in record.key_averages()}
    longest = sorted(spans, key=lambda key: -spans[key])[:20]
    write({"microseconds": {key: spans[key] for key in longest}})


def shipped_average() -> Callable[[RegionBatch], torch.Tensor]:
    """The mean of the shipped weights, in the form that a model actor takes."""
    return average_of(load("shipped"), dtype=use_precision(fastest_precision(device())))


def load(name: str) -> ViewpointNetwork:
    """The shipped network, or one of a specification with random weights that are always the same."""
    torch.manual_seed(0)
    if name == "shipped":
        return network_of(DEFAULT_WEIGHTS).to(device())
    return random_network(str(CONFIGS / "networks" / f"{name}.yaml")).to(device())


def off_centre(count: int) -> RegionBatch:
    """Galaxies that aren't in the middle, and zoomed, so that some samples are reflected at the border."""
    regions = galaxies(count)
    return RegionBatch(regions.pixels, regions.center + torch.tensor([3.3, -2.7]), 1.05 * regions.scale)


PARTS = {
    "machine": Part(machine, 60),
    "start": Part(start, 120),
    "rates": Part(rates, 120),
    "kernels": Part(kernels, 180),
    "accuracy": Part(accuracy, 120),
    "feed": Part(feed, 120),
    "training": Part(training, 120),
    "train": Part(train, 150),
    "networks": Part(networks, 120),
    "profile": Part(profile, 60),
}
"""What is measured, in this order: the most wanted first."""


def main() -> None:
    """Measure one part, and write what there is of it after each step."""
    name, place = sys.argv[1:3]

    def write(results: dict[str, Any]) -> None:
        Path(f"{place}.new").write_text(json.dumps(results))
        Path(f"{place}.new").replace(place)  # at once: whoever is killed here leaves what was there before

    PARTS[name].measure(write, "small" in sys.argv[3:])


if __name__ == "__main__":
    main()
