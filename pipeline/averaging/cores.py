"""Galaxies in chunks, and on a CPU on every core by itself."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from pipeline.network import RegionBatch

Result = TypeVar("Result")


def map_chunks(work: Callable[[RegionBatch], Result], regions: RegionBatch, size: int) -> list[Result]:
    """Do `work` on chunks of regions, in order: on a GPU one after another, on a CPU as many as threads.

    Cores that work on galaxies of their own needn't wait for each other after every layer.

    Parameters
    ----------
    size
        Most galaxies in a chunk. Of none there is one chunk, empty.
    """
    chunks = [regions[start : start + size] for start in range(0, max(len(regions), 1), size)]
    threads = torch.get_num_threads()
    if regions.pixels.device.type != "cpu" or min(threads, len(chunks)) < 2:
        return [work(chunk) for chunk in chunks]
    results = list(_cores(threads, os.getpid()).map(work, chunks))
    torch.set_num_threads(threads)  # the cores' own number is the default of threads yet to come, too
    return results


@functools.lru_cache(maxsize=1)
def _cores(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that torch computes in one at a time; kept, so that they keep their memory as well.

    Parameters
    ----------
    process
        Its id: the threads of a process aren't those of its fork.
    """
    return ThreadPoolExecutor(threads, "averaging", lambda: torch.set_num_threads(1))
