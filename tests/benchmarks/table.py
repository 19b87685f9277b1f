"""All benchmarks in one table and a roofline picture: ``python -m tests.benchmarks.table OUT``.

Writes ``benchmarks.md``, ``benchmarks.json`` and ``roofline.png`` into the folder OUT.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

from jobs.bench.timing import gemm_rate, gemms, interleaved, seconds
from pipeline.network import load_network_spec
from pipeline.network.layers import UntiedConvolution
from pipeline.network.spec import NetworkSpec
from tests.support.command import ROOT

PIECE = 32
BEST = "configs/networks/maxout2048_extradense.yaml"
VERBS = {
    "averaging, compact, bfloat16": ["averaging"],
    "averaging, compact, float32": ["averaging", "precision=float32"],
    "averaging, the paper's best network, bfloat16": ["averaging", f"network={BEST}", "naive_batches=[4,16]"],
    "averaging, the paper's best network, float32": [
        "averaging",
        f"network={BEST}",
        "naive_batches=[4,16]",
        "precision=float32",
    ],
    "three networks together": ["ensemble"],
    "training, compact, bfloat16": ["training"],
    "decoding": ["decode"],
    "stream": ["stream", "galaxies=[1280]", "repeats=5"],
    "stream without a model": ["stream", "model=identity", "galaxies=[8192]", "repeats=5", "decode_actors=2"],
    "stream, one view a galaxy": ["stream", "transforms=1", "galaxies=[1024,4096,16384]", "repeats=5"],
}


def measure(words: list[str]) -> dict[str, Any]:
    """One verb's JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"bench {' '.join(words)}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def flat(result: dict[str, Any]) -> str:
    """Numbers of a result in one line; those of runs that follow each other, one behind the other."""
    runs = result.get("runs", [])
    numbers = {key: value for key, value in result.items() if isinstance(value, float)}
    numbers |= {key: [run[key] for run in runs] for key in (runs[0] if runs else {})}
    return ", ".join(f"{key} {value}" for key, value in numbers.items())


@torch.inference_mode()
def layers(spec: NetworkSpec, dtype: torch.dtype) -> dict[str, tuple[float, float]]:
    """Operations a byte of memory traffic, and operations a second, of each convolution with its pooling.

    Traffic is what the layer reads and writes at least: input, weights, biases and pooled output.
    """
    channels, size, works, costs = 3, 45, {}, {}
    sizes = spec.map_sizes()
    for number, (layer, after) in enumerate(zip(spec.convolutions, sizes, strict=True)):
        module = UntiedConvolution(layer, channels, size).to(dtype)
        x = torch.rand(PIECE, size, size, channels).permute(0, 3, 1, 2).to(dtype)
        name = f"convolution {number + 1}"
        works[name] = lambda module=module, x=x: module(x)
        flop = 2 * PIECE * spec.convolution_multiply_adds[number]
        values = x.numel() + module.weight.numel() + module.bias.numel() + PIECE * layer.filters * after**2
        costs[name] = (flop, values * dtype.itemsize)
        channels, size = layer.filters, after
    times = interleaved(works, 9)
    return {name: (flop / moved, flop / times[name]) for name, (flop, moved) in costs.items()}


def bandwidth() -> float:
    """Bytes a second of a copy that no cache holds."""
    source = torch.rand(64 << 20)
    target = torch.empty_like(source)
    return 2 * source.nbytes / interleaved({"copy": lambda: target.copy_(source)}, 5)["copy"]


def draw(path: Path) -> None:
    """The roofline: what memory and arithmetic allow, and where each layer is."""
    spec, memory = load_network_spec(ROOT / BEST), bandwidth()
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for dtype, color in ((torch.float32, "tab:blue"), (torch.bfloat16, "tab:red")):
        name = str(dtype).removeprefix("torch.")
        peak = gemm_rate({key: min(seconds(work) for _ in range(15)) for key, work in gemms(dtype).items()})
        intensities = [1.0, peak / memory, 2000.0]
        roof = [min(peak, memory * value) / 1e9 for value in intensities]
        axes.plot(intensities, roof, color=color, label=f"{name}: matrix product {peak / 1e9:,.0f} GFLOP/s")
        for marker, (layer, (intensity, rate)) in zip("os^D", layers(spec, dtype).items(), strict=True):
            label = f"{layer}: {100 * rate / peak:.0f} % of it"
            axes.plot(intensity, rate / 1e9, marker, color=color, label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations per byte of memory traffic",
        ylabel="GFLOP/s",
        title=f"Convolutions with bias, pooling and ReLU, {torch.get_num_threads()} threads; "
        f"memory {memory / 1e9:,.0f} GB/s",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure everything and write it down."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    draw(out / "roofline.png")
    results = {}
    for name, words in VERBS.items():
        print(name, "…", flush=True)
        results[name] = measure(words)
    (out / "benchmarks.json").write_text(json.dumps(results, indent=1) + "\n")
    rows = [f"| {name} | {flat(result)} |" for name, result in results.items()]
    (out / "benchmarks.md").write_text("\n".join(["| what | figures |", "|---|---|", *rows]) + "\n")
    print((out / "benchmarks.md").read_text())


if __name__ == "__main__":
    main()
