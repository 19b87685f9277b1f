"""Times on a GPU, by its own clock where there is one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from jobs.bench.timing import device


def median_seconds(work: Callable[[], object], repeats: int = 7, before: int = 2) -> float:
    """Median time of a call, after some that don't count."""
    for _ in range(before):
        work()
    return statistics.median(_seconds(work) for _ in range(repeats))


def _seconds(work: Callable[[], object]) -> float:
    if device() != "cuda":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    work()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1e3


def product_rate(dtype: torch.dtype, size: int) -> float:
    """Operations a second of a square matrix product, a multiply-add counted as two."""
    a, b = (torch.randn(size, size, device=device()).to(dtype) for _ in range(2))
    return 2 * size**3 / median_seconds(lambda: a @ b)
