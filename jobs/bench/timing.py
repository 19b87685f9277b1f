"""Timing on noisy machines, the machine's own best rates, and input for models."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pipeline.averaging import Precision, use_precision
from pipeline.geometry import averaging_transforms, reach
from pipeline.images import region_side
from pipeline.network import RegionBatch, ViewpointNetwork, load_network, load_network_spec, load_networks
from pipeline.streaming.model import predictor
from pipeline.tree import DecisionTree, load_tree

_ALONE = {"cpu": 32, "cuda": 1024}
"""How many galaxies a model alone is timed on, by its device."""


def device() -> str:
    """The device that is measured: the GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(on: str | None = None) -> str:
    """The name of the GPU that is measured, or of the processor.

    Parameters
    ----------
    on
        ``cuda`` or ``cpu``; by default what `device` says.
    """
    if (on or device()) == "cuda":
        return torch.cuda.get_device_name()
    return str(torch.cpu.get_capabilities().get("cpu_name", "cpu"))


def interleaved(forms: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each form; forms take turns, so that a noisy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for form in forms.values():
        form()
    for _ in range(repeats):
        for name, form in forms.items():
            times[name].append(seconds(form))
    return {name: statistics.median(values) for name, values in times.items()}


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of a call, work of a GPU included."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def gemms(dtype: torch.dtype, size: int = 2048) -> dict[str, Callable[[], torch.Tensor]]:
    """A square matrix product by each library at hand; the fastest is what the machine can do at best.

    As a 1 × 1 convolution it is oneDNN's, which on AMD's processors is twice as fast as MKL in float32.
    """
    a, b = (torch.randn(size, size, device=device()).to(dtype) for _ in range(2))
    image = a.view(1, size // 32, 32, size).permute(0, 3, 1, 2)
    weight = b[:, :, None, None].contiguous(memory_format=torch.channels_last)
    return {
        "gemm": functools.partial(torch.mm, a, b),
        "gemm as convolution": functools.partial(torch.conv2d, image, weight),
    }


def gemm_rate(times: Mapping[str, float], size: int = 2048) -> float:
    """Operations a second of the fastest of `gemms`, a multiply-add counted as two."""
    return 2 * size**3 / min(value for name, value in times.items() if name.startswith("gemm"))


def random_network(path: str) -> ViewpointNetwork:
    """A network with weights of He et al.'s spread, so that neither all nor none of its units are at work."""
    network = ViewpointNetwork(load_network_spec(path), load_tree()).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
        else:
            parameter.normal_(std=0.1)
    return network


def network_of(path: str) -> ViewpointNetwork:
    """The network of a weight file, or a random one of a YAML specification; float32."""
    if path.endswith((".yaml", ".yml")):
        return random_network(path)
    return load_network(path, load_tree())[0]


def model_rate(
    weights: str,
    tree: DecisionTree,
    transforms: int,
    precision: Precision,
    on: str,
    threads: int | None = None,
    count: int | None = None,
    repeats: int = 5,
) -> float:
    """Galaxies a second of one model actor's work on this machine, with nothing beside it; the median.

    Parameters
    ----------
    on
        ``cuda`` or ``cpu``.
    count
        Galaxies a call.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    networks = [network.to(on) for network in load_networks(weights, tree)]
    predict = predictor(networks, transforms, use_precision(precision))
    regions = galaxies(count or _ALONE[on])
    predict(regions[:32])
    each = statistics.median(seconds(lambda: predict(regions)) for _ in range(repeats))
    torch.set_num_threads(before)
    return len(regions) / each


def galaxies(count: int) -> RegionBatch:
    """Made galaxies (see `pictures`), each in the region that 60 transforms of a 424-pixel frame reach."""
    side = region_side(1.0, reach(zoom=min(transform.zoom for transform in averaging_transforms())))
    center = torch.full((count, 2), (side - 1) / 2, dtype=torch.float64)
    return RegionBatch(pictures(count, side), center, torch.ones(count, dtype=torch.float64))


def pictures(count: int, side: int) -> Tensor:
    """Exponential disks of all sizes and inclinations with noise, (count, side, side, 3), uint8."""
    random = torch.Generator().manual_seed(0)
    axis = torch.arange(side) - (side - 1) / 2
    angle, flat, size = torch.rand(3, count, 1, 1, generator=random)
    x = axis * torch.cos(3.14 * angle) + axis[:, None] * torch.sin(3.14 * angle)
    y = axis[:, None] * torch.cos(3.14 * angle) - axis * torch.sin(3.14 * angle)
    radius = torch.hypot(x, y / (0.15 + 0.85 * flat)) / (10 + 30 * size)
    color = 0.4 + 0.6 * torch.rand(count, 1, 1, 3, generator=random)
    light = torch.exp(-radius)[..., None] * color
    pixels = light + 0.01 * torch.randn(count, side, side, 3, generator=random)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
