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
from pipeline.training.galaxies import LabelledGalaxies
from pipeline.training.log import write_log
from pipeline.training.signals import signals_held
from pipeline.training.trainer import Step, Trainer, check_losses

_SCORED_AT_ONCE = 64


@dataclass(frozen=True)
class RunSettings:
    """Where a run keeps itself, and how often it does what.

    Attributes
    ----------
    folder
        URI for checkpoints and logs.
    log_every, evaluate_every, checkpoint_every
        In examples; the latter two happen with a row of the log.
    checkpoint_seconds
        A checkpoint is written whenever the last one is so old, too.
    """

    folder: str
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    checkpoint_seconds: float = 600.0

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
    wanted: Callable[[], bool] = lambda: False,
    kept: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Train until the recipe's examples are shown, from the newest whole checkpoint on if there is one.

    What ends the process in an orderly way, such as SIGINT, leaves a checkpoint of the last whole step.

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
    wanted
        Asked after each step whether someone wants a checkpoint now.
    kept
        Called when a checkpoint that was wanted is there, written now or before.

    Returns
    -------
    list of dict
        The log's rows.

    Raises
    ------
    RunError
        If the loss is no longer finite.
    """
    run = _Run(trainer, settings, rank)
    for uri in run.passed_over:
        warn(f"{uri} is not a whole checkpoint; it is passed over for one of {trainer.seen:,} examples")
    try:
        while run.steps or not trainer.done:
            if run.due(settings.log_every):
                run.log_row(lambda: evaluate(trainer.result(), held_out, world))
                continue
            wish = wanted()
            if run.is_old() or wish:
                run.save()
            if wish:
                kept()
            shown = trainer.show()
            with signals_held():
                run.steps.append(trainer.update(shown))
            progress(trainer.seen)
    except (KeyboardInterrupt, SystemExit):
        run.save()
        raise
    return run.log


class _Run:
    """The log of a run, its steps that aren't in it yet, and its checkpoints."""

    def __init__(self, trainer: Trainer, settings: RunSettings, rank: int) -> None:
        self._trainer, self._settings, self._writes = trainer, settings, rank == 0
        self.log: list[dict[str, Any]] = []
        self.steps: list[Step] = []
        self.passed_over: tuple[str, ...] = ()
        checkpoint = newest_checkpoint(settings.checkpoints)
        if checkpoint is not None:
            trainer.load_state(checkpoint.tensors)
            self.log, self.passed_over = checkpoint.log, checkpoint.passed_over
            self.steps = [Step.of(values) for values in checkpoint.steps]
        self._saved, self._saved_at = trainer.seen, time.monotonic()
        self._begin_row()

    def due(self, every: int) -> bool:
        """Whether the last step completed so many examples, or all; not if it is in the log."""
        if not self.steps:
            return False
        seen = self._trainer.seen
        return self._trainer.done or seen // every > (seen - self.steps[-1].examples) // every

    def log_row(self, score: Callable[[], dict[str, Any]]) -> None:
        """Move the steps into the log, with a score if it is due; write log and checkpoint if they are."""
        row = self._row()
        scores, saves = self.due(self._settings.evaluate_every), self.due(self._settings.checkpoint_every)
        if scores:
            row |= score()
        with signals_held():
            self.log.append(row)
            self.steps = []
        if saves:
            self.save()
        elif scores:
            self._write_log()
        self._begin_row()

    def is_old(self) -> bool:
        """Whether the last checkpoint is."""
        return time.monotonic() - self._saved_at > self._settings.checkpoint_seconds

    def save(self) -> None:
        """Write a checkpoint and the log, unless this was done after the last step already."""
        self._saved_at = time.monotonic()
        if not self._writes or self._trainer.seen == self._saved:
            return
        check_losses(self.steps)
        seen, steps = self._trainer.seen, [step.values() for step in self.steps]
        save_checkpoint(self._settings.checkpoints, seen, self._trainer.state(), self.log, steps)
        self._saved = seen
        self._write_log()

    def _write_log(self) -> None:
        if self._writes:
            write_log(self._settings.folder, self.log)

    def _begin_row(self) -> None:
        self._started, self._seen = time.perf_counter(), self._trainer.seen
        self._waited = self._trainer.feed.seconds_waited

    def _row(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self._started
        losses, norms, dead = zip(*check_losses(self.steps), strict=True)
        examples = [step.examples for step in self.steps]
        return {
            "seen": self._trainer.seen,
            "time": time.time(),
            "loss": sum(loss * count for loss, count in zip(losses, examples, strict=True)) / sum(examples),
            "learning_rate": self.steps[-1].learning_rate,
            "gradient_norm": statistics.median(norms),
            "dead_questions": int(max(dead)),
            "examples_per_second": (self._trainer.seen - self._seen) / seconds,
            "waiting_ratio": (self._trainer.feed.seconds_waited - self._waited) / seconds,
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
    for rows, regions in galaxies.regions.by_side(_SCORED_AT_ONCE):
        answers = naive_average(network, sampler, regions.to(network.device), (IDENTITY,))
        difference = answers.double() - galaxies[rows].votes.to(network.device)
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
