"""From gradients to new weights, and the moving average of these."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.network import ViewpointNetwork
from pipeline.training.recipe import Nesterov, Recipe


def optimizer_of(network: ViewpointNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; its groups know what share of the learning rate is theirs.

    On GPUs it changes all weights in one pass (``fused``).
    """
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
    fused = True if network.device.type == "cuda" else None
    if isinstance(recipe.optimizer, Nesterov):
        momentum = recipe.optimizer.momentum
        return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=True, fused=fused)
    adam = recipe.optimizer
    return torch.optim.AdamW(groups, lr=0.0, betas=adam.betas, weight_decay=adam.weight_decay, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, momentum_follows: bool) -> None:
    """Set the learning rate of all groups, each to its share.

    Parameters
    ----------
    momentum_follows
        Whether the momentum carries the rate of each step with it: torch's leaves the rate out.
    """
    for group in optimizer.param_groups:
        before, group["lr"] = group["lr"], rate * group["of_rate"]
        if momentum_follows and before and before != group["lr"]:
            for parameter in group["params"]:
                if "momentum_buffer" in optimizer.state[parameter]:
                    optimizer.state[parameter]["momentum_buffer"] *= before / group["lr"]


class MovingAverage:
    """The exponential moving average of a network's weights; the first step's to begin with.

    Like `torch.optim.swa_utils.AveragedModel`, but that a GPU isn't waited for.

    Attributes
    ----------
    network
        With the average as its weights.
    """

    def __init__(self, network: ViewpointNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay, self._averaged = decay, 0

    @torch.no_grad()
    def update(self, network: ViewpointNetwork) -> None:
        """Let the weights of a step count."""
        own: list[Tensor] = list(self.network.parameters())
        new: list[Tensor] = list(network.parameters())
        if self._averaged:
            torch._foreach_lerp_(own, new, 1 - self._decay)
        else:
            torch._foreach_copy_(own, new)
        self._averaged += 1

    def state(self) -> dict[str, Tensor]:
        """All that it goes on from, as named tensors."""
        weights = {f"module.{name}": value for name, value in self.network.state_dict().items()}
        return {"n_averaged": torch.tensor(self._averaged)} | weights

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a `state`."""
        weights = {name.removeprefix("module."): value for name, value in tensors.items()}
        self._averaged = int(weights.pop("n_averaged"))
        self.network.load_state_dict(weights)
