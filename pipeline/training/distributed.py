"""Data-parallel training on a Ray cluster: Ray Data reads the galaxies, Ray Train runs the workers."""

from __future__ import annotations

import contextlib
import itertools
import math
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
from ray.exceptions import RayError
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from torch import Tensor

from pipeline import storage
from pipeline.errors import InputError, RunError
from pipeline.images import Region
from pipeline.training.feeding import Feed, feed_of, resident
from pipeline.training.galaxies import Cut, LabelledGalaxies, labelled, load_galaxies, load_region
from pipeline.training.job import TrainingJob
from pipeline.training.labels import Labels
from pipeline.training.order import Order
from pipeline.training.precision import Precision, fastest_precision
from pipeline.training.regions import copied, stacked
from pipeline.training.run import train

_ROWS_A_BLOCK = 64
_BLOCKS_A_STRETCH = 1024
_TOLD_EVERY_SECONDS = 2.0
_WAITED_FOR_CHECKPOINT_SECONDS = 20.0
"""How long a training that is to end waits for its last checkpoint: schedulers kill after 30."""

_CACHED_SHARE = 0.5
"""The part of the object stores' memory that decoded galaxies may take for good."""

_FAILURES = 10
"""Losses of workers that a run survives before it stops, to be continued by the same command."""


def train_distributed(
    job: TrainingJob, workers: int, progress: Callable[[int], None], say: Callable[[str], None]
) -> None:
    """Train with so many workers on the Ray cluster that this process has joined.

    A worker that dies is replaced, and all go on from the newest checkpoint. What ends this process in an
    orderly way, such as SIGINT, makes the workers write a checkpoint before.

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
    board = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Board).remote()
    with tempfile.TemporaryDirectory() as folder:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job, "blocks": cached, "threads": threads, "board": board},
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
            _fit(trainer, board, progress)
        except ray.train.TrainingFailedError as error:
            raise _in_one_line(error) from error
        except (KeyboardInterrupt, SystemExit):
            _wait_for_checkpoint(board)
            raise


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


def _wait_for_checkpoint(board: Any) -> None:
    """Have the last step kept in a checkpoint, and wait until it is, if there is anything to keep."""
    until = time.monotonic() + _WAITED_FOR_CHECKPOINT_SECONDS
    with contextlib.suppress(RayError):
        if not ray.get(board.seen.remote(), timeout=_TOLD_EVERY_SECONDS):
            return
        ray.get(board.want.remote(), timeout=_TOLD_EVERY_SECONDS)
        while not ray.get(board.is_kept.remote(), timeout=max(0.0, until - time.monotonic())):
            time.sleep(_TOLD_EVERY_SECONDS / 10)


def workers_precision() -> Precision:
    """The fastest precision of a worker's machine on the Ray cluster that this process has joined."""
    gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
    precision: Precision = ray.get(ray.remote(num_gpus=gpus)(fastest_precision).remote())
    return precision


def _worker(config: dict[str, Any]) -> None:
    job: TrainingJob = config["job"]
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(config["threads"])
    order, device = job.order(rank, world), ray.train.torch.get_device()
    trainer = job.trainer(_feed(job, config["blocks"], order, device), device, print)
    share = len(job.held_out) * rank // world, len(job.held_out) * (rank + 1) // world
    held_out = load_galaxies(job.held_out[slice(*share)], job.cut)
    if resident(held_out.regions.nbytes, device):
        held_out = held_out.to(device)
    board = _AtTimes(config["board"], rank == 0)
    # After a step all workers' states are the same: they needn't agree on when the first one keeps its own.
    train(trainer, held_out, job.settings, rank, world, board.tell, print, board.wanted, board.keep)


class _AtTimes:
    """The first worker's way to the board, not taken after every step.

    Parameters
    ----------
    first
        Whether this is the first worker; the others never go.
    """

    def __init__(self, board: Any, first: bool) -> None:
        self._board, self._first = board, first
        self._answer: Any = None
        self._asked_at = -math.inf

    def tell(self, seen: int) -> None:
        """Tell how far the workers are, and ask whether a checkpoint is wanted; no answer is waited for.

        Nor is it asked anew before the answer was read: the board says of a wish once.
        """
        due = time.monotonic() - self._asked_at > _TOLD_EVERY_SECONDS / 4
        if self._first and self._answer is None and due:
            self._answer, self._asked_at = self._board.tell.remote(seen), time.monotonic()

    def wanted(self) -> bool:
        """Whether a checkpoint was wanted, as far as the board has answered."""
        if self._answer is None or not ray.wait([self._answer], timeout=0)[0]:
            return False
        answer, self._answer = self._answer, None
        with contextlib.suppress(RayError):  # a board that went with its node is begun anew
            return bool(ray.get(answer))
        return False

    def keep(self) -> None:
        """Let the board know that the checkpoint which was wanted is there."""
        self._board.keep.remote()


def _feed(job: TrainingJob, blocks: list[Any], order: Order, device: torch.device) -> Feed:
    """Where a worker gets its galaxies from: its GPU's memory, blocks that all workers share, or files."""
    if not blocks:
        return Feed(order, _Stream(job, order), device, job.micro_batch, ahead=device.type == "cuda")
    regions = [region for block in ray.get(blocks) for region in _regions(block)]
    if resident(sum(region.pixels.nbytes for region in regions), device):
        rows = torch.arange(len(job.labels))
        galaxies = labelled(job.labels, rows, copied(regions, device)).to(device)
        return feed_of(galaxies, order, device, job.micro_batch, stays=True)

    def shared(rows: Tensor, _: int) -> LabelledGalaxies:
        chosen = rows.tolist()
        return labelled(job.labels, rows, stacked((regions[row] for row in chosen), len(chosen)))

    return Feed(order, shared, device, job.micro_batch, ahead=device.type == "cuda")


class _Board:
    """What workers and driver let each other know."""

    def __init__(self) -> None:
        self._seen, self._wanted, self._kept = 0, False, False

    def tell(self, seen: int) -> bool:
        """Examples shown so far; whether a checkpoint is wanted, which is said once."""
        wanted, self._wanted = self._wanted, False
        self._seen = seen
        return wanted

    def want(self) -> None:
        """Ask for a checkpoint."""
        self._wanted, self._kept = True, False

    def keep(self) -> None:
        """The checkpoint that was asked for is there."""
        self._kept = True

    def is_kept(self) -> bool:
        """Whether the checkpoint that was asked for is there."""
        return self._kept

    def seen(self) -> int:
        """What was told last."""
        return self._seen


def _fit(trainer: TorchTrainer, board: Any, progress: Callable[[int], None]) -> None:
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
        progress(ray.get(board.seen.remote()))
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
        regions = stacked(itertools.islice(self._regions, len(rows)), len(rows))
        return labelled(self._job.labels, rows, regions)

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
