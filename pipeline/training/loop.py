"""The training loop, in one process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.errors import InputError
from pipeline.network import NetworkSpec, ViewpointNetwork, ViewpointSampler
from pipeline.training.augmentation import perturbed_viewpoints
from pipeline.training.dataset import LabelledGalaxies
from pipeline.training.recipe import Recipe
from pipeline.tree import DecisionTree


@dataclass(frozen=True)
class TrainingResult:
    """A trained network in evaluation mode, and the mean loss of each epoch."""

    network: ViewpointNetwork
    losses: tuple[float, ...]


def train_network(
    spec: NetworkSpec,
    tree: DecisionTree,
    recipe: Recipe,
    galaxies: LabelledGalaxies,
    progress: Callable[[int, float], None] = lambda examples, loss: None,
) -> TrainingResult:
    """Train a network from its initial weights; the same seed and machine give the same weights.

    Parameters
    ----------
    galaxies
        All of them are trained on: hold some out before.
    progress
        Called after each step with the number of its examples and its loss.

    Raises
    ------
    InputError
        If there are no galaxies.
    FloatingPointError
        If the loss is no longer finite.
    """
    if not len(galaxies):
        raise InputError("there are no galaxies to train on; expected at least 1 that isn't held out")
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    network = ViewpointNetwork(spec, tree).train()
    sampler = ViewpointSampler()
    batch_size = min(recipe.batch_size, len(galaxies))
    steps_per_epoch = len(galaxies) // batch_size
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps_per_epoch
    )
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    seen, losses = 0, []
    for _ in range(recipe.epochs):
        total = 0.0
        for rows in _shuffled(len(galaxies), batch_size, generator):
            batch = galaxies.subset(rows)
            views = perturbed_viewpoints(sampler, batch.regions, recipe.augmentation, generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                raw = network.raw(network.viewpoint_features(views))
            loss = _loss(network, raw.float(), batch.votes, clipped=seen < recipe.clipped_examples)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if recipe.average_decay:
                average.update_parameters(network)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss is {value} after {seen} examples; lower the learning rate"
                )
            seen += len(batch)
            total += value
            progress(len(batch), value)
        losses.append(total / steps_per_epoch)
    trained = cast(ViewpointNetwork, average.module) if recipe.average_decay else network
    return TrainingResult(trained.eval().requires_grad_(False), tuple(losses))


def _loss(network: ViewpointNetwork, raw: Tensor, votes: Tensor, clipped: bool) -> Tensor:
    return functional.mse_loss(raw.clamp(0, 1) if clipped else network.output(raw), votes)


def _shuffled(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers in random order, in whole batches."""
    order = torch.randperm(n, generator=generator)
    yield from order[: n // batch_size * batch_size].split(batch_size)
