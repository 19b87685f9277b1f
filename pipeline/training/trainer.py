"""One training step after another."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.errors import RunError
from pipeline.network import ViewpointNetwork, ViewpointSampler
from pipeline.training.augmentation import Draws, draw, perturbed_viewpoints
from pipeline.training.galaxies import LabelledGalaxies, equal_sides
from pipeline.training.order import Order, mixed
from pipeline.training.recipe import Nesterov, Recipe

_IDS_SHOWN = 8
_CAPPED_EVERY = 10


@dataclass(frozen=True)
class Step:
    """What a step did, over all workers.

    Attributes
    ----------
    examples
        Shown in it.
    loss
        Mean squared error of the probabilities (of the clipped raw values at the start), weighted.
    learning_rate
        That it was taken with.
    gradient_norm
        Norm of the gradients of all weights together.
    dead_questions
        Questions for which no example of this worker gave a positive raw value: they have no gradient.
    """

    examples: int
    loss: float
    learning_rate: float
    gradient_norm: float
    dead_questions: int


class Trainer:
    """Trains a network by a recipe, step by step.

    All that is random follows from the recipe's seed and the number of examples seen: a trainer that is put
    back to an earlier state takes the very steps that it took from there. Which examples a step shows, and
    how each is perturbed, doesn't depend on the number of workers either; dropout's masks do.

    Parameters
    ----------
    network
        With its initial weights. It is trained in place, on its device.
    recipe
        Every step shows a whole batch of it, the last one too.
    order
        Which galaxies each step shows; where it is for several workers, torch.distributed is initialised.
    fetch
        Gives the galaxies of some rows, given also how many examples were shown before.
    micro_batch
        Most examples that go through the network together: gradients of more add up.

    Attributes
    ----------
    seen
        Examples shown so far.
    seconds_waited
        Spent on getting galaxies.
    """

    def __init__(
        self,
        network: ViewpointNetwork,
        recipe: Recipe,
        order: Order,
        fetch: Callable[[Tensor, int], LabelledGalaxies],
        micro_batch: int | None = None,
    ) -> None:
        self.network, self.recipe, self.seen = network.train(), recipe, 0
        self.seconds_waited = 0.0
        self._fetch, self._order = fetch, order
        self._micro_batch = micro_batch or recipe.batch_size
        self._sampler = ViewpointSampler().to(network.device)
        self._optimizer = _optimizer(network, recipe)
        self._raw: nn.Module = _RawAnswers(network)
        if order.world > 1:
            self._raw = DistributedDataParallel(self._raw)
        average = get_ema_multi_avg_fn(recipe.average_decay)
        self._average = AveragedModel(network, multi_avg_fn=average) if recipe.average_decay else None

    @property
    def done(self) -> bool:
        """Whether all of the recipe's examples have been shown."""
        return self.seen >= self.recipe.examples

    def step(self) -> Step:
        """Show one batch.

        Raises
        ------
        RunError
            If the loss is no longer finite.
        """
        size = self.recipe.batch_size
        random = torch.Generator().manual_seed(mixed(self.recipe.seed, "views", self.seen))
        rows = self._order.batch(self.seen)
        draws = draw(self.recipe.augmentation, size, random)
        mine = self._order.part
        torch.manual_seed(mixed(self.recipe.seed, "dropout", self.seen, self._order.rank))
        rate = self._set_rate()
        self._optimizer.zero_grad(set_to_none=True)
        part, alive, ids = self._backward(rows[mine], draws[mine], size)
        loss = self._over_workers(part)
        if not math.isfinite(loss):
            raise RunError(_diverged(loss, self.seen, ids))
        norm = nn.utils.get_total_norm([p.grad for p in self.network.parameters() if p.grad is not None])
        self._optimizer.step()
        self.seen += size
        if self.seen // size % _CAPPED_EVERY == 0:
            self.network.cap_norms()
        if self._average is not None:
            self._average.update_parameters(self.network)
        dead = sum(not bool(alive[where].any()) for where in self.network.tree.slices.values())
        return Step(size, loss, rate, float(norm), dead)

    def result(self) -> ViewpointNetwork:
        """The trained network: the moving average where the recipe has one."""
        return self.network if self._average is None else cast(ViewpointNetwork, self._average.module)

    def state(self) -> dict[str, Tensor]:
        """All that training goes on from, as named tensors."""
        tensors = {"seen": torch.tensor(self.seen)}
        tensors |= {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for number, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
        tensors["rate"] = torch.tensor(self._optimizer.param_groups[-1]["lr"], dtype=torch.float64)
        if self._average is not None:
            tensors |= {f"average.{name}": value for name, value in self._average.state_dict().items()}
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
            self._average.load_state_dict(parts["average"])
        self.seen = int(tensors["seen"])

    def _backward(self, rows: Tensor, draws: Draws, size: int) -> tuple[Tensor, Tensor, list[str]]:
        """Gradients of this worker's examples; their loss, which answers were positive, and their ids."""
        ids: list[str] = []
        loss = torch.zeros((), device=self.network.device)
        alive = torch.zeros(self.network.tree.answer_count, dtype=torch.bool, device=self.network.device)
        parts = list(torch.arange(len(rows)).split(self._micro_batch))
        for number, part in enumerate(parts, start=1):
            started = time.perf_counter()
            galaxies = self._fetch(rows[part], self.seen)
            self.seconds_waited += time.perf_counter() - started
            ids += galaxies.ids
            views = self._views(galaxies, draws[part])
            with contextlib.nullcontext() if number == len(parts) else self._held_back():
                with self._autocast():
                    raw = self._raw(views)
                raw = raw.float()
                errors = self._errors(raw, galaxies) / size
                # Workers' gradients are averaged, and these are to add up.
                (errors * self._order.world).backward()
            loss += errors.detach()
            alive |= (raw.detach() > 0).any(dim=0)
        return loss, alive, ids

    def _held_back(self) -> contextlib.AbstractContextManager[None]:
        """Gradients stay with this worker for now."""
        if isinstance(self._raw, DistributedDataParallel):
            return self._raw.no_sync()
        return contextlib.nullcontext()

    def _views(self, galaxies: LabelledGalaxies, draws: Draws) -> Tensor:
        device = self.network.device
        pieces, order = [], []
        for rows, regions in equal_sides(galaxies.regions):
            pieces.append(perturbed_viewpoints(self._sampler, regions.to(device), draws[rows]))
            order.append(rows)
        return torch.cat(pieces)[torch.cat(order).argsort().to(device)] if len(pieces) > 1 else pieces[0]

    def _errors(self, raw: Tensor, galaxies: LabelledGalaxies) -> Tensor:
        """Sum over examples of each one's weight times its mean squared error over the votes there are."""
        clipped = self.seen < self.recipe.clipped_examples
        answers = raw.clamp(0, 1) if clipped else self.network.output(raw)
        votes = galaxies.votes.to(raw.device)
        voted = ~votes.isnan()
        square = functional.mse_loss(answers, torch.where(voted, votes, answers.detach()), reduction="none")
        each = square.sum(dim=1) / voted.sum(dim=1).clamp(min=1)
        return (galaxies.weights.to(raw.device) * each).sum()

    def _autocast(self) -> torch.autocast:
        short = self.recipe.precision == "bfloat16"
        return torch.autocast(self.network.device.type, torch.bfloat16, enabled=short)

    def _over_workers(self, loss: Tensor) -> float:
        if self._order.world > 1:
            torch.distributed.all_reduce(loss)
        return float(loss)

    def _set_rate(self) -> float:
        rate = self.recipe.learning_rate(self.seen)
        for group in self._optimizer.param_groups:
            before, group["lr"] = group["lr"], rate * group["of_rate"]
            if isinstance(self.recipe.optimizer, Nesterov) and before and before != group["lr"]:
                # Torch's momentum leaves the rate out; the recipe's carries that of each step with it.
                for parameter in group["params"]:
                    if "momentum_buffer" in self._optimizer.state[parameter]:
                        self._optimizer.state[parameter]["momentum_buffer"] *= before / group["lr"]
        return rate


def _diverged(loss: float, seen: int, ids: list[str]) -> str:
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return (
        f"the loss is {loss} after {seen:,} examples, in a batch of galaxies "
        f"{', '.join(ids[:_IDS_SHOWN])}{more}; "
        "look at them, or lower the learning rate"
    )


class _RawAnswers(nn.Module):
    """The network from viewpoints to raw answers, as one module."""

    def __init__(self, network: ViewpointNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, views: Tensor) -> Tensor:
        return self.network.raw(self.network.viewpoint_features(views))


def _optimizer(network: ViewpointNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; its groups know what share of the learning rate is theirs."""
    head = list(network.last.parameters())
    trunk = [p for p in network.parameters() if all(p is not own for own in head)]
    if not recipe.trunk_rate:
        for parameter in trunk:
            parameter.requires_grad_(False)
    groups = [
        {"params": trunk, "of_rate": recipe.trunk_rate},
        {"params": head, "of_rate": 1.0},
    ]
    groups = [group for group in groups if group["of_rate"]]
    if isinstance(recipe.optimizer, Nesterov):
        return torch.optim.SGD(groups, lr=0.0, momentum=recipe.optimizer.momentum, nesterov=True)
    adam = recipe.optimizer
    return torch.optim.AdamW(groups, lr=0.0, betas=adam.betas, weight_decay=adam.weight_decay)
