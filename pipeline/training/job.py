"""A training as one thing: what is trained, on what, and how; done here in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.network import NetworkSpec
from pipeline.training.feeding import Feed, feed_of, resident
from pipeline.training.galaxies import Cut, load_galaxies
from pipeline.training.initial import initial_network
from pipeline.training.labels import Labels
from pipeline.training.loss import compiler_for
from pipeline.training.order import Order
from pipeline.training.recipe import Recipe
from pipeline.training.run import RunSettings, train
from pipeline.training.trainer import Trainer
from pipeline.tree import DecisionTree


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained.

    Attributes
    ----------
    labels, held_out
        Galaxies to train on and to score.
    cut
        What is kept of their images.
    initial_weights
        See `initial_network`.
    micro_batch
        See `Trainer`.
    cached
        Whether several workers keep decoded galaxies in the object store; if None, whether they fit.
    """

    spec: NetworkSpec
    tree: DecisionTree
    recipe: Recipe
    labels: Labels
    held_out: Labels
    cut: Cut
    settings: RunSettings
    initial_weights: str | None = None
    micro_batch: int | None = None
    cached: bool | None = None

    def order(self, rank: int = 0, world: int = 1) -> Order:
        """The order of a worker's galaxies."""
        return Order(self.recipe.seed, len(self.labels), self.recipe.batch_size, rank, world)

    def trainer(
        self, feed: Feed, device: torch.device, say: Callable[[str], None] = lambda message: None
    ) -> Trainer:
        """The trainer at its start."""
        network = initial_network(self.spec, self.tree, self.recipe.seed, self.initial_weights)
        return Trainer(network.to(device), self.recipe, feed, compiler_for(device), say)


def train_here(job: TrainingJob, progress: Callable[[int], None], say: Callable[[str], None]) -> None:
    """Train in this process, on its GPU if it has one; galaxies are held in memory.

    Parameters
    ----------
    progress, say
        As `train` takes them; `say` in the place of its `warn`.

    Raises
    ------
    InputError
        If an image can't be used.
    RunError
        If the loss is no longer finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    feed = feed_of(load_galaxies(job.labels, job.cut), job.order(), device, job.micro_batch)
    if device.type == "cuda":
        how = "batch by batch" if feed.ahead else "to stay there"
        say(f"Trains on {torch.cuda.get_device_name(device)}; galaxies are copied to it {how}")
    held_out = load_galaxies(job.held_out, job.cut)
    if resident(held_out.regions.nbytes, device):
        held_out = held_out.to(device)
    train(job.trainer(feed, device, say), held_out, job.settings, progress=progress, warn=say)
