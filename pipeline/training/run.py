"""A training run: steps, scores and checkpoints until the recipe's examples are shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline import storage
from pipeline.averaging import naive_average
from pipeline.geometry import IDENTITY
from pipeline.network import ViewpointNetwork, ViewpointSampler
from pipeline.training.checkpoints import newest_checkpoint, save_checkpoint
from pipeline.training.galaxies import LabelledGalaxies, equal_sides
from pipeline.training.log import write_log
from pipeline.training.trainer import Step, Trainer

_SCORED_AT_ONCE = 64


@dataclass(frozen=True)
class RunSettings:
    """Where a run keeps itself, and how often it does what, in examples.

    Attributes
    ----------
    folder
        URI for checkpoints and logs.
    log_every, evaluate_every, checkpoint_every
        The latter two happen with a row of the log.
    """

    folder: str
    log_every: int
    evaluate_every: int
    checkpoint_every: int

    @property
    def checkpoints(self) -> str:
        """Folder of the checkpoints."""
        return storage.join(self.folder, "checkpoints")


def train(
    trainer: Trainer,
    held_out: LabelledGalaxies,
    settings: RunSettings,
    rank: int = 0,
    world: int = 1,
    progress: Callable[[int], None] = lambda seen: None,
    warn: Callable[[str], None] = lambda message: None,
) -> list[dict[str, Any]]:
    """Train until the recipe's examples are shown, from the newest whole checkpoint on if there is one.

    Parameters
    ----------
    held_out
        This worker's part of the galaxies to score.
    rank, world
        This worker's number, and that of all workers; the first writes checkpoints and logs.
    progress
        Called after each step with the number of examples shown so far.
    warn
        Called with what a person should know.

    Returns
    -------
    list of dict
        The log's rows.

    Raises
    ------
    RunError
        If the loss is no longer finite.
    """
    log: list[dict[str, Any]] = []
    checkpoint = newest_checkpoint(settings.checkpoints)
    if checkpoint is not None:
        trainer.load_state(checkpoint.tensors)
        log = checkpoint.log
        for uri in checkpoint.passed_over:
            warn(
                f"{uri} is not a whole checkpoint; it is passed over for one of {checkpoint.seen:,} examples"
            )
    steps: list[Step] = []
    started, waited = time.perf_counter(), trainer.seconds_waited
    while not trainer.done:
        before = trainer.seen
        steps.append(trainer.step())
        progress(trainer.seen)

        def due(every: int, before: int = before) -> bool:
            return trainer.done or trainer.seen // every > before // every

        if not due(settings.log_every):
            continue
        seconds = time.perf_counter() - started
        row = _row(trainer.seen, steps, seconds, (trainer.seconds_waited - waited) / seconds)
        if due(settings.evaluate_every):
            row |= evaluate(trainer.result(), held_out, world)
        log.append(row)
        if rank == 0 and due(settings.checkpoint_every):
            save_checkpoint(settings.checkpoints, trainer.seen, trainer.state(), log)
        if rank == 0 and (due(settings.evaluate_every) or due(settings.checkpoint_every)):
            write_log(settings.folder, log)
        steps, started, waited = [], time.perf_counter(), trainer.seconds_waited
    return log


def _row(seen: int, steps: list[Step], seconds: float, waiting: float) -> dict[str, Any]:
    examples = sum(step.examples for step in steps)
    return {
        "seen": seen,
        "time": time.time(),
        "loss": sum(step.loss * step.examples for step in steps) / examples,
        "learning_rate": steps[-1].learning_rate,
        "gradient_norm": statistics.median(step.gradient_norm for step in steps),
        "dead_questions": max(step.dead_questions for step in steps),
        "examples_per_second": examples / seconds,
        "waiting_ratio": waiting,
    }


@torch.no_grad()
def evaluate(network: ViewpointNetwork, galaxies: LabelledGalaxies, world: int = 1) -> dict[str, Any]:
    """RMSE of single views over the votes there are, over all and by question; of all workers' galaxies.

    Returns
    -------
    dict
        ``rmse`` and ``rmse_by_question``; empty where there are no votes.
    """
    training = network.training
    network.eval()
    # Squares and votes of each answer.
    sums = torch.zeros(2, network.tree.answer_count, dtype=torch.float64, device=network.device)
    sampler = ViewpointSampler().to(network.device)
    for rows, regions in equal_sides(galaxies.regions, _SCORED_AT_ONCE):
        answers = naive_average(network, sampler, regions.to(network.device), (IDENTITY,))
        difference = answers.double() - galaxies.votes[rows].to(network.device)
        sums += torch.stack([difference.square().nansum(0), (~difference.isnan()).sum(0)])
    network.train(training)
    if world > 1:
        torch.distributed.all_reduce(sums)
    questions = {
        key: _rmse(sums[:, where]) for key, where in network.tree.slices.items() if sums[1, where].any()
    }
    return {"rmse": _rmse(sums), "rmse_by_question": questions} if questions else {}


def _rmse(sums: Tensor) -> float:
    return float((sums[0].sum() / sums[1].sum()).sqrt())
