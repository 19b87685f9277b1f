"""Compile every variant of a network's kernels for a GPU that isn't there, and say what each takes of it.

``python -m tests.averaging.kernels.compiling [NETWORK.yaml] [float16 or bfloat16]`` prints JSON. It's a
program, because Triton either compiles in a process or interprets.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from jobs.bench.timing import random_network
from pipeline.averaging.kernels.average import Buffers
from pipeline.averaging.kernels.sampling import Sampling
from pipeline.averaging.kernels.steps import steps_of
from pipeline.config import CONFIGS
from pipeline.geometry import distinct_transforms
from pipeline.network import RegionBatch

BEST = str(CONFIGS / "networks" / "maxout2048_extradense.yaml")
GALAXIES = 256
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


class Hopper:
    """Stands in for the driver of a GPU of compute capability 9.0."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def usage(cubin: bytes) -> dict[str, int]:
    """Registers of a thread, bytes of its stack (where it has any, registers are spilled), shared bytes."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(CUOBJDUMP), "--dump-resource-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}


def main(path: str = BEST, dtype: str = "float16") -> None:
    """Do the work of a whole chunk with kernels that are compiled and not launched."""
    compiled: dict[str, dict[str, Any]] = {}
    doing = "sampling"
    run = JITFunction.run

    def compile_only(kernel: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        assert len(grid) < 2 or max(grid[1:]) < 65_536, f"{doing}: CUDA has no grid {grid}"
        started = time.perf_counter()
        made = run(kernel, *arguments, grid=grid, warmup=True, **options)
        copies = Counter(re.findall(r"cp\.async\.(ca|cg)", made.asm["ptx"]))
        taken = usage(made.asm["cubin"]) | {"shared": made.metadata.shared} | copies
        taken["maxima_without_nan"] = len(re.findall(r"max\.f32", made.asm["ptx"]))
        compiled[f"{doing}: {made.metadata.name}"] = taken | {
            "seconds": round(time.perf_counter() - started, 1)
        }
        return made

    driver.set_active(Hopper())
    JITFunction.run = compile_only
    short, cpu = getattr(torch, dtype), torch.device("cpu")
    transforms, network = distinct_transforms(), random_network(path)
    steps = steps_of(network, short, len(transforms))
    buffers = Buffers(len(transforms), max(step.values for step in steps), short, cpu)
    buffers.hold(GALAXIES)
    regions = RegionBatch(
        torch.zeros(GALAXIES, 352, 352, 3, dtype=torch.uint8), torch.zeros(GALAXIES, 2), torch.ones(GALAXIES)
    )
    Sampling(transforms, short, cpu)(regions, buffers.crops)
    for position, step in enumerate(steps):
        for name, prepare in step.variants.items():
            doing = f"{step.name}, {name}"
            source = buffers.turns[(position + 1) % 2] if position else buffers.crops
            target = torch.empty(GALAXIES, 37) if step is steps[-1] else buffers.turns[position % 2]
            of_torch = name == "library" or step.name.endswith("product")  # which computes in earnest
            prepare()(source, target, 1 if of_torch else GALAXIES * len(transforms))
    print(json.dumps(compiled, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
