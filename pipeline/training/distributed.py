"""Data-parallel training on a Ray cluster: Ray Data reads the galaxies, Ray Train runs the workers."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any, cast

import numpy as np
import pyarrow as pa
import ray
import ray.train
import torch
from ray.data import DataContext, Dataset
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from torch import Tensor

from pipeline import storage
from pipeline.errors import InputError, RunError
from pipeline.images import Region
from pipeline.training.galaxies import Cut, LabelledGalaxies, labelled, load_galaxies, load_region
from pipeline.training.job import TrainingJob
from pipeline.training.labels import Labels
from pipeline.training.order import Order
from pipeline.training.run import train

_ROWS_A_BLOCK = 64
_BLOCKS_A_STRETCH = 1024
_TOLD_EVERY_SECONDS = 2.0
_CACHED_SHARE = 0.5
"""The part of the object stores' memory that decoded galaxies may take for good."""

_FAILURES = 10
"""Losses of workers that a run survives before it stops, to be continued by the same command."""


def train_distributed(
    job: TrainingJob, workers: int, progress: Callable[[int], None], say: Callable[[str], None]
) -> None:
    """Train with so many workers on the Ray cluster that this process has joined.

    A worker that dies is replaced, and all go on from the newest checkpoint.

    Parameters
    ----------
    progress
        Called now and then with the number of examples shown so far.
    say
        Called with what a person should know.

    Raises
    ------
    InputError
        If the cluster can't place the workers, or an image can't be used.
    RunError
        If the loss is no longer finite, or workers keep dying.
    """
    gpus = int(ray.cluster_resources().get("GPU", 0))
    cpus = ray.cluster_resources().get("CPU", 0)
    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    smallest = min((count for count in nodes if count >= 1), default=cpus)
    if workers > (gpus or cpus):
        raise InputError(
            f"workers is {workers}, and the cluster has {gpus} GPUs and {cpus:g} CPUs; ask for fewer"
        )
    if workers > job.recipe.batch_size:
        raise InputError(f"workers is {workers}, more than the {job.recipe.batch_size} examples of a batch")
    cached = _cached(job)
    say(
        f"{len(job.labels):,} galaxies for {workers} workers, "
        + ("decoded once, in the object store" if cached else "decoded anew in every pass")
    )
    threads = max(1, int(cpus) // workers)
    seen = ray.remote(num_cpus=0)(_Seen).remote()
    with tempfile.TemporaryDirectory() as folder:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job, "blocks": cached, "threads": threads, "seen": seen},
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=gpus > 0,
                # All workers, and those who decode, fit on the smallest node: it may be what is left.
                resources_per_worker={"CPU": min(1.0, smallest / 2 / workers)} | ({"GPU": 1} if gpus else {}),
                placement_strategy="PACK" if gpus else "SPREAD",
            ),
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
            # Its own checkpoints aren't used: ours are found again by another job, too.
            run_config=cast(Any, RunConfig)(
                storage_path=folder,
                failure_config=FailureConfig(max_failures=_FAILURES),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            _fit(trainer, seen, progress)
        except ray.train.TrainingFailedError as error:
            raise _in_one_line(error) from error


def _in_one_line(error: Exception) -> Exception:
    for failure in getattr(error, "worker_failures", {}).values():
        cause = getattr(failure, "cause", failure)
        for kind in (InputError, RunError):
            if isinstance(cause, kind):
                return kind(str(cause).partition("\n")[0])
    reason = " ".join(str(error).split())[:300]
    return RunError(
        f"the training workers kept dying ({reason}); the newest checkpoint is kept: "
        "run the same command again"
    )


def _worker(config: dict[str, Any]) -> None:
    job: TrainingJob = config["job"]
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(config["threads"])
    order = job.order(rank, world)
    trainer = job.trainer(order, _source(job, config["blocks"], order), ray.train.torch.get_device())
    share = len(job.held_out) * rank // world, len(job.held_out) * (rank + 1) // world
    held_out = load_galaxies(job.held_out[slice(*share)], job.cut)

    told_at = time.monotonic()

    def tell(seen: int) -> None:
        nonlocal told_at
        if rank == 0 and time.monotonic() - told_at > _TOLD_EVERY_SECONDS:
            config["seen"].set.remote(seen)
            told_at = time.monotonic()

    train(trainer, held_out, job.settings, rank, world, progress=tell, warn=print)


def _source(job: TrainingJob, blocks: list[Any], order: Order) -> Callable[[Tensor, int], LabelledGalaxies]:
    """Where a worker gets its galaxies from."""
    if not blocks:
        return _Stream(job, order)
    regions = [region for block in ray.get(blocks) for region in _regions(block)]
    return lambda rows, _: labelled(job.labels, rows, tuple(regions[row] for row in rows.tolist()))


class _Seen:
    """How far the workers are."""

    def __init__(self) -> None:
        self._seen = 0

    def set(self, seen: int) -> None:
        self._seen = seen

    def get(self) -> int:
        return self._seen


def _fit(trainer: TorchTrainer, seen: Any, progress: Callable[[int], None]) -> None:
    """Train, passing on how far the workers are."""
    done: Future[Any] = Future()

    def fit() -> None:
        try:
            done.set_result(trainer.fit())
        except Exception as error:  # noqa: BLE001 (it is raised where it is waited for)
            done.set_exception(error)

    # In the main thread Ray Train would take SIGINT over, and end the process as if all were done.
    threading.Thread(target=fit, name="training", daemon=True).start()
    while wait([done], _TOLD_EVERY_SECONDS).not_done:
        progress(ray.get(seen.get.remote()))
    done.result()


def _cached(job: TrainingJob) -> list[Any]:
    """Blocks of decoded galaxies in the object store; none where they aren't to be kept there."""
    size = load_region(job.labels, 0, job.cut).pixels.nbytes
    room = _CACHED_SHARE * ray.cluster_resources().get("object_store_memory", 0)
    if not (size * len(job.labels) <= room if job.cached is None else job.cached):
        return []
    blocks = torch.arange(len(job.labels)).split(_ROWS_A_BLOCK)
    decoded = _decoded(ray.put(job.labels), job.cut, [block.tolist() for block in blocks])
    return list(decoded.materialize().to_arrow_refs())


class _Stream:
    """Gives a worker its galaxies in the order in which it asks for them, read ahead of it by Ray Data."""

    def __init__(self, job: TrainingJob, order: Order) -> None:
        self._job, self._order = job, order
        self._regions: Iterator[Region] | None = None

    def __call__(self, rows: Tensor, seen: int) -> LabelledGalaxies:
        """The galaxies of rows that this worker shows once so many examples have been shown."""
        if self._regions is None:
            self._regions = self._from(seen)
        return labelled(self._job.labels, rows, tuple(itertools.islice(self._regions, len(rows))))

    def _from(self, seen: int) -> Iterator[Region]:
        """All that this worker shows from there on."""
        labels, steps = ray.put(self._job.labels), max(1, _ROWS_A_BLOCK // len(self._order.part))
        while seen < self._job.recipe.examples:
            blocks: list[list[int]] = []
            while seen < self._job.recipe.examples and len(blocks) < _BLOCKS_A_STRETCH:
                starts = [seen + step * self._order.batch_size for step in range(steps)]
                mine = [self._order.batch(start)[self._order.part] for start in starts]
                blocks.append(torch.cat(mine).tolist())
                seen += steps * self._order.batch_size
            stretch = _decoded(labels, self._job.cut, blocks)
            for block in stretch.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2):
                yield from _regions(block)


def _decoded(labels: Any, cut: Cut, blocks: list[list[int]]) -> Dataset:
    """Blocks of rows, decoded, in their order."""
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.raise_original_map_exception = True

    def decode(batch: pa.Table) -> pa.Table:
        (block,) = batch["rows"].to_pylist()
        table: Labels = ray.get(labels)
        return _table(list(storage.read_ahead(lambda row: load_region(table, row, cut), block)))

    items = [{"rows": block} for block in blocks]
    return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        decode, batch_size=None, batch_format="pyarrow", num_cpus=0.5
    )


def _table(regions: list[Region]) -> pa.Table:
    return pa.table(
        {
            "pixels": pa.array([region.pixels.tobytes() for region in regions], pa.large_binary()),
            "side": [region.pixels.shape[0] for region in regions],
            "center_x": [region.center[0] for region in regions],
            "center_y": [region.center[1] for region in regions],
            "scale": [region.scale for region in regions],
        }
    )


def _regions(table: pa.Table) -> Iterator[Region]:
    """Regions whose pixels lie where the table's do."""
    for row in range(len(table)):
        side = table["side"][row].as_py()
        pixels = np.frombuffer(table["pixels"][row].as_buffer(), np.uint8).reshape(side, side, 3)
        center = (table["center_x"][row].as_py(), table["center_y"][row].as_py())
        yield Region(pixels, center, table["scale"][row].as_py())
