"""Training a generator; it can be stopped at any time and goes on after its last whole epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from pipeline.config import StrictModel
from pipeline.errors import RunError
from pipeline.generation.generator import Generator
from pipeline.generation.pictures import TrainingSet
from pipeline.network.layers import lay_channels_last

Shown = Callable[[int], None]
"""A function that is called with the number of galaxies shown since its last call."""

EpochDone = Callable[[int, float], None]
"""A function that is called with the number of epochs done, and the mean loss of the last."""

_Weights = tuple[Tensor, ...] | list[Tensor]

_WARM_UP = 0.03
_CLIPPED_NORM = 1.0


class GeneratorRecipe(StrictModel):
    """How a generator is trained.

    Attributes
    ----------
    epochs, batch
        Times that each galaxy is shown, and galaxies at a time.
    rate
        Largest learning rate, of one cycle of AdamW.
    decay
        Weight decay.
    average_decay
        Of the moving average of weights, which is the result; less at the start.
    without
        Share of galaxies that are shown without their votes, so that there can be guidance.
    partly
        Share of the others that are shown with some of their votes only, as users ask for some.
    seed
        Of the initial weights and all that is drawn.
    """

    epochs: int = Field(default=100, ge=1)
    batch: int = Field(default=64, ge=1)
    rate: float = Field(default=5e-4, gt=0)
    decay: float = Field(default=1e-2, ge=0)
    average_decay: float = Field(default=0.9995, ge=0, lt=1)
    without: float = Field(default=0.1, ge=0, le=1)
    partly: float = Field(default=0.5, ge=0, le=1)
    seed: int = 0


def epochs_done(state: Path) -> int:
    """How many epochs a training has behind it that kept its state in a file."""
    return int(torch.load(state, weights_only=True)["epochs"]) if state.exists() else 0


def train_generator(
    generator: Generator,
    galaxies: TrainingSet,
    recipe: GeneratorRecipe,
    done: EpochDone = lambda epochs, loss: None,
    state: Path | None = None,
    shown: Shown = lambda count: None,
) -> Generator:
    """Train a generator where its weights are; galaxies are turned by any angle and mirrored at random.

    Parameters
    ----------
    state
        File that training is continued from, and that is written after each epoch.

    Returns
    -------
    Generator
        The moving average, for evaluation.

    Raises
    ------
    RunError
        If the loss is no longer finite.
    """
    lay_channels_last(generator.train())
    averaged = AveragedModel(generator, multi_avg_fn=_average(recipe.average_decay))
    optimizer = torch.optim.AdamW(generator.parameters(), recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(galaxies) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=steps, pct_start=_WARM_UP, cycle_momentum=False
    )
    parts: dict[str, Any] = {
        "generator": generator,
        "averaged": averaged,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    first = 0
    if state is not None and state.exists():
        kept = torch.load(state, weights_only=True, map_location=generator.device)
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        first = kept["epochs"]
    for epoch in range(first, recipe.epochs):
        losses = []
        random = _random(recipe.seed, epoch, generator.device)
        for rows in torch.randperm(len(galaxies), generator=random, device=random.device).split(recipe.batch):
            loss = _shown_loss(generator, galaxies, rows, recipe, random)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(generator.parameters(), _CLIPPED_NORM)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(generator)
            losses.append(loss.detach())
            shown(len(rows))
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise RunError(
                f"the loss is {mean} in epoch {epoch + 1}; lower the learning rate, {recipe.rate:g}"
            )
        if state is not None:
            kept = {name: part.state_dict() for name, part in parts.items()}
            torch.save(kept | {"epochs": epoch + 1}, f"{state}.part")
            Path(f"{state}.part").replace(state)
        done(epoch + 1, mean)
    result = averaged.module
    assert isinstance(result, Generator)
    return result.eval()


@torch.inference_mode()
def held_out_loss(
    generator: Generator, galaxies: TrainingSet, recipe: GeneratorRecipe, rounds: int = 4
) -> float:
    """Mean loss about galaxies with all their votes, each shown so many times; the same each time."""
    random = _random(recipe.seed, recipe.epochs, generator.device)
    losses = []
    for _ in range(rounds):
        for rows in torch.arange(len(galaxies), device=generator.device).split(recipe.batch):
            pictures = _turned(galaxies, rows, random)
            losses.append(generator.loss(pictures, galaxies.votes[rows], random) * len(rows))
    return float(torch.stack(losses).sum()) / (rounds * len(galaxies))


def _shown_loss(
    generator: Generator,
    galaxies: TrainingSet,
    rows: Tensor,
    recipe: GeneratorRecipe,
    random: torch.Generator,
) -> Tensor:
    pictures = _turned(galaxies, rows, random)
    votes = _partly_known(galaxies.votes[rows], recipe, random)
    with torch.autocast("cuda", torch.bfloat16, enabled=random.device.type == "cuda"):
        return generator.loss(pictures, votes, random)


def _turned(galaxies: TrainingSet, rows: Tensor, random: torch.Generator) -> Tensor:
    turns, sides = torch.rand(2, len(rows), generator=random, device=random.device)
    return galaxies.seen(rows, 2 * math.pi * turns, sides < 0.5)


def _partly_known(votes: Tensor, recipe: GeneratorRecipe, random: torch.Generator) -> Tensor:
    """Votes, all of some galaxies and some of others left out."""
    device = random.device
    without, partly, kept = torch.rand(3, len(votes), 1, generator=random, device=device)
    left_out = (partly < recipe.partly) & (torch.rand(votes.shape, generator=random, device=device) > kept)
    return votes.masked_fill(left_out | (without < recipe.without), torch.nan)


def _random(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """All that is drawn in an epoch follows from its number, dropout too: nothing else must be kept."""
    mixed = (seed * 1_000_003 + epoch) % 2**63
    torch.manual_seed(mixed)
    return torch.Generator(device).manual_seed(mixed)


def _average(decay: float) -> Callable[[_Weights, _Weights, Tensor | int], None]:
    @torch.no_grad()
    def update(averaged: _Weights, current: _Weights, count: Tensor | int) -> None:
        count = torch.as_tensor(count)
        weight = 1 - ((1 + count) / (10 + count)).clamp(max=decay)  # a GPU isn't waited for
        changes = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(changes, weight)
        torch._foreach_add_(averaged, changes)

    return update
