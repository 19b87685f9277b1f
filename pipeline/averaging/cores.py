"""Galaxies in chunks: on a CPU on every core by itself, on a GPU while the next ones are copied to it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from pipeline.network import RegionBatch

Result = TypeVar("Result")


def map_chunks(
    work: Callable[[RegionBatch], Result],
    regions: RegionBatch,
    size: int,
    device: torch.device,
    full: bool = False,
) -> list[Result]:
    """Do `work` on chunks of regions, in order: on a GPU one after another, on a CPU as many as threads.

    Cores that work on galaxies of their own needn't wait for each other after every layer.

    Parameters
    ----------
    size
        Most galaxies in a chunk. Of none there is one chunk, empty.
    device
        Where `work` wants its regions.
    full
        Pad the last chunk to the size of the others.
    """
    chunks = [regions[start : start + size] for start in range(0, max(len(regions), 1), size)]
    if full:
        chunks[-1] = chunks[-1].padded(size)
    if device.type == "cuda":
        on_gpu = regions.pixels.device.type == "cuda"
        return [work(chunk) for chunk in (chunks if on_gpu else _copied_ahead(chunks, device))]
    threads = torch.get_num_threads()
    if min(threads, len(chunks)) < 2:
        return [work(chunk) for chunk in chunks]
    try:
        return list(_cores(threads, os.getpid()).map(work, chunks))
    finally:
        torch.set_num_threads(threads)  # the cores' own number is the default of threads yet to come, too


@functools.lru_cache(maxsize=1)
def _cores(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that torch computes in one at a time; kept, so that they keep their memory as well.

    Parameters
    ----------
    process
        Id of the process: its threads aren't those of its fork.
    """
    return ThreadPoolExecutor(threads, "averaging", lambda: torch.set_num_threads(1))


def _copied_ahead(chunks: list[RegionBatch], device: torch.device) -> Iterator[RegionBatch]:
    """Chunks on a GPU, each copied there from pinned memory while the one before it is worked on."""
    copies = torch.cuda.Stream(device)

    def begin(chunk: RegionBatch) -> tuple[RegionBatch, torch.cuda.Event]:
        with torch.cuda.stream(copies):
            copied = chunk.pinned().to(device, non_blocking=True)
        return copied, copies.record_event()

    begun = begin(chunks[0])
    for following in [*chunks[1:], None]:
        copied, arrived = begun
        if following is not None:
            begun = begin(following)
        work = torch.cuda.current_stream(device)
        work.wait_event(arrived)
        for tensor in (copied.pixels, copied.center, copied.scale):
            tensor.record_stream(work)
        yield copied
