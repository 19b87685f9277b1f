"""One training step after another."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.averaging import use_precision
from pipeline.errors import RunError
from pipeline.network import ViewpointNetwork, ViewpointSampler
from pipeline.training.augmentation import Draws, draw, perturbed_viewpoints
from pipeline.training.feeding import Feed
from pipeline.training.galaxies import LabelledGalaxies
from pipeline.training.loss import WeightedLoss, compiled
from pipeline.training.optimizer import MovingAverage, optimizer_of, set_rate
from pipeline.training.order import mixed
from pipeline.training.precision import fastest_precision
from pipeline.training.recipe import Nesterov, Recipe
from pipeline.training.regions import sent

_IDS_SHOWN = 8
_CAPPED_EVERY = 10


@dataclass(frozen=True)
class Shown:
    """What showing a batch gave, beside gradients; the weights are as they were.

    Attributes
    ----------
    loss : Tensor, scalar
        As of `Step`, on the device.
    alive : Tensor, shape (answers,), bool
        Which answers had a positive raw value for some example of this worker.
    ids
        Of this worker's galaxies.
    """

    loss: Tensor
    alive: Tensor
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What a step did, over all workers.

    Attributes
    ----------
    seen, examples
        Shown before it, and in it.
    learning_rate
        That it was taken with.
    measured : Tensor, shape (3,), float32
        Loss, gradient norm and dead questions, on the device: to look at them is to wait for it.
    ids
        Of this worker's galaxies.
    """

    seen: int
    examples: int
    learning_rate: float
    measured: Tensor
    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Step:
        """The step of `values`, but for its galaxies."""
        return cls(**dict(values) | {"measured": torch.tensor(values["measured"])})

    def values(self) -> dict[str, Any]:
        """All of it but its galaxies, as values that JSON can hold."""
        return {
            "seen": self.seen,
            "examples": self.examples,
            "learning_rate": self.learning_rate,
            "measured": self.measured.tolist(),
        }

    @property
    def loss(self) -> float:
        """Mean squared error of the probabilities (of the clipped raw values at the start), weighted."""
        return float(self.measured[0])

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradients of all weights together."""
        return float(self.measured[1])

    @property
    def dead_questions(self) -> int:
        """Questions without a gradient: no example of this worker gave them a positive raw value."""
        return int(self.measured[2])


class Trainer:
    """Trains a network by a recipe, step by step.

    All that is random follows from the recipe's seed and the number of examples seen: a trainer that is put
    back to an earlier state takes the very steps that it took from there (on a GPU up to rounding). Which
    examples a step shows, and how each is perturbed, doesn't depend on the number of workers either;
    dropout's masks do.

    Parameters
    ----------
    network
        With its initial weights. It is trained in place, on its device.
    recipe
        Every step shows a whole batch of it, the last one too.
    feed
        The galaxies; where its order is for several workers, torch.distributed is initialised.
    compiler
        A backend of `torch.compile` (``inductor``), if the loss is to be compiled.
    say
        Called with what a person should know.

    Attributes
    ----------
    seen
        Examples shown so far.
    compiled
        Whether the loss is.
    stage
        Makes the context of each stage of a step, by its name.
    """

    def __init__(
        self,
        network: ViewpointNetwork,
        recipe: Recipe,
        feed: Feed,
        compiler: str | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.network, self.recipe, self.feed, self.seen = network.train(), recipe, feed, 0
        self.stage: Callable[[str], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
        self._world = feed.order.world
        self._sampler = ViewpointSampler().to(network.device)
        self._optimizer = optimizer_of(network, recipe)
        precision = fastest_precision() if recipe.precision == "auto" else recipe.precision
        eager = WeightedLoss(network, use_precision(precision), recipe.viewpoints)
        self._loss: nn.Module = eager
        if compiler:
            clipped = recipe.clipped_examples > 0
            self._loss = compiled(eager, sorted(feed.sizes), clipped, compiler, say)
        self.compiled = self._loss is not eager
        # Views in float32 would be rounded by the first convolution anyway.
        self._views_dtype = eager.dtype if self.compiled else torch.float32
        if self._world > 1:
            self._loss = DistributedDataParallel(self._loss)
        self._average = MovingAverage(network, recipe.average_decay) if recipe.average_decay else None

    @property
    def done(self) -> bool:
        """Whether all of the recipe's examples have been shown."""
        return self.seen >= self.recipe.examples

    def step(self) -> Step:
        """Show one batch, and change the weights by it.

        Raises
        ------
        RunError
            If the loss is no longer finite. On a GPU it isn't looked at (see `check_losses`).
        """
        return self.update(self.show())

    def show(self) -> Shown:
        """Show one batch: its gradients are then with the weights, which stay as they are."""
        size = self.recipe.batch_size
        random = torch.Generator().manual_seed(mixed(self.recipe.seed, "views", self.seen))
        draws = draw(self.recipe.augmentation, size, random)
        torch.manual_seed(mixed(self.recipe.seed, "dropout", self.seen, self.feed.order.rank))
        self._optimizer.zero_grad(set_to_none=True)
        clipped = self.seen < self.recipe.clipped_examples
        ids: tuple[str, ...] = ()
        loss = torch.zeros((), device=self.network.device)
        alive = torch.zeros(self.network.tree.answer_count, dtype=torch.bool, device=self.network.device)
        parts = self.feed.batch(self.seen, last=self.seen + size >= self.recipe.examples)
        for number in range(1, self.feed.parts + 1):
            with self.stage("galaxies"):
                part, galaxies = next(parts)
            with self.stage("views"):
                views = self._views(galaxies, draws[part])
            with contextlib.nullcontext() if number == self.feed.parts else self._held_back():
                with self.stage("forward"):
                    errors, positive = self._loss(views, galaxies.votes, galaxies.weights, clipped=clipped)
                    errors = errors / size
                with self.stage("backward"):
                    # Workers' gradients are averaged, and these are to add up.
                    (errors * self._world).backward()
            loss += errors.detach()
            alive |= positive
            ids += galaxies.ids
        if self._world > 1:
            torch.distributed.all_reduce(loss)
        return Shown(loss, alive, ids)

    def update(self, shown: Shown) -> Step:
        """Change the weights by the gradients that are there."""
        with self.stage("update"):
            rate = self.recipe.learning_rate(self.seen)
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            alive = [shown.alive[where].any() for where in self.network.tree.slices.values()]
            dead = len(alive) - torch.stack(alive).sum()
            measured = torch.stack([shown.loss, nn.utils.get_total_norm(gradients), dead.float()])
            step = Step(self.seen, self.recipe.batch_size, rate, measured, shown.ids)
            if measured.device.type == "cpu":
                check_losses([step])
            set_rate(self._optimizer, rate, isinstance(self.recipe.optimizer, Nesterov))
            self._optimizer.step()
            self.seen += step.examples
            if self.seen // step.examples % _CAPPED_EVERY == 0:
                self.network.cap_norms()
            if self._average is not None:
                self._average.update(self.network)
            return step

    def result(self) -> ViewpointNetwork:
        """The trained network: the moving average where the recipe has one."""
        return self.network if self._average is None else self._average.network

    def state(self) -> dict[str, Tensor]:
        """All that training goes on from, as named tensors."""
        tensors = {"seen": torch.tensor(self.seen)}
        tensors |= {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for number, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
        tensors["rate"] = torch.tensor(self._optimizer.param_groups[-1]["lr"], dtype=torch.float64)
        if self._average is not None:
            tensors |= {f"average.{name}": value for name, value in self._average.state().items()}
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a `state`."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            if rest:
                parts[part][rest] = value
        self.network.load_state_dict(parts["network"])
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, key = name.partition(".")
            states.setdefault(int(number), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})
        for group in self._optimizer.param_groups:
            group["lr"] = (
                float(tensors["rate"]) * group["of_rate"] / self._optimizer.param_groups[-1]["of_rate"]
            )
        if self._average is not None:
            self._average.load_state(parts["average"])
        self.seen = int(tensors["seen"])

    def _held_back(self) -> contextlib.AbstractContextManager[None]:
        """Gradients stay with this worker for now."""
        if isinstance(self._loss, DistributedDataParallel):
            return self._loss.no_sync()
        return contextlib.nullcontext()

    def _views(self, galaxies: LabelledGalaxies, draws: Draws) -> Tensor:
        pieces, order = [], []
        for rows, regions in galaxies.regions.by_side():
            pieces.append(perturbed_viewpoints(self._sampler, regions, draws[rows], self._views_dtype))
            order.append(rows)
        if len(pieces) == 1:
            return pieces[0]
        # Together with their channels last, as each is.
        views = torch.cat([piece.movedim(-3, -1) for piece in pieces])
        return views[sent(torch.cat(order).argsort(), views.device)].movedim(-1, -3)


def check_losses(steps: Sequence[Step]) -> list[list[float]]:
    """What was measured in steps, once it is known that every loss is finite.

    Raises
    ------
    RunError
        If one isn't, naming galaxies of its step.
    """
    device = steps[-1].measured.device if steps else None
    together = [step.measured.to(device) for step in steps]
    measured: list[list[float]] = torch.stack(together).tolist() if together else []
    for step, (loss, *_) in zip(steps, measured, strict=True):
        if not math.isfinite(loss):
            raise RunError(_diverged(loss, step.seen, step.ids))
    return measured


def _diverged(loss: float, seen: int, ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return (
        f"the loss is {loss} after {seen:,} examples, in a batch of galaxies "
        f"{', '.join(ids[:_IDS_SHOWN])}{more}; "
        "look at them, or lower the learning rate"
    )
